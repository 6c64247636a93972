#!/usr/bin/env bats
# A NIC of the host: moved into a container (linux.netDevices), and as the uplink of a bridge, with DHCP through it.
#
# In the guest it is eth0, a virtio NIC on a network whose DHCP server is qemu's. Elsewhere an end of a veth pair stands in for
# it, whose other end is in the namespace `lan` with dnsmasq; it can be an uplink, but not come home from a container.
# bats file_tags=net

load helpers

setup() {
	needs_root "NICs of the host are root's"
	common_setup
	make_bundle
	cd "$BATS_TEST_TMPDIR"
	NIC=eth0
	# /sys may show another namespace's.
	if [ ! -e /sys/class/net/eth0/device ] || ! is_here eth0; then
		NIC=nic0
		ip netns add lan
		ip link add nic0 type veth peer name lan0 netns lan
		ip -n lan addr add 10.0.2.2/24 dev lan0
		ip -n lan link set lan0 up
	fi
	nic >"$BATS_TEST_TMPDIR/nic"
}

teardown() {
	[ -z "${DNSMASQ:-}" ] || kill "$DNSMASQ" || true
	if [ "${NIC:-}" = nic0 ]; then
		ip link del nic0 || true
		ip netns del lan || true
	fi
	ip link del br-lan 2>/dev/null || true
	common_teardown
}

needs_nic() {
	[ "$NIC" = eth0 ] || skip "needs a NIC: a link that is nobody's software"
}

# What has to be as it was.
nic() {
	ip -j -d addr show "$NIC" | jq -c '.[0] | [.ifname, .ifalias, .master, .mtu, .address, .promiscuity,
		(.flags - ["LOWER_UP", "NO-CARRIER"] | sort), [.addr_info[].local]]'
}

nic_is_as_before() {
	[ "$(nic)" = "$(cat "$BATS_TEST_TMPDIR/nic")" ]
}

is_here() {
	ip link show "$1" >/dev/null 2>&1
}

# --- netDevices --------------------------------------------------------------------------------------------------

# start_with HOST-NAME NAME: container c sleeps with the device.
start_with() {
	config '.linux.netDevices = {($h): {name: $n}}' --arg h "$1" --arg n "$2"
	config_args sleep 1000
	nsrun run -d -b "$BUNDLE" c 3>&-
}

# bats test_tags=vm
@test "netDevices: a NIC keeps MAC, MTU and addresses, is up, and comes home when the container is deleted or ends" {
	needs_nic
	mac=$(cat /sys/class/net/eth0/address)
	ip link set eth0 mtu 1400
	ip addr add 192.0.2.7/24 dev eth0
	start_with eth0 eth0
	not is_here eth0
	nsrun exec c ip -o link show eth0 >link
	grep -q "mtu 1400.*$mac" link
	grep -q '[<,]UP[,>]' link
	nsrun exec c ip -o addr show eth0 | grep -q 'inet 192.0.2.7/24'
	nsrun delete --force c
	wait_for 20 is_here eth0
	ip link set eth0 mtu 1500

	config_args true
	nsrun run -b "$BUNDLE" c
	wait_for 20 is_here eth0
	start_with eth0 eth0
	kill -9 "$(nsrun state c | jq .pid)"
	wait_for 20 is_here eth0
	nsrun delete c
	[ -z "$(ip -o -4 addr show eth0)" ]
}

# bats test_tags=vm
@test "netDevices: a NIC under another name, by a template; a container that fails leaves it" {
	needs_nic
	start_with eth0 'wan%d'
	nsrun exec c ip -o link show wan0 | grep -q "$(jq -r '.[4]' "$BATS_TEST_TMPDIR/nic")"
	nsrun delete --force c
	# The kernel brings it back, under the name that it had.
	wait_for 20 is_here wan0
	ip link set wan0 down
	ip link set wan0 name eth0

	config '.process.args = ["nonesuch"]'
	sane_run nsrun create -b "$BUNDLE" c
	[ "$status" -ne 0 ]
	wait_for 20 is_here wan0
	ip link set wan0 down
	ip link set wan0 name eth0
}

# bats test_tags=vm
@test "netDevices: dummy, vlan, macvlan and ipvlan go with the container; a vrf cannot be moved" {
	needs_nic
	ip link set eth0 up
	ip link add d0 type dummy
	ip link add link eth0 name v7 type vlan id 7
	ip link add link eth0 name mv0 type macvlan mode bridge
	config '.linux.netDevices = {d0: {}, v7: {name: "v7"}, mv0: {name: "eth%d"}}'
	config_args sleep 1000
	nsrun run -d -b "$BUNDLE" c 3>&-
	nsrun exec c ip -o link >links
	for name in d0 v7 eth0; do
		grep -q " $name[@:]" links
	done
	nsrun delete --force c
	ip link add link eth0 name ipv0 type ipvlan mode l2
	start_with ipv0 eth0
	nsrun exec c ip -o link show eth0
	nsrun delete --force c

	ip link add red type vrf table 10
	config '.linux.netDevices = {red: {}}'
	sane_run nsrun create -b "$BUNDLE" c
	[ "$status" -ne 0 ]
	[[ "$output" == *"red"* ]]
	is_here red
	ip link del red
	ip link set eth0 down
}

# --- a bridge with an uplink -------------------------------------------------------------------------------------

# lan_bundle [JQ]: a bundle whose eth0 is a port of br-lan, with the NIC as its uplink.
lan_bundle() {
	jq -n --arg nic "$NIC" '{cniVersion: "1.1.0", name: "lan", plugins: [{type: "bridge", bridge: "br-lan", uplink: $nic}]}' |
		jq ".plugins[0] |= (${1:-.})" >"$BUNDLE/lan.conflist"
	config '.annotations["org.nsrun.net.eth0"] = "lan.conflist"
		| .process.capabilities |= map_values(. + ["CAP_NET_ADMIN", "CAP_NET_RAW"])'
}

serve_dhcp() {
	[ "$NIC" = nic0 ] || return 0
	command -v dnsmasq >/dev/null || skip "dnsmasq is not installed"
	nsenter --net=/run/netns/lan dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --interface=lan0 --bind-interfaces --user=root \
		--dhcp-range=10.0.2.15,10.0.2.30,1h --dhcp-leasefile="$BATS_TEST_TMPDIR/leases" --pid-file= 3>&- &
	DNSMASQ=$!
}

release() {
	wait_for 5 nic_is_as_before
	"$NETSETUP" gc
	not is_here br-lan
}

# bats test_tags=vm
@test "uplink: a container in a bridge with the NIC gets its address by DHCP through it" {
	serve_dhcp
	lan_bundle
	cat >"$BUNDLE/rootfs/bin/lease" <<-'EOS'
	#!/bin/sh
	[ "$1" != bound ] || ip addr add "$ip/$mask" dev "$interface"
	EOS
	chmod +x "$BUNDLE/rootfs/bin/lease"
	config_args sh -c 'udhcpc -n -q -t 10 -T 1 -i eth0 -s /bin/lease && ip -o -4 addr show eth0 && exec sleep 1000'
	nsrun run -d -b "$BUNDLE" c >out 2>&1 3>&-
	wait_for 30 grep -q 'inet 10\.0\.2\.[0-9]*/24' out
	grep -q 'obtained from 10\.0\.2\.2' out
	[ "$(ip -j link show "$NIC" | jq -r '.[0].master')" = br-lan ]
	[ "$NIC" = eth0 ] || nsrun exec c ping -q -c 1 -W 2 10.0.2.2
	nsrun delete --force c
	release
}

@test "uplink: it stays for the last attachment; up, alias and down are given back" {
	ip link set "$NIC" up
	ip link set "$NIC" alias "rack 3/left"
	nic >"$BATS_TEST_TMPDIR/nic"
	lan_bundle
	config_args sleep 1000
	nsrun run -d -b "$BUNDLE" c1 3>&-
	nsrun run -d -b "$BUNDLE" c2 3>&-
	nsrun delete --force c1
	[ "$(ip -j link show "$NIC" | jq -r '.[0].master')" = br-lan ]
	"$NETSETUP" gc
	[ "$(ip -j link show "$NIC" | jq -r '.[0].master')" = br-lan ]
	"$NETSETUP" check --id c2
	ip link set "$NIC" nomaster
	sane_run "$NETSETUP" check --id c2
	[ "$status" -ne 0 ]
	[[ "$output" == *"$NIC, the uplink of br-lan, is no port of it"* ]]
	# Whoever took it may use it: it stays up, only the alias is given back.
	nsrun delete --force c2
	release
	ip link set "$NIC" alias ''
	ip link set "$NIC" down
}

@test "uplink: a NIC with an address, of another bridge, or none at all is refused and not touched" {
	lan_bundle
	ip addr add 192.0.2.1/24 dev "$NIC"
	nic >"$BATS_TEST_TMPDIR/nic"
	sane_run nsrun create -b "$BUNDLE" c
	[ "$status" -ne 0 ]
	[[ "$output" == *"cannot make $NIC the uplink of br-lan: it has the address 192.0.2.1/24, which would not work any more: remove it"* ]]
	nic_is_as_before
	ip addr del 192.0.2.1/24 dev "$NIC"

	ip link add br-other type bridge
	ip link set "$NIC" master br-other
	nic >"$BATS_TEST_TMPDIR/nic"
	sane_run nsrun create -b "$BUNDLE" c
	[ "$status" -ne 0 ]
	[[ "$output" == *"cannot make $NIC the uplink of br-lan: it belongs to br-other: release it there first"* ]]
	nic_is_as_before
	ip link del br-other

	lan_bundle '.uplink = "nonesuch"'
	sane_run nsrun create -b "$BUNDLE" c
	[ "$status" -ne 0 ]
	[[ "$output" == *"cannot make nonesuch the uplink of br-lan"* ]]
	not is_here br-lan
}

@test "uplink: a NIC that an administrator has put into the bridge stays there" {
	ip link add br-lan type bridge
	ip link set br-lan up
	ip link set "$NIC" master br-lan
	nic >"$BATS_TEST_TMPDIR/nic"
	lan_bundle
	config_args true
	nsrun run -b "$BUNDLE" c
	nic_is_as_before
	ip link set "$NIC" nomaster
}

# Killed as it enters the calls by which it makes, and undoes, something.
@test "uplink: an add or a del that was killed is undone by del, and by gc" {
	command -v strace >/dev/null || skip "strace is not installed"
	lan_bundle
	ip netns add box
	add=("$NETSETUP" add --id c --netns /run/netns/box "eth0=$BUNDLE/lan.conflist")
	for n in 2 3 4 5 6 7 8 9 10 11 12; do
		strace -qqq -o /dev/null -e trace=sendto -e "inject=sendto:signal=KILL:when=$n" "${add[@]}" 3>&- || true
		if ((n % 2)); then
			"$NETSETUP" del --id c
		else
			ip netns del box
			"$NETSETUP" gc
			ip netns add box
		fi
		wait_for 5 nic_is_as_before
	done
	for n in 1 2 3 4 5; do
		"${add[@]}" 3>&-
		strace -qqq -o /dev/null -e trace=sendto -e "inject=sendto:signal=KILL:when=$n" "$NETSETUP" del --id c 3>&- || true
		"$NETSETUP" gc
		"$NETSETUP" del --id c
		wait_for 5 nic_is_as_before
	done
	ip netns del box
	"$NETSETUP" gc
	not is_here br-lan
}
