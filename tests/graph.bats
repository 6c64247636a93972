#!/usr/bin/env bats
# The picture: tree, DOT and JSON of what is really there.

load helpers

setup() {
	not_as_user "the picture is drawn from inside of network namespaces"
	common_setup
	cd "$BATS_TEST_TMPDIR"
}

# Two containers, their veth pairs in a bridge of the host.
make_pair() {
	local name
	for name in one two; do
		make_bundle "$BATS_TEST_TMPDIR/$name"
		config '.hostname = $name | .process.args = ["sleep", "1000"] | .annotations["org.nsrun.net.eth0"] = "eth0.conflist"' \
			--arg name $name
		cat >"$BUNDLE/eth0.conflist" <<-JSON
		{
		  "cniVersion": "1.1.0", "name": "lan", "plugins": [{
		    "type": "bridge", "bridge": "br-lan", "isGateway": true,
		    "ipam": {"type": "static", "addresses": [{"address": "10.20.0.$([ $name = one ] && echo 2 || echo 3)/24", "gateway": "10.20.0.1"}],
		             "routes": [{"dst": "0.0.0.0/0"}, {"dst": "10.30.0.0/16", "gw": "10.20.0.9"}]}
		  }]
		}
		JSON
		nsrun run -d -b "$BUNDLE" g-$name
	done
}

remove_pair() {
	nsrun delete --force g-one
	nsrun delete --force g-two
	ip link del br-lan
}

@test "without containers the picture is empty" {
	sane_run nsrun graph
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	sane_run nsrun graph -f dot
	[ "$status" -eq 0 ]
	[[ "$output" == "graph network {"*"}" ]]
}

@test "the tree names links, other ends, addresses and routes, and the host's bridge" {
	make_pair
	sane_run nsrun graph
	[ "$status" -eq 0 ]
	[[ "${lines[0]}" == host ]]
	[[ "$output" == *"─ br-lan bridge    10.20.0.1/24"* ]]
	[[ "$output" =~ veth[0-9a-z]+\ ──\ eth0\ of\ g-one ]]
	[[ "$output" =~ veth[0-9a-z]+\ ──\ eth0\ of\ g-two ]]
	[[ "$output" == *"g-one (running)"*"10.20.0.2/24"*"g-two (running)"*"10.20.0.3/24"* ]]
	[[ "$output" == *"─ eth0 veth "*" of host"* ]]
	[[ "$output" == *"├─ default via 10.20.0.1 dev eth0"* ]]
	[[ "$output" == *"└─ 10.30.0.0/16 via 10.20.0.9 dev eth0"* ]]
	[[ "$output" != *127.0.0.1* ]]

	sane_run nsrun graph g-two
	[ "$status" -eq 0 ]
	[[ "$output" != *"g-one"* ]]
	remove_pair
}

@test "Graphviz accepts the DOT, and the JSON holds the same" {
	command -v dot >/dev/null || skip "graphviz is not installed"
	make_pair
	nsrun graph -f dot >g.dot
	dot -Tsvg g.dot >g.svg
	grep -q '</svg>' g.svg
	for text in 'g&#45;one' 'g&#45;two' host 'br&#45;lan' 10.20.0.2/24; do
		grep -q "$text" g.svg
	done
	# Each pair is drawn once, each port once.
	[ "$(grep -c penwidth=2 g.dot)" = 2 ]
	[ "$(grep -c -- ' -- ' g.dot)" = 4 ]
	nsrun graph --format json >g.json
	[ "$(jq -r '[.namespaces[] | select(.containers == "g-one") | .links[] | select(.name == "eth0") | .addresses[0]] | join(" ")' g.json)" = 10.20.0.2/24 ]
	remove_pair
}

@test "containers that share a namespace are one box" {
	make_bundle
	config '.process.args = ["sleep", "1000"]'
	nsrun run -d -b "$BUNDLE" first
	pid=$(nsrun state first | jq .pid)
	make_bundle "$BATS_TEST_TMPDIR/second"
	config '.process.args = ["sleep", "1000"] | (.linux.namespaces[] | select(.type == "network")).path = $path' \
		--arg path "/proc/$pid/ns/net"
	nsrun run -d -b "$BUNDLE" second
	sane_run nsrun graph
	[ "$status" -eq 0 ]
	[[ "${lines[0]}" == "first, second (running)" ]]
	nsrun delete --force second
	nsrun delete --force first
}

@test "errors: format, container that is not there, container that does not run" {
	sane_run nsrun graph -f png
	[ "$status" -eq 1 ]
	[[ "$output" == *"png"*"tree, dot and json"* ]]
	sane_run nsrun graph nobody
	[ "$status" -eq 1 ]
	[[ "$output" == *"nobody"* ]]
	make_bundle
	nsrun run -d -b "$BUNDLE" ended
	wait_for 10 status_is ended stopped
	sane_run nsrun graph ended
	[ "$status" -eq 1 ]
	[[ "$output" == *"ended is stopped"* ]]
	nsrun delete ended
}
