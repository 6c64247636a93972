# Port maps, with real traffic: from outside, from the host, from neighbours and from the container itself.
# bats file_tags=net

load helpers
load netlab

setup() {
	lab_setup
	NET=$BATS_TEST_TMPDIR/net.conflist
	conflist "$NET" net 1 br1 '{"type": "portmap", "capabilities": {"portMappings": true}}'
}

teardown() {
	lab_teardown
}

# maps JSON: the option that gives the capability.
maps() {
	echo "--cap={\"portMappings\": $1}"
}

TCP='[{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]'
UDP='[{"hostPort": 5353, "containerPort": 53, "protocol": "udp"}]'

# The portmap plugin alone, as a runtime that is not ours calls it: portmap COMMAND ID [JQ-EXPRESSION...]
portmap() {
	local command=$1 id=$2 conf e
	conf='{"cniVersion": "1.0.0", "name": "net", "type": "portmap", "prevResult": {"cniVersion": "1.0.0",
		"interfaces": [{"name": "br1"}, {"name": "eth0", "sandbox": "/run/netns/c1"}],
		"ips": [{"address": "10.1.0.2/24", "interface": 1}]}}'
	shift 2
	for e; do conf=$(jq -c "$e" <<<"$conf"); done
	CNI_COMMAND=$command CNI_CONTAINERID=$id CNI_NETNS=/run/netns/out CNI_IFNAME=eth0 CNI_PATH=/usr/lib/cni "$NETSETUP" <<<"$conf"
}

@test "from outside, from the host, from a neighbour and from the container itself: TCP" {
	attach c1 "$NET" "$(maps "$TCP")"
	attach c2 "$NET"
	serve c1 tcp 0.0.0.0 80
	asks out tcp 192.0.2.1 8080 "c1 saw 192.0.2.2"
	asks host tcp 192.0.2.1 8080 "c1 saw 192.0.2.1"
	asks host tcp 127.0.0.1 8080 "c1 saw 10.1.0.1"
	asks host tcp 10.1.0.1 8080 "c1 saw 10.1.0.1"
	asks c2 tcp 192.0.2.1 8080 "c1 saw 10.1.0.1"
	asks c1 tcp 192.0.2.1 8080 "c1 saw 10.1.0.1"
	asks c1 tcp 10.1.0.1 8080 "c1 saw 10.1.0.1"
	detach c1 c2
	no_table
	silent out tcp 192.0.2.1 8080
}

@test "from a neighbour and from the container itself without br_netfilter and hairpin mode" {
	[ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables
	jq 'del(.plugins[0].hairpinMode)' "$NET" >"$NET.2"
	attach c1 "$NET.2" "$(maps "$TCP")"
	attach c2 "$NET.2"
	serve c1 tcp 0.0.0.0 80
	asks c2 tcp 192.0.2.1 8080 "c1 saw 10.1.0.1"
	asks c1 tcp 192.0.2.1 8080 "c1 saw 10.1.0.1"
	[ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
	detach c1 c2
}

@test "the same over UDP" {
	attach c1 "$NET" "$(maps "$UDP")"
	attach c2 "$NET"
	serve c1 udp 0.0.0.0 53
	asks out udp 192.0.2.1 5353 "c1 saw 192.0.2.2"
	asks host udp 192.0.2.1 5353 "c1 saw 192.0.2.1"
	asks host udp 127.0.0.1 5353 "c1 saw 10.1.0.1"
	asks c2 udp 192.0.2.1 5353 "c1 saw 10.1.0.1"
	asks c1 udp 192.0.2.1 5353 "c1 saw 10.1.0.1"
	detach c1 c2
}

@test "the same over IPv6" {
	attach c1 "$NET" "$(maps "$TCP")"
	attach c2 "$NET"
	serve c1 tcp :: 80
	asks out tcp 2001:db8::1 8080 "c1 saw 2001:db8::2"
	asks host tcp 2001:db8::1 8080 "c1 saw 2001:db8::1"
	asks c2 tcp 2001:db8::1 8080 "c1 saw fd01::1"
	asks c1 tcp 2001:db8::1 8080 "c1 saw fd01::1"
	detach c1 c2
}

@test "a container of another network reaches it through the host's port" {
	conflist "$BATS_TEST_TMPDIR/net2.conflist" net2 2 br2
	attach c1 "$NET" "$(maps "$TCP")"
	attach c2 "$BATS_TEST_TMPDIR/net2.conflist"
	serve c1 tcp 0.0.0.0 80
	asks c2 tcp 192.0.2.1 8080 "c1 saw 10.1.0.1"
	detach c1 c2
}

@test "what only passes through keeps its destination, whatever its port (CVE-2025-67499)" {
	attach c1 "$NET" "$(maps "$TCP")"
	conflist "$BATS_TEST_TMPDIR/net2.conflist" net2 2 br2
	attach c2 "$BATS_TEST_TMPDIR/net2.conflist"
	serve c1 tcp 0.0.0.0 80
	serve out tcp 198.51.100.7 8080
	serve c2 tcp 0.0.0.0 8080
	asks host tcp 198.51.100.7 8080 "out saw 192.0.2.1"
	asks c2 tcp 198.51.100.7 8080 "out saw 192.0.2.1"
	asks host tcp 10.2.0.2 8080 "c2 saw 10.2.0.1"
	ip -n out route add 10.2.0.0/24 via 192.0.2.1
	asks out tcp 10.2.0.2 8080 "c2 saw 192.0.2.2"
	detach c1 c2
}

@test "hostIP: only at that address, and before a map for all addresses" {
	attach c1 "$NET" "$(maps '[{"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": "127.0.0.1"}]')"
	attach c2 "$NET" "$(maps '[{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
		{"hostPort": 8081, "containerPort": 80, "protocol": "tcp", "hostIP": "0.0.0.0"},
		{"hostPort": 8082, "containerPort": 80, "protocol": "tcp", "hostIP": "192.0.2.1"}]')"
	serve c1 tcp 0.0.0.0 80
	serve c2 tcp 0.0.0.0 80
	asks host tcp 127.0.0.1 8080 "c1 saw 10.1.0.1"
	asks out tcp 192.0.2.1 8080 "c2 saw 192.0.2.2"
	asks out tcp 192.0.2.1 8081 "c2 saw 192.0.2.2"
	asks out tcp 192.0.2.1 8082 "c2 saw 192.0.2.2"
	silent host tcp 127.0.0.1 8082
	nft list map inet netsetup port6 | not grep -q 'tcp . 8081'
	detach c1 c2
}

@test "snat false: the host's own 127.0.0.1 is left to the host, no route_localnet" {
	jq '.plugins[1].snat = false' "$NET" >"$NET.2"
	attach c1 "$NET.2" "$(maps "$TCP")"
	serve c1 tcp 0.0.0.0 80
	serve host tcp 127.0.0.1 8080
	[ "$(cat /proc/sys/net/ipv4/conf/br1/route_localnet)" = 0 ]
	asks out tcp 192.0.2.1 8080 "c1 saw 192.0.2.2"
	asks host tcp 127.0.0.1 8080 "host saw 127.0.0.1"
	detach c1
}

@test "masqAll: everybody seems to be the host" {
	jq '.plugins[1].masqAll = true' "$NET" >"$NET.2"
	attach c1 "$NET.2" "$(maps "$TCP")"
	serve c1 tcp 0.0.0.0 80
	asks out tcp 192.0.2.1 8080 "c1 saw 10.1.0.1"
	asks host tcp 127.0.0.1 8080 "c1 saw 10.1.0.1"
	detach c1
}

@test "127.0.0.1 from the wire is dropped, though route_localnet is on" {
	attach c1 "$NET" "$(maps "$TCP")"
	[ "$(cat /proc/sys/net/ipv4/conf/br1/route_localnet)" = 1 ]
	serve host tcp 127.0.0.1 9999
	# A neighbour that believes 127.0.0.1 to be behind the bridge.
	ip -n c1 addr del 127.0.0.1/8 dev lo
	ip -n c1 route add 127.0.0.1/32 via 10.1.0.1 dev eth0
	ip netns exec c1 sysctl -qw net.ipv4.conf.all.route_localnet=1
	silent c1 tcp 127.0.0.1 9999
	nft delete chain inet netsetup portmap-guard
	ASK_TIMEOUT=4 asks c1 tcp 127.0.0.1 9999 "host saw 10.1.0.2"
	detach c1
}

@test "a port that another container has: an error that names it, and nothing of the attachment stays" {
	attach c1 "$NET" "$(maps "$TCP")"
	ip netns add c2
	sane_run "$NETSETUP" add --id c2 --netns c2 "$(maps "$TCP")" eth0="$NET"
	[ "$status" = 1 ]
	[[ $output == *"host port tcp/8080"*"nsrun:net/c1/eth0"*"netsetup gc"* ]]
	nft list table inet netsetup | not grep -q /c2/
	serve c1 tcp 0.0.0.0 80
	asks out tcp 192.0.2.1 8080 "c1 saw 192.0.2.2"
	# The same number of another protocol is free, and so is the port when its owner is gone.
	attach c3 "$NET" "$(maps '[{"hostPort": 8080, "containerPort": 80, "protocol": "udp"}]')"
	detach c1
	sane_run "$NETSETUP" add --id c2 --netns c2 "$(maps "$TCP")" eth0="$NET"
	[ "$status" = 0 ]
	detach c2 c3
	no_table
}

@test "a port of a container that died is free after netsetup gc" {
	attach c1 "$NET" "$(maps "$TCP")"
	ip netns del c1
	sane_run "$NETSETUP" gc
	[ "$status" = 0 ]
	attach c2 "$NET" "$(maps "$TCP")"
	detach c2
}

@test "a UDP client that never pauses follows the map to the new container, and away from the old one" {
	serve host udp 192.0.2.1 5353
	asks out udp 192.0.2.1 5353 "host saw 192.0.2.2" 4000
	attach c1 "$NET" "$(maps "$UDP")"
	serve c1 udp 0.0.0.0 53
	asks out udp 192.0.2.1 5353 "c1 saw 192.0.2.2" 4000
	detach c1
	asks out udp 192.0.2.1 5353 "host saw 192.0.2.2" 4000
	attach c2 "$NET" "$(maps "$UDP")"
	serve c2 udp 0.0.0.0 53
	asks out udp 192.0.2.1 5353 "c2 saw 192.0.2.2" 4000
	detach c2
}

@test "flushing UDP flows leaves others alone" {
	[ -r /proc/net/nf_conntrack ] || skip "this kernel does not show its connections (CONFIG_NF_CONNTRACK_PROCFS)"
	serve out udp 198.51.100.7 5353
	attach c2 "$NET"
	asks c2 udp 198.51.100.7 5353 "out saw 192.0.2.1" 4000
	grep -q 'src=10.1.0.2 dst=198.51.100.7' /proc/net/nf_conntrack
	attach c1 "$NET" "$(maps "$UDP")"
	detach c1
	grep -q 'src=10.1.0.2 dst=198.51.100.7' /proc/net/nf_conntrack
	detach c2
}

@test "both spellings of the keys; many maps of one container" {
	attach c1 "$NET" "$(maps '[{"HostPort": 8080, "ContainerPort": 80, "Protocol": "TCP", "HostIP": ""}]')"
	serve c1 tcp 0.0.0.0 80
	asks out tcp 192.0.2.1 8080 "c1 saw 192.0.2.2"
	detach c1
	ip netns add c2
	sane_run "$NETSETUP" add --id c2 --netns c2 "$(maps "$(jq -cn '[range(1000; 1200) | {hostPort: ., containerPort: 80, protocol: "tcp"}]')")" eth0="$NET"
	[ "$status" = 0 ]
	[ "$(nft -j list map inet netsetup port4 | jq '[.nftables[].map.elem[]?] | length')" = 200 ]
	serve c2 tcp 0.0.0.0 80
	asks out tcp 192.0.2.1 1199 "c2 saw 192.0.2.2"
	sane_run "$NETSETUP" check --id c2 --netns c2
	[ "$status" = 0 ]
	detach c2
	no_table
}

@test "SCTP has its own ports" {
	attach c1 "$NET" "$(maps '[{"hostPort": 8080, "containerPort": 80, "protocol": "sctp"}, {"hostPort": 8080, "containerPort": 81, "protocol": "tcp"}]')"
	nft list map inet netsetup port4 | grep -q 'sctp . 8080 .* : 10.1.0.2 . 80'
	nft list map inet netsetup port4 | grep -q 'tcp . 8080 .* : 10.1.0.2 . 81'
	detach c1
}

@test "ADD twice replaces; DEL twice, without prevResult, succeeds; CHECK tells what is missing" {
	local m='.runtimeConfig.portMappings = [{hostPort: 8080, containerPort: 80, protocol: "tcp"}]'
	ip link add br1 type bridge
	ip addr add 10.1.0.1/24 dev br1
	ip link set br1 up
	portmap ADD c1 "$m"
	portmap CHECK c1 "$m"
	portmap ADD c1 "$m" '.runtimeConfig.portMappings[0] |= (.hostPort = 8081)'
	nft list map inet netsetup port4 | not grep -q 'tcp . 8080'
	nft list map inet netsetup port4 | grep -q 'tcp . 8081'
	nft flush map inet netsetup port4
	sane_run portmap CHECK c1 "$m"
	[ "$status" = 1 ]
	[[ $output == *"port4"* ]]
	portmap DEL c1 "$m" 'del(.prevResult)'
	portmap DEL c1 "$m" 'del(.prevResult)'
	no_table
	ip link del br1
}

@test "nothing to map is nothing to do" {
	portmap ADD c1
	portmap ADD c1 '.runtimeConfig.portMappings = []'
	portmap CHECK c1
	portmap DEL c1
	no_table
}

@test "keys that cannot be honoured are refused, harmless ones accepted" {
	local m='.runtimeConfig.portMappings = [{hostPort: 8080, containerPort: 80, protocol: "tcp"}]'
	for key in '.conditionsV4 = ["-s", "1.2.3.4"]' '.conditionsV6 = ["x"]' '.externalSetMarkChain = "KUBE-MARK-MASQ"' \
		'.markMasqBit = 32' '.backend = "ipfw"' \
		'.runtimeConfig.portMappings[0].protocol = "icmp"' '.runtimeConfig.portMappings[0].hostPort = 0' \
		'.runtimeConfig.portMappings[0].hostPort = 65536' '.runtimeConfig.portMappings[0].hostIP = "here"' \
		'.runtimeConfig.portMappings += [{hostPort: 8080, containerPort: 81, protocol: "tcp"}]' \
		'.runtimeConfig.portMappings[0].hostIP = "2001:db8::1"' 'del(.prevResult)'; do
		sane_run portmap ADD c1 "$m" "$key"
		[ "$status" = 1 ]
		[ -n "$(jq -r .msg <<<"$output")" ]
		no_table
	done
	ip link add br1 type bridge
	ip addr add 10.1.0.1/24 dev br1
	ip link set br1 up
	portmap ADD c1 "$m" '. + {conditionsV4: [], conditionsV6: null, externalSetMarkChain: "", markMasqBit: 5, backend: "iptables"}'
	portmap DEL c1 "$m"
	ip link del br1
}

@test "kube-proxy's decision comes first (CVE-2019-9946)" {
	attach c1 "$NET" "$(maps "$TCP")"
	attach c2 "$NET"
	serve c1 tcp 0.0.0.0 80
	serve c2 tcp 0.0.0.0 80
	nft add table ip kube
	nft add chain ip kube pre '{ type nat hook prerouting priority dstnat; }'
	nft add rule ip kube pre tcp dport 8080 dnat to 10.1.0.3:80
	asks out tcp 192.0.2.1 8080 "c2 saw 192.0.2.2"
	nft delete table ip kube
	asks out tcp 192.0.2.1 8080 "c1 saw 192.0.2.2"
	detach c1 c2
}

@test "hostNetns: everything happens in that namespace" {
	jq '.hostNetns = "out"' "$NET" >"$NET.2"
	ip netns exec out sysctl -qw net.ipv4.ip_forward=1
	attach c1 "$NET.2" "$(maps '[{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}, {"hostPort": 5353, "containerPort": 53, "protocol": "udp"}]')"
	no_table
	ip netns exec out nft list table inet netsetup | grep -q net/c1/eth0
	serve c1 tcp 0.0.0.0 80
	serve host tcp 192.0.2.1 81
	serve c1 udp 0.0.0.0 53
	asks host tcp 192.0.2.2 8080 "c1 saw 192.0.2.1"
	asks host udp 192.0.2.2 5353 "c1 saw 192.0.2.1"
	asks out tcp 127.0.0.1 8080 "c1 saw 10.1.0.1"
	asks c1 tcp 192.0.2.1 81 "host saw 192.0.2.2"
	detach c1
	no_table out
}
