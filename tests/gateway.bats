#!/usr/bin/env bats
# The main job: contrib/gateway-bundle alone, twice, and in the demo with everything around it.
# bats file_tags=net

load helpers

setup() {
	local program
	has_kernel_wireguard || [ -c /dev/net/tun ] || skip "neither the kernel's WireGuard nor /dev/net/tun for wireguard-go"
	has_kernel_wireguard || command -v wireguard-go >/dev/null || skip "wireguard-go is not installed"
	for program in babeld dnsmasq nft prometheus-node-exporter busybox; do
		command -v $program >/dev/null || skip "$program is not installed"
	done
	common_setup
	# The bundle shows its services netsetup's usual directory.
	unset NETSETUP_ROOT
	cd "$BATS_TEST_TMPDIR"
}

has_kernel_wireguard() {
	ip link add probe type wireguard 2>/dev/null && ip link del probe
}

# copy NAME: the bundle as it is, but for the place of its key (which is made on first use) and its name.
copy() {
	cp -a "$TOP/contrib/gateway-bundle" "$1"
	jq --arg key "$PWD/$1.key" '.plugins[0].privateKeyFile = $key' "$1/net/wg-peer.conflist" >new
	mv new "$1/net/wg-peer.conflist"
	jq --arg name "$1" '.hostname = $name | .annotations["org.nsrun.netns"] = $name' "$1/config.json" >new
	mv new "$1/config.json"
}

all_run() {
	[ "$(nsrun services --format json "$1" | jq -r '[.. | .state? // empty] | sort | unique | join(" ")')" = "done running" ]
}

@test "the bundle's files are correct" {
	cd "$TOP/contrib/gateway-bundle"
	"$NSRUN" spec --check config.json
	nft -c -f etc/firewall.nft
	dnsmasq --test --conf-file=etc/dnsmasq.conf
	for file in net/*.conflist; do
		jq -e '.cniVersion and .name and (.plugins | length > 0)' "$file"
	done
}

@test "nsrun run gateway-bundle: in the foreground, with the services' log; INT stops it" {
	copy gateway
	(nsrun run gateway >log 2>&1 3>&-; echo "status $?" >>log) 3>&- &
	runner=$!
	wait_for 10 all_run gateway
	ip netns list | grep -q '^gateway'
	ip netns exec gateway ip addr show br-client | grep -q 10.50.64.1/24
	nsrun exec gateway hostname | grep -qx gateway
	nsrun exec gateway cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding >forwarding
	[ "$(xargs <forwarding)" = "1 1" ]
	nsrun exec gateway busybox nslookup gateway.fff.community | grep -q 10.50.64.1
	nsrun exec gateway sh -c 'busybox wget -q -O - http://10.83.252.1:9100/metrics' | grep -q 'node_network_up{device="wg-peer"}'
	[ -s gateway.key.pub ]
	grep -qE '^[0-9T:.-]+Z? ?.*dnsmasq' log
	nsrun kill gateway INT
	wait $runner
	tail -n 1 log
	grep -qx 'status 0' log
	not nsrun state gateway
	[ ! -e /run/netns/gateway ]
}

@test "in the background; twice, with the same interface names" {
	copy one
	copy two
	jq '.plugins[0].listenPort = 51821' two/net/wg-peer.conflist >new
	mv new two/net/wg-peer.conflist
	nsrun run -d -b one one
	nsrun run -d -b two two
	wait_for 10 all_run one
	wait_for 10 all_run two
	for name in one two; do
		ip netns exec $name ip link show wg-peer
		ip netns exec $name ip link show br-client
		nsrun logs $name | grep -q firewall
		# Each has its own pid files, leases and /sys.
		nsrun exec $name sh -c 'test -d /run/dnsmasq && test ! -e /run/nsrun && test -e /sys/class/net/wg-peer'
	done
	[ "$(pgrep -c -x babeld)" = 2 ]
	nsrun delete --force one
	wait_for 5 all_run two
	nsrun exec two busybox nslookup gateway.fff.community | grep -q 10.50.64.1
	nsrun delete --force two
}

# bats test_tags=vm
@test "a gateway that was killed is taken away by delete --force, with its tunnel" {
	copy one
	nsrun run -d -b one one
	wait_for 10 all_run one
	kill -9 "$(nsrun state one | jq .pid)"
	wait_for 5 status_is one stopped
	nsrun delete --force one
	not pgrep -x wireguard-go
	not ip link show wg-peer
	[ -z "$(ss -Huln 'sport = 51820')" ]
}

@test "wireguard-go dies: the service makes the tunnel again, babeld goes on" {
	not has_kernel_wireguard || skip "the kernel's WireGuard does not die"
	copy one
	nsrun run -d -b one one
	wait_for 10 all_run one
	kill -9 "$(cut -d' ' -f1 /run/netsetup/wireguard/*/pid)"
	wait_for 5 has_new_tunnel
	nsrun service one reload wireguard
	wait_for 10 has_reloaded
	nsrun delete --force one
}

has_new_tunnel() {
	nsrun logs one wireguard | grep -q "made again" && ip -n one addr show wg-peer | grep -q fe80::a/64
}

has_reloaded() {
	nsrun logs one wireguard | grep -q "keys and peers reloaded"
}

# bats test_tags=vm
@test "the demo: two gateways, clients, internet, the self-test, nothing left" {
	DEMO_DIR=$BATS_TEST_TMPDIR/demo "$TOP/contrib/demo/run.sh" >out 2>&1 3>&- || { cat out; false; }
	cat out
	for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17; do
		grep -q "^ok $n " out
	done
	not grep -q ^FAIL out
	grep -q "first answer by name through the tunnel after" out
	grep -q "wg-peer of demo-gw-b, handshake" out
	grep -q "^demo: all is well" out
}
