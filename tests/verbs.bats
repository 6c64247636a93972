# netsetup's verbs: add, del, check, list, gc, status, move, version, help; records and what a killed process leaves.
# bats file_tags=net

load helpers

setup() {
	common_setup
	ip netns add c1
	ip netns add c2
	write lan.conflist '{cniVersion: "1.0.0", name: "lan", plugins: [
		{type: "bridge", bridge: "lan0", isGateway: true, ipMasq: true, ipam: {type: "host-local", subnet: "10.5.0.0/24"}},
		{type: "portmap", capabilities: {portMappings: true}},
		{type: "tuning", mtu: 1400}]}'
	write ptp.conf '{cniVersion: "0.4.0", name: "p2p", type: "ptp",
		ipam: {type: "static", addresses: [{address: "10.6.0.2/24", gateway: "10.6.0.1"}]}}'
	write bad.conf '{cniVersion: "1.0.0", name: "bad", type: "bridge", bridge: "lan0", vlan: 5}'
}

teardown() {
	ip link del lan0 2>/dev/null || true
	ip netns del c1 2>/dev/null || true
	ip netns del c2 2>/dev/null || true
	common_teardown
}

write() {
	jq -n "$2" >"$BATS_TEST_TMPDIR/$1"
}

add() {
	sane_run "$NETSETUP" add --id c1 --netns c1 "$@"
}

out() {
	jq -cr "$1" <<<"$output"
}

in_c1() {
	ip netns exec c1 "$@"
}

nothing_made() {
	[ -z "$(ip -o link show type veth)$(in_c1 ip -o link show type veth)" ]
	[ -z "$(find "$NETSETUP_ROOT" -name '*.json' -o -name '10.*')" ]
	no_table
}

@test "add makes attachments in order, del takes them away by the record" {
	local b=$BATS_TEST_TMPDIR
	add --cap '{"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}' "eth0=$b/lan.conflist" "eth1=$b/ptp.conf"
	[ "$status" = 0 ]
	[ "$(out 'keys | join(",")')" = eth0,eth1 ]
	[ "$(out '.eth0.ips[0].address, .eth1.ips[0].address, .eth1.cniVersion' | xargs)" = "10.5.0.2/24 10.6.0.2/24 0.4.0" ]
	[ "$(in_c1 cat /sys/class/net/eth0/mtu)" = 1400 ]
	in_c1 ping -q -c1 -W1 10.5.0.1
	in_c1 ping -q -c1 -W1 10.6.0.1
	nft list ruleset | grep -q 8080
	sane_run "$NETSETUP" check --id c1
	[ "$status" = 0 ]
	[ -z "$output" ]
	rm "$b"/*.conf*
	sane_run "$NETSETUP" del --id c1 eth1
	[ "$status" = 0 ]
	[ -z "$(in_c1 ip -o link show eth1 2>/dev/null)" ]
	in_c1 ping -q -c1 -W1 10.5.0.1
	sane_run "$NETSETUP" del --id c1
	[ "$status" = 0 ]
	[ -z "$output" ]
	nothing_made
	"$NETSETUP" del --id c1
	"$NETSETUP" del --id never-was
}

@test "add: what fails undoes those before it, and says what and why in one line" {
	local b=$BATS_TEST_TMPDIR
	add "eth0=$b/lan.conflist" "eth1=$b/bad.conf"
	[ "$status" = 1 ]
	[ "${#lines[@]}" = 1 ]
	[[ "$output" == "netsetup: eth1: network bad: bridge: vlan: not supported"* ]]
	nothing_made
	# The last plugin of a list fails: the ones before it are undone.
	write late.conflist '{cniVersion: "1.0.0", name: "late", plugins: [
		{type: "bridge", bridge: "lan0", ipam: {type: "host-local", subnet: "10.5.0.0/24"}}, {type: "tuning", sysctl: {"net.no.such": "1"}}]}'
	add "eth0=$b/late.conflist"
	[ "$status" = 1 ]
	[[ "$output" == *"network late: tuning"*"net/no/such"* ]]
	nothing_made
	write foreign.conflist '{cniVersion: "1.0.0", name: "f", plugins: [
		{type: "bridge", bridge: "lan0", ipam: {type: "host-local", subnet: "10.5.0.0/24"}}, {type: "no-such-plugin"}]}'
	add "eth0=$b/foreign.conflist"
	[ "$status" = 1 ]
	[[ "$output" == *"no-such-plugin"*"no plugin of this name in"* ]]
	nothing_made
}

@test "add: wrong arguments and files" {
	local b=$BATS_TEST_TMPDIR
	sane_run "$NETSETUP" add --id c1 "eth0=$b/lan.conflist"
	[ "$status" = 1 ]
	[[ "$output" == *"--netns"* ]]
	sane_run "$NETSETUP" add --id ../c1 --netns c1 "eth0=$b/lan.conflist"
	[ "$status" = 1 ]
	[[ "$output" == *"no container id"* ]]
	sane_run "$NETSETUP" add --id c1 --netns nonesuch "eth0=$b/lan.conflist"
	[ "$status" = 1 ]
	[[ "$output" == *"/run/netns/nonesuch"* ]]
	add eth0
	[ "$status" = 1 ]
	[[ "$output" == *"IFNAME=FILE"* ]]
	add "eth/0=$b/lan.conflist"
	[ "$status" = 1 ]
	add "eth0=$b/none.conf"
	[ "$status" = 1 ]
	[[ "$output" == *"none.conf"*"No such file"* ]]
	echo '{"name": "x", "plugins": []}' >"$b/empty.conflist"
	add "eth0=$b/empty.conflist"
	[ "$status" = 1 ]
	[[ "$output" == *"empty.conflist: plugins: expected"* ]]
	echo '{' >"$b/broken.conf"
	add "eth0=$b/broken.conf"
	[ "$status" = 1 ]
	[[ "$output" == *"broken.conf"* ]]
	add --cap '[]' "eth0=$b/lan.conflist"
	[ "$status" = 1 ]
	[[ "$output" == *"--cap"* ]]
	nothing_made
}

@test "add twice is refused and leaves the first as it is" {
	add "eth0=$BATS_TEST_TMPDIR/lan.conflist"
	[ "$status" = 0 ]
	add "eth0=$BATS_TEST_TMPDIR/lan.conflist"
	[ "$status" = 1 ]
	[[ "$output" == *"exists already"* ]]
	in_c1 ping -q -c1 -W1 10.5.0.1
	# An interface that another has made is neither taken nor removed.
	in_c1 ip link add eth5 type veth peer name other
	add "eth5=$BATS_TEST_TMPDIR/ptp.conf"
	[ "$status" = 1 ]
	[[ "$output" == *"an interface eth5 already"* ]]
	in_c1 ip link show other
	in_c1 ip link del eth5
	"$NETSETUP" del --id c1
	nothing_made
}

@test "cniVersions, disableCheck, hostNetns of a whole list" {
	ip netns add hostside
	write v.conflist '{cniVersion: "0.4.0", cniVersions: ["0.3.1", "1.0.0", "9.9.9"], name: "v", hostNetns: "hostside", disableCheck: "true",
		plugins: [{type: "bridge", bridge: "lan0", ipMasq: true, ipam: {type: "host-local", subnet: "10.5.0.0/24"}}]}'
	add "eth0=$BATS_TEST_TMPDIR/v.conflist"
	[ "$status" = 0 ]
	[ "$(out .eth0.cniVersion)" = 1.0.0 ]
	ip -n hostside link show lan0
	in_c1 ip link del eth0
	"$NETSETUP" check --id c1
	"$NETSETUP" del --id c1
	no_table hostside
	ip netns del hostside
	nothing_made
}

@test "list tells the state of every attachment" {
	add "eth0=$BATS_TEST_TMPDIR/lan.conflist"
	ip netns add c3
	"$NETSETUP" add --id c3 --netns c3 "eth0=$BATS_TEST_TMPDIR/ptp.conf" >/dev/null
	ip netns del c3
	sane_run "$NETSETUP" list
	[[ "${lines[0]}" == "ID "*"STATE"* ]]
	[[ "${lines[1]}" == "c1 "*"eth0"*"lan"*"ready"*"10.5.0.2/24" ]]
	[[ "${lines[2]}" == "c3 "*"stale"* ]]
	sane_run "$NETSETUP" list --json
	[ "$(out '[.[] | .containerID + " " + .state] | join(",")')" = "c1 ready,c3 stale" ]
	[ "$(out '.[0].config.name')" = lan ]
	# A namespace of the same name is another one.
	ip netns add c3
	[ "$("$NETSETUP" list --json | jq -r '.[1].state')" = stale ]
	sane_run "$NETSETUP" gc
	[ "$output" = "removed c3/eth0: its network namespace is gone" ]
	ip netns del c3
	"$NETSETUP" del --id c1
	nothing_made
}

@test "gc removes what has no living attachment, and nothing else" {
	add "eth0=$BATS_TEST_TMPDIR/lan.conflist"
	ip netns add c3
	"$NETSETUP" add --id c3 --netns c3 "eth0=$BATS_TEST_TMPDIR/lan.conflist" >/dev/null
	ip link add foreign type bridge
	ip netns del c3
	sane_run "$NETSETUP" gc
	[ "$status" = 0 ]
	in_c1 ping -q -c1 -W1 10.5.0.1
	[ "$("$NETSETUP" list --json | jq length)" = 1 ]
	nft list ruleset | grep -q 10.5.0.2
	nft list ruleset | not grep -q 10.5.0.3
	# Without any record: a lease, elements and a veth of nobody.
	rm -r "$NETSETUP_ROOT/attachments"
	"$NETSETUP" gc
	nothing_made
	ip link show foreign
	[ -z "$(ip -o link show lan0 2>/dev/null)" ] # an empty bridge of ours
	ip link del foreign
}

@test "a killed add is undone by del, by the next add, by gc" {
	local b=$BATS_TEST_TMPDIR how
	for how in del add gc; do
		# Killed after everything is made, before the result is recorded.
		not strace -qqq -o /dev/null -e trace=pwrite64 -e inject=pwrite64:signal=KILL:when=1 \
			"$NETSETUP" add --id c1 --netns c1 "eth0=$b/lan.conflist"
		in_c1 ip link show eth0
		[ "$("$NETSETUP" list --json | jq -r '.[].state')" = incomplete ]
		case $how in
		del) "$NETSETUP" del --id c1 ;;
		add) add "eth0=$b/lan.conflist" && [ "$status" = 0 ] && "$NETSETUP" del --id c1 ;;
		gc) sane_run "$NETSETUP" gc && [ "$output" = "removed c1/eth0: not completed" ] ;;
		esac
		nothing_made
	done
}

@test "one that is being made is waited for by del, and left alone by a second add" {
	mkdir "$BATS_TEST_TMPDIR/plugins"
	mkfifo "$BATS_TEST_TMPDIR/go"
	cat >"$BATS_TEST_TMPDIR/plugins/slow" <<-EOS
		#!/bin/sh
		[ \$CNI_COMMAND = ADD ] || exit 0
		touch $BATS_TEST_TMPDIR/waiting
		read x <$BATS_TEST_TMPDIR/go
		echo '{"cniVersion": "1.0.0"}'
	EOS
	chmod +x "$BATS_TEST_TMPDIR/plugins/slow"
	write slow.conflist '{cniVersion: "1.0.0", name: "slow", plugins: [
		{type: "bridge", bridge: "lan0", ipam: {type: "host-local", subnet: "10.5.0.0/24"}}, {type: "slow"}]}'
	"$NETSETUP" add --id c1 --netns c1 --path "$BATS_TEST_TMPDIR/plugins" "eth0=$BATS_TEST_TMPDIR/slow.conflist" >"$BATS_TEST_TMPDIR/out" 3>&- &
	wait_for 5 test -e "$BATS_TEST_TMPDIR/waiting"
	[ "$("$NETSETUP" list --json | jq -r '.[].state')" = "being made" ]
	add "eth0=$BATS_TEST_TMPDIR/slow.conflist"
	[ "$status" = 1 ]
	[[ "$output" == *"being made by another process"* ]]
	"$NETSETUP" del --id c1 3>&- &
	local del=$!
	sleep 0.2
	kill -0 $del
	in_c1 ip link show eth0
	echo >"$BATS_TEST_TMPDIR/go"
	wait $del
	nothing_made
	wait
}

@test "status" {
	sane_run "$NETSETUP" status
	[ "$output" = ready ]
	sane_run "$NETSETUP" status "$BATS_TEST_TMPDIR/lan.conflist"
	[ "$output" = ready ]
	sane_run "$NETSETUP" status "$BATS_TEST_TMPDIR/none"
	[ "$status" = 1 ]
}

# --- move ------------------------------------------------------------------------------------------------------

# Devices of the "host", whose other ends stay in c2.
make_device() {
	ip link add "$1" type veth peer name "$1" netns c2
	ip -n c2 link set "$1" up
}

@test "move keeps addresses, MTU and MAC, and sets the device up" {
	local mac
	make_device dev0
	ip link set dev0 mtu 1333 up
	ip addr add 10.9.0.1/24 dev dev0
	ip addr add 10.9.1.1 peer 10.9.1.2/32 dev dev0
	ip addr add fd09::1/64 dev dev0 nodad
	mac=$(ip -j link show dev0 | jq -r '.[0].address')
	sane_run "$NETSETUP" move --netns c1 dev0=eth0
	[ "$status" = 0 ]
	[ -z "$output" ]
	[ -z "$(ip -o link show dev0 2>/dev/null)" ]
	[ "$(in_c1 ip -j addr show eth0 | jq -r '.[0] | [.mtu, .address, (.flags | index("UP") != null)] | map(tostring) | join(" ")')" = "1333 $mac true" ]
	[ "$(in_c1 ip -j addr show eth0 | jq -r '[.[0].addr_info[] | select(.scope == "global") | .local] | sort | join(" ")')" = "10.9.0.1 10.9.1.1 fd09::1" ]
	in_c1 ip -o addr show eth0 | grep -q 'peer 10.9.1.2/32'
	ip -n c2 addr add 10.9.0.2/24 dev dev0
	in_c1 ping -q -c1 -W1 10.9.0.2
}

@test "move with a template, with its own name, with a number that is taken" {
	local i
	for i in 1 2 3; do make_device "dev$i"; done
	in_c1 ip link add eth0 type veth peer name peer0
	# The same index over there.
	in_c1 ip link add taken index "$(ip -j link show dev1 | jq '.[0].ifindex')" type bridge
	sane_run "$NETSETUP" move --netns c1 dev1=eth%d dev2=eth%d dev3
	[ "$status" = 0 ]
	in_c1 ip link show eth1
	in_c1 ip link show eth2
	in_c1 ip link show dev3
	in_c1 ip link del taken
	in_c1 ip link del eth0
}

@test "move: a taken name, a missing device, a bad name; those before it come home" {
	make_device dev1
	make_device dev2
	ip addr add 10.9.0.1/24 dev dev1
	in_c1 ip link add eth0 type veth peer name peer0
	sane_run "$NETSETUP" move --netns c1 dev1=eth1 dev2=eth0
	[ "$status" = 1 ]
	[[ "$output" == "netsetup: cannot move dev2:"*"eth0 already"* ]]
	ip -o addr show dev1 | grep -q 10.9.0.1/24
	ip link show dev2
	sane_run "$NETSETUP" move --netns c1 dev1=eth1 nonesuch=eth2
	[ "$status" = 1 ]
	[[ "$output" == *"cannot move nonesuch"* ]]
	ip link show dev1
	sane_run "$NETSETUP" move --netns c1 dev1=a/b
	[ "$status" = 1 ]
	[[ "$output" == *"no interface name"* ]]
	sane_run "$NETSETUP" move --netns c1 dev1=1234567890123456
	[ "$status" = 1 ]
	sane_run "$NETSETUP" move --netns c1 dev1=e%s
	[ "$status" = 1 ]
	ip link show dev1
	ip link del dev1
	ip link del dev2
	in_c1 ip link del eth0
}

# --- about -----------------------------------------------------------------------------------------------------

@test "version and help" {
	sane_run "$NETSETUP" version
	[[ "${lines[0]}" == "netsetup version "* ]]
	[[ "$output" == *"cni: 0.1.0 "*"1.1.0"* && "$output" == *" bridge ptp "* ]]
	sane_run "$NETSETUP" --version
	[ "$status" = 0 ]
	sane_run "$NETSETUP" help
	[[ "$output" == *"attachments"* && "$output" == *"PLUGINS"* ]]
	sane_run "$NETSETUP" help add
	[[ "$output" == *"IFNAME=FILE"* ]]
	sane_run "$NETSETUP" frobnicate
	[ "$status" != 0 ]
	[[ "$output" == *"frobnicate"* ]]
	# Arguments make it a verb even where CNI_COMMAND is about.
	CNI_COMMAND=ADD sane_run "$NETSETUP" version
	[ "$status" = 0 ]
}
