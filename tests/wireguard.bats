#!/usr/bin/env bats
# The link type wireguard: birth, keys, peers, daemon, and that nothing of it stays.
# Tests whose names begin with "kernel:" have the kernel make the device, the others wireguard-go.
# bats file_tags=net

load helpers

setup() {
	case $BATS_TEST_DESCRIPTION in
	kernel:*) needs_kernel_wireguard ;;
	*) needs_wireguard_go ;;
	esac
	for name in wan one two; do
		ip netns add "$name"
	done
	common_setup
	cd "$BATS_TEST_TMPDIR"
	ip -n wan link set lo up
	KEY_ONE=$("$NETSETUP" key "$PWD/one.key")
	KEY_TWO=$("$NETSETUP" key "$PWD/two.key")
	conf one 51821 "$KEY_TWO" 127.0.0.1:51822
	conf two 51822 "$KEY_ONE" 127.0.0.1:51821
}

teardown() {
	common_teardown
	for name in wan one two; do
		ip netns del "$name" 2>/dev/null || true
	done
}

needs_wireguard_go() {
	[ -c /dev/net/tun ] || skip "no /dev/net/tun for wireguard-go"
	command -v wireguard-go >/dev/null || skip "wireguard-go is not installed"
}

needs_kernel_wireguard() {
	ip link add probe type wireguard 2>/dev/null || skip "this kernel has no WireGuard"
	ip link del probe
	USERSPACE=never
}

# conf NAME PORT PEER-KEY ENDPOINT: NAME.conflist, both ends born in wan; jq programs change it with edit.
conf() {
	cat >"$1.conflist" <<-JSON
	{
	  "cniVersion": "1.1.0", "name": "mesh", "plugins": [{
	    "type": "wireguard", "hostNetns": "wan", "userspace": "${USERSPACE:-always}", "privateKeyFile": "$PWD/$1.key",
	    "listenPort": $2, "addresses": ["fe80::${2#5182}/64", "10.9.0.${2#5182}/32"],
	    "peers": [{"publicKey": "$3", "endpoint": "$4", "allowedIPs": ["0.0.0.0/0", "::/0"], "persistentKeepalive": 25}]
	  }]
	}
	JSON
}

edit() { # NAME JQ-PROGRAM
	jq ".plugins[0] |= ($2)" "$1.conflist" >"$1.new"
	mv "$1.new" "$1.conflist"
}

add() {
	"$NETSETUP" add --id "c-$1" --netns "/run/netns/$1" "wg0=$PWD/$1.conflist"
}

del() {
	"$NETSETUP" del --id "c-$1" --netns "/run/netns/$1"
}

daemon_pid() { # NAME
	local dir
	for dir in "$NETSETUP_ROOT"/wireguard/*/; do
		[ "$(jq -r .containerID "$dir/owner.json")" != "c-$1" ] || cut -d' ' -f1 "$dir/pid"
	done
}

reaches() {
	ip netns exec one ping -c 1 -W 1 fe80::2%wg0 >/dev/null
}

wg() { # NAME JQ-PROGRAM over the device's state
	"$NETSETUP" show --netns "/run/netns/$1" | jq -r ".namespaces[0].links[] | select(.name == \"wg0\").wireguard | $2"
}

@test "key makes a key once, for root only, and prints the public key that wg prints" {
	[ "$(command wg pubkey <one.key)" = "$KEY_ONE" ]
	[ "$(cat one.key.pub)" = "$KEY_ONE" ]
	[ "$(stat -c %a one.key)" = 600 ]
	[ "$("$NETSETUP" key "$PWD/one.key")" = "$KEY_ONE" ]
	echo "no key" >bad.key
	sane_run "$NETSETUP" key "$PWD/bad.key"
	[ "$status" -eq 1 ]
	[[ "$output" == *"bad.key' holds no key"* ]]
}

@test "the device lives in the container, its socket in the birthplace" {
	add one
	link=$(ip -n one -j -d addr show wg0)
	[ "$(jq -r '.[0].mtu' <<<"$link")" = 1420 ]
	[ "$(jq -r '.[0].flags | index("UP") != null and index("MULTICAST") != null' <<<"$link")" = true ]
	[ "$(jq -r '[.[0].addr_info[].local] | sort | join(" ")' <<<"$link")" = "10.9.0.1 fe80::1" ]
	[ "$(ip -n one -j -d link show wg0 | jq -r '.[0].inet6_addr_gen_mode')" = none ]
	ip netns exec wan ss -Huln | grep -q ':51821 '
	ip netns exec one ss -Huln | not grep -q ':51821 '
	[ "$(ip -n wan -o link | wc -l)" = 1 ]
	[ ! -e /var/run/wireguard ]
	[ "$(wg one .listenPort)" = 51821 ]
	[ "$(wg one .publicKey)" = "$KEY_ONE" ]
	del one
	not ip -n one link show wg0
	ip netns exec wan ss -Huln | not grep -q ':51821 '
}

@test "two of them with one name greet each other at once, and CHECK verifies" {
	add one
	add two
	wait_for 10 reaches
	[ "$(wg one '(now - .peers[0].latestHandshake) < 10')" = true ]
	[ "$(wg one '.peers[0].rxBytes > 0 and .peers[0].txBytes > 0')" = true ]
	[ "$(wg one '.peers[0].allowedIPs | join(" ")')" = "0.0.0.0/0 ::/0" ]
	"$NETSETUP" check --id c-one --netns /run/netns/one
	ip -n one addr del 10.9.0.1/32 dev wg0
	sane_run "$NETSETUP" check --id c-one --netns /run/netns/one
	[ "$status" -eq 1 ]
	[[ "$output" == *"10.9.0.1"* ]]
	ip -n one addr add 10.9.0.1/32 dev wg0
	edit one '.peers += [{publicKey: "'"$KEY_ONE"'"}]'
	kill -9 "$(daemon_pid one)"
	wait_for 10 test ! -e "/proc/$(daemon_pid one)/fd/0"
	run "$NETSETUP" check --id c-one --netns /run/netns/one
	[ "$status" -eq 1 ]
	del one
	del two
}

@test "birthplace container, and one named by path" {
	edit one '.birthplace = "container" | del(.hostNetns)'
	add one
	ip netns exec one ss -Huln | grep -q ':51821 '
	del one
	edit one '.birthplace = "/run/netns/two"'
	add one
	ip netns exec two ss -Huln | grep -q ':51821 '
	del one
	edit one '.birthplace = "nowhere"'
	sane_run add one
	[ "$status" -eq 1 ]
	[[ "$output" == *birthplace* && "$output" == *nowhere* ]]
}

@test "static IPAM, routes, MTU, a port of the kernel's choice, preshared key" {
	command wg genpsk >psk
	edit one '.ipam = {type: "static", addresses: [{address: "10.8.0.1/24"}], routes: [{dst: "10.7.0.0/16"}]}
		| .mtu = 1380 | del(.listenPort) | .peers[0].presharedKeyFile = "'"$PWD/psk"'"'
	add one
	[ "$(ip -n one -j link show wg0 | jq '.[0].mtu')" = 1380 ]
	ip -n one addr show wg0 | grep -q 'inet 10.8.0.1/24'
	ip -n one route show 10.7.0.0/16 | grep -q wg0
	[ "$(wg one '.listenPort > 1024')" = true ]
	"$NETSETUP" check --id c-one --netns /run/netns/one
	del one
}

@test "endpoints by name, and of IPv6" {
	local endpoint want
	while read -r endpoint want; do
		conf one 51821 "$KEY_TWO" "$endpoint"
		add one
		[ "$(wg one '.peers[0].endpoint')" = "$want" ]
		del one
	done <<-'CASES'
		localhost:51822 127.0.0.1:51822
		[::1]:51822 [::1]:51822
	CASES
}

@test "what is wrong is named, and leaves nothing" {
	while IFS='|' read -r change message; do
		conf one 51821 "$KEY_TWO" 127.0.0.1:51822
		edit one "$change"
		sane_run add one
		[ "$status" -eq 1 ]
		[[ "$output" == *"$message"* ]]
		[ "$(ip -n one -o link | wc -l)" = 1 ]
		assert_clean
	done <<-'CASES'
		.privateKeyFile = "/nonexistent/key"|key file '/nonexistent/key' does not exist
		.privateKeyFile = "relative"|privateKeyFile
		del(.privateKeyFile)|privateKeyFile
		.peers[0].publicKey = "short"|publicKey 'short' is no key
		.peers[0].endpoint = "192.0.2.1"|endpoint '192.0.2.1' is neither
		.peers[0].endpoint = "2001:db8::1:51820"|is neither
		.peers[0].endpoint = "192.0.2.1:https"|endpoint '192.0.2.1:https': the port is no number
		.peers[0].endpoint = "gateway.invalid:51820"|cannot resolve endpoint 'gateway.invalid:51820': no address found
		.peers[0].endpoint = "--help:51820"|cannot resolve endpoint '--help:51820': no address found
		.peers[0].endpoint = "[fe80::1%eth0]:51820"|an address with its link is not supported
		.peers[0].allowedIPs = ["10.0.0.0/99"]|allowedIPs[0]: '10.0.0.0/99'
		.peers[0].persistentKeepalive = 70000|70000
		.addresses = ["10.0.0.300"]|addresses[0]: '10.0.0.300'
		.listenPort = 65536|65536
		.userspace = "perhaps"|userspace
	CASES
}

@test "createKey makes the key on first use only" {
	edit one '.privateKeyFile = "'"$PWD/new/dir/key"'" | .createKey = true'
	add one
	[ "$(wg one .publicKey)" = "$(cat new/dir/key.pub)" ]
	before=$(cat new/dir/key)
	del one
	add one
	[ "$(cat new/dir/key)" = "$before" ]
	del one
}

@test "an interface of that name in the container is not touched" {
	ip -n one link add wg0 type veth peer name other
	sane_run add one
	[ "$status" -eq 1 ]
	[[ "$output" == *"has an interface wg0 already"* ]]
	ip -n one link show wg0
	ip -n one link del wg0
}

@test "userspace never is refused where the kernel has no WireGuard" {
	if ip -n wan link add probe type wireguard 2>/dev/null; then
		ip -n wan link del probe
		skip "this kernel has WireGuard"
	fi
	edit one '.userspace = "never"'
	sane_run add one
	[ "$status" -eq 1 ]
	[[ "$output" == *"this kernel has no WireGuard"* ]]
}

# bats test_tags=vm
@test "kernel: two of them, configured by generic netlink, with their sockets in the birthplace" {
	edit one '.peers[0].allowedIPs = [range(200) | "10.\(.).0.0/16"] + ["fe80::/10"]'
	edit two '.userspace = "auto"'
	add one
	add two
	ip -n one -d -j link show wg0 >link
	[ "$(jq -r '.[0].linkinfo.info_kind' link)" = wireguard ]
	[ "$(jq -r '.[0].mtu' link)" = 1420 ]
	[ "$(jq -r '.[0].inet6_addr_gen_mode' link)" = none ]
	[ "$(ip -n wan -o link | wc -l)" = 1 ]
	ip netns exec wan ss -Huln | grep -q ':51821 '
	ip netns exec one ss -Huln | not grep -q ':51821 '
	wait_for 10 reaches
	[ "$(wg one '.peers[0].allowedIPs | length')" = 201 ]
	[ "$(wg one '(now - .peers[0].latestHandshake) < 10')" = true ]
	"$NETSETUP" check --id c-one --netns /run/netns/one
	del one
	not ip -n one link show wg0
	ip netns exec wan ss -Huln | not grep -q ':51821 '
	del two
}

# bats test_tags=vm
@test "kernel: birthplace container, and one named by path; the device goes with its container" {
	edit one '.birthplace = "container" | del(.hostNetns)'
	add one
	ip netns exec one ss -Huln | grep -q ':51821 '
	del one
	edit one '.birthplace = "/run/netns/two"'
	add one
	ip netns exec two ss -Huln | grep -q ':51821 '
	ip netns del one
	"$NETSETUP" del --id c-one
	wait_for 5 port_is_free two 51821
	ip netns add one
}

port_is_free() {
	! ip netns exec "$1" ss -Huln | grep -q ":$2 "
}

# A runtime's ADD, as opposed to `netsetup add`, is killed when the device is in its birthplace.
# bats test_tags=vm
@test "kernel: CNI's GC takes a device that a killed ADD has left in its birthplace, and no other" {
	command -v strace >/dev/null || skip "strace is not installed"
	add two
	jq -c '.plugins[0] + {cniVersion, name}' one.conflist >one.conf
	export CNI_PATH=/usr/lib/cni
	for n in 1 2 3 4 5 6 7 8; do
		CNI_COMMAND=ADD CNI_CONTAINERID=c-one CNI_NETNS=/run/netns/one CNI_IFNAME=wg0 strace -qqq -o /dev/null -e trace=sendto \
			-e "inject=sendto:signal=KILL:when=$n" "$NETSETUP" <one.conf >/dev/null 3>&- || true
		[ "$(ip -n wan -o link | wc -l)" = 1 ] || break
	done
	[ "$(ip -n wan -o link | wc -l)" = 2 ]
	# Another network's GC, and one that names it, leave it.
	jq -c '.name = "other" | .["cni.dev/valid-attachments"] = []' one.conf | CNI_COMMAND=GC "$NETSETUP"
	jq -c '.["cni.dev/valid-attachments"] = [{containerID: "c-one", ifname: "wg0"}, {containerID: "c-two", ifname: "wg0"}]' one.conf |
		CNI_COMMAND=GC "$NETSETUP"
	[ "$(ip -n wan -o link | wc -l)" = 2 ]
	jq -c '.["cni.dev/valid-attachments"] = [{containerID: "c-two", ifname: "wg0"}]' one.conf | CNI_COMMAND=GC "$NETSETUP"
	[ "$(ip -n wan -o link | wc -l)" = 1 ]
	ip -n two link show wg0
	"$NETSETUP" gc
	del two
}

# bats test_tags=vm
@test "kernel: an add that was killed is undone by del, and by gc" {
	command -v strace >/dev/null || skip "strace is not installed"
	for n in 2 3 4 5 6 7; do
		strace -qqq -o /dev/null -e trace=sendto -e "inject=sendto:signal=KILL:when=$n" \
			"$NETSETUP" add --id c-one --netns /run/netns/one "wg0=$PWD/one.conflist" 3>&- || true
		if ((n % 2)); then
			"$NETSETUP" del --id c-one
		else
			ip netns del one
			"$NETSETUP" gc
			ip netns add one
		fi
		wait_for 5 nothing_left
	done
}

@test "del works when the namespaces are gone, and twice" {
	add one
	ip netns del one
	ip netns del wan
	"$NETSETUP" del --id c-one
	"$NETSETUP" del --id c-one
	[ ! -e "$NETSETUP_ROOT/wireguard" ]
	ip netns add one
	ip netns add wan
}

# Killed as it enters the calls in which it makes something: directory, daemon, device, keys, move, addresses.
@test "an add that was killed is undone by del, and by gc" {
	command -v strace >/dev/null || skip "strace is not installed"
	tries=0
	for call in mkdir:8 wait4:1 read:8 read:9 read:10 connect:1 sendto:{1..9}; do
		strace -qqq -o /dev/null -e trace="${call%:*}" -e "inject=${call%:*}:signal=KILL:when=${call#*:}" \
			"$NETSETUP" add --id c-one --netns /run/netns/one "wg0=$PWD/one.conflist" 3>&- || true
		if ((tries++ % 2)); then
			"$NETSETUP" del --id c-one
		else
			ip netns del one
			"$NETSETUP" gc
			ip netns add one
		fi
		wait_for 10 nothing_left
	done
}

nothing_left() {
	[ ! -e "$NETSETUP_ROOT/wireguard" ] && [ "$(ip -n wan -o link | wc -l)" = 1 ] && ! pgrep -x wireguard-go &&
		not ip -n one link show wg0 2>/dev/null
}

@test "keep makes the device again, reloads peers, and leaves it when it ends" {
	add one
	add two
	wait_for 10 reaches
	"$NETSETUP" keep --id c-one "wg0=$PWD/one.conflist" 3>&- 2>keep.log &
	keeper=$!
	old=$(daemon_pid one)
	kill -9 "$old"
	wait_for 8 reaches
	[ "$(daemon_pid one)" != "$old" ]
	ip -n one link del wg0
	wait_for 8 reaches
	other=$(command wg genkey | command wg pubkey)
	edit one '.peers += [{publicKey: "'"$other"'", allowedIPs: ["10.99.0.0/16"]}]'
	shake=$(wg one '.peers[0].latestHandshake')
	kill -HUP $keeper
	wait_for 10 peers_are one 2
	[ "$(wg one '[.peers[].latestHandshake] | max')" = "$shake" ]
	edit one 'del(.peers[1])'
	kill -HUP $keeper
	wait_for 10 peers_are one 1
	kill -TERM $keeper
	wait $keeper
	reaches
	grep -q "made again" keep.log
	del one
	del two
}

peers_are() {
	[ "$(wg "$1" '.peers | length')" = "$2" ]
}

@test "keep ends by itself when the attachment is taken back" {
	add one
	"$NETSETUP" keep --id c-one wg0 3>&- 2>keep.log &
	keeper=$!
	del one
	wait $keeper
	sane_run "$NETSETUP" keep --id c-one wg0
	[ "$status" -eq 1 ]
	[[ "$output" == *"has no attachment wg0"* ]]
}
