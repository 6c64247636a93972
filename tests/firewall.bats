# The firewall plugin: who may speak to whom through the host.
# bats file_tags=net

load helpers
load netlab

setup() {
	lab_setup
	for n in 1 2; do
		conflist "$BATS_TEST_TMPDIR/open$n" net$n $n br$n '{"type": "firewall"}'
		conflist "$BATS_TEST_TMPDIR/same$n" net$n $n br$n '{"type": "firewall", "ingressPolicy": "same-bridge"}'
		conflist "$BATS_TEST_TMPDIR/isolated$n" net$n $n br$n '{"type": "firewall", "ingressPolicy": "isolated"}'
	done
}

teardown() {
	lab_teardown
}

# A host whose forwarding is otherwise closed, in our own priority's neighbourhood: what our table accepts it must accept by
# itself; so the tests of accepting look at our chain's verdicts by closing it.
close_our_chain() {
	nft add rule inet netsetup forward counter drop
}

@test "the container's addresses and answers to it are accepted, everything else goes on" {
	serve out tcp 0.0.0.0 80
	attach c1 "$BATS_TEST_TMPDIR/open1"
	close_our_chain
	asks c1 tcp 192.0.2.2 80 "out saw 192.0.2.1"
	# Not accepted: a connection from outside to the container, which our table leaves to others.
	serve c1 tcp 0.0.0.0 80
	ip -n out route add 10.1.0.0/24 via 192.0.2.1
	silent out tcp 10.1.0.2 80
	nft delete rule inet netsetup forward handle "$(nft -a list chain inet netsetup forward | sed -n 's/.*drop # handle //p' | tail -1)"
	asks out tcp 10.1.0.2 80 "c1 saw 192.0.2.2"
	detach c1
	no_table
}

@test "IPv6 addresses are accepted, too" {
	serve out tcp :: 80
	attach c1 "$BATS_TEST_TMPDIR/open1"
	close_our_chain
	asks c1 tcp 2001:db8::2 80 "out saw 2001:db8::1"
	detach c1
}

@test "open: two bridges reach each other" {
	attach c1 "$BATS_TEST_TMPDIR/open1"
	attach c2 "$BATS_TEST_TMPDIR/open2"
	serve c2 tcp 0.0.0.0 80
	asks c1 tcp 10.2.0.2 80 "c2 saw 10.2.0.1"
	detach c1 c2
}

@test "same-bridge: neighbours yes, other bridges no, the outside yes" {
	serve out tcp 0.0.0.0 80
	attach c1 "$BATS_TEST_TMPDIR/same1"
	attach c2 "$BATS_TEST_TMPDIR/same2"
	attach c3 "$BATS_TEST_TMPDIR/same1"
	serve c1 tcp 0.0.0.0 80
	serve c1 tcp :: 81
	asks c3 tcp 10.1.0.2 80 "c1 saw 10.1.0.3"
	asks c3 tcp fd01::2 81 "c1 saw fd01::3"
	silent c2 tcp 10.1.0.2 80
	silent c2 tcp fd01::2 81
	asks c2 tcp 192.0.2.2 80 "out saw 192.0.2.1"
	ip -n out route add 10.1.0.0/24 via 192.0.2.1
	asks out tcp 10.1.0.2 80 "c1 saw 192.0.2.2"
	asks host tcp 10.1.0.2 80 "c1 saw 10.1.0.1"
	detach c1 c2 c3
	no_table
}

@test "same-bridge: the bridge stays apart as long as it has a container" {
	attach c1 "$BATS_TEST_TMPDIR/same1"
	attach c2 "$BATS_TEST_TMPDIR/same1"
	attach c3 "$BATS_TEST_TMPDIR/same2"
	nft list set inet netsetup bridges | grep -q '"br1" comment "2 attachments"'
	detach c1
	nft list set inet netsetup bridges | grep -q '"br1" comment "1 attachment"'
	serve c2 tcp 0.0.0.0 80
	silent c3 tcp 10.1.0.3 80
	# Twice: not counted twice.
	detach c1
	nft list set inet netsetup bridges | grep -q '"br1" comment "1 attachment"'
	detach c2
	nft list set inet netsetup bridges | not grep -q br1
	detach c3
	no_table
}

@test "isolated: not even neighbours, the host and the outside yes" {
	serve out tcp 0.0.0.0 80
	attach c1 "$BATS_TEST_TMPDIR/isolated1"
	attach c2 "$BATS_TEST_TMPDIR/isolated1"
	serve c1 tcp 0.0.0.0 80
	silent c2 tcp 10.1.0.2 80
	asks host tcp 10.1.0.2 80 "c1 saw 10.1.0.1"
	asks c2 tcp 192.0.2.2 80 "out saw 192.0.2.1"
	detach c1 c2
}

@test "a policy without a bridge in prevResult is an error; keys of other backends are accepted" {
	local conf='{"cniVersion": "1.0.0", "name": "net", "type": "firewall", "backend": "iptables", "iptablesAdminChainName": "X",
		"firewalldZone": "trusted", "prevResult": {"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "sandbox": "/x"}],
		"ips": [{"address": "10.1.0.2/24", "interface": 0}]}}'
	fw() {
		CNI_COMMAND=$1 CNI_CONTAINERID=c1 CNI_NETNS=/run/netns/out CNI_IFNAME=eth0 CNI_PATH=/usr/lib/cni "$NETSETUP" <<<"$2"
	}
	sane_run fw ADD "$(jq -c '.ingressPolicy = "same-bridge"' <<<"$conf")"
	[ "$status" = 1 ]
	[[ $(jq -r .msg <<<"$output") == *"after the bridge plugin"* ]]
	sane_run fw ADD "$(jq -c '.ingressPolicy = "closed"' <<<"$conf")"
	[ "$status" = 1 ]
	sane_run fw ADD "$(jq -c 'del(.prevResult)' <<<"$conf")"
	[ "$status" = 1 ]
	no_table
	fw ADD "$conf"
	fw CHECK "$conf"
	fw ADD "$conf"
	nft flush set inet netsetup forward4
	sane_run fw CHECK "$conf"
	[ "$status" = 1 ]
	fw DEL "$(jq -c 'del(.prevResult)' <<<"$conf")"
	fw DEL "$(jq -c 'del(.prevResult)' <<<"$conf")"
	no_table
}

@test "with port maps, masquerading and sysctls in one list" {
	conflist "$BATS_TEST_TMPDIR/all" net 1 br1 '{"type": "portmap", "capabilities": {"portMappings": true}}' \
		'{"type": "firewall", "ingressPolicy": "same-bridge"}' '{"type": "tuning", "sysctl": {"net.ipv4.conf.all.log_martians": "1"}}'
	serve out tcp 0.0.0.0 80
	attach c1 "$BATS_TEST_TMPDIR/all" '--cap={"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}'
	serve c1 tcp 0.0.0.0 80
	asks c1 tcp 192.0.2.2 80 "out saw 192.0.2.1"
	asks out tcp 192.0.2.1 8080 "c1 saw 192.0.2.2"
	sane_run "$NETSETUP" check --id c1 --netns c1
	[ "$status" = 0 ]
	detach c1
	no_table
}
