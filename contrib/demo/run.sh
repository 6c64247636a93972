#!/bin/bash
# The main job, for real: two gateways with clients behind them over a small internet, everything in namespaces. Brings it
# up with nsrun, tests it (selftest.sh), draws it, takes it down, and checks that the host is as it was.
#
#   contrib/demo/run.sh           the whole thing; exit status 0 only if nothing failed
#   contrib/demo/run.sh up        brings it up and leaves it there; `down` takes it away
#
#   demo-client-a -- demo-gw-a ~~ WireGuard ~~ demo-gw-b -- demo-client-b
#                        :(its UDP socket)        | wan
#                      demo-inet (home LAN 192.168.178.0/24, 198.51.100.10 of the internet)
set -u
DEMO=$(cd "$(dirname "$0")" && pwd)
TOP=$(cd "$DEMO/../.." && pwd)
NSRUN=${NSRUN:-$TOP/build/nsrun}
NETSETUP=${NETSETUP:-$TOP/build/netsetup}
export NSRUN_NETSETUP=$NETSETUP
unset NETSETUP_ROOT # the gateways look for it in its usual place
PATH=$PATH:/usr/sbin:/sbin
WORK=${DEMO_DIR:-/var/lib/nsrun-demo} # not in /run, which a gateway has for itself: it holds the keys
SITE=http://www.fff.community/
CONTAINERS="demo-client-b demo-client-a demo-gw-b demo-gw-a demo-inet" # in the order of taking down
failed=0

nsrun() {
	"$NSRUN" "$@"
}

now() {
	local t=${EPOCHREALTIME/[.,]/}
	echo $((t / 1000))
}

die() {
	echo "demo: $*" >&2
	exit 1
}

# --- bundles ---------------------------------------------------------------------------------------------------------

edit() { # FILE JQ-PROGRAM [jq's arguments]
	local file=$1
	shift
	jq "$@" "$file" >"$file.new" && mv "$file.new" "$file" || die "cannot edit $file"
}

# The gateway bundle for one place: its name, the numbers that differ, and a shorter hello than a real mesh wants.
make_gateway() { # LETTER CLIENT-NET ROUTER-ID
	local dir=$WORK/gw-$1
	cp -r --preserve=mode "$TOP/contrib/gateway-bundle" "$dir"
	sed -i "s/10\.50\.64\./10.50.$2./g; s/fd43:5602:29bd:64:/fd43:5602:29bd:$2:/g; s/10\.83\.252\.1\b/10.83.252.$3/g
		s/fd43:5602:29bd:ffff::a\b/fd43:5602:29bd:ffff::$1/; s/fe80::a\b/fe80::$1/; s/gateway\.fff/gw-$1.fff/g
		s/hello-interval 4 update-interval 16/hello-interval 0.25 update-interval 1/" "$dir"/etc/* "$dir"/net/* "$dir"/*.json
	edit "$dir/config.json" '.hostname = $name | .annotations["org.nsrun.netns"] = "demo-" + $name' --arg name "gw-$1"
}

# The other gateway as the one peer.
set_peer() { # LETTER PUBLIC-KEY ENDPOINT JQ-PROGRAM
	edit "$WORK/gw-$1/net/wg-peer.conflist" '.plugins[0] |= (
		.privateKeyFile = $key | .peers = [{publicKey: $public, endpoint: $endpoint,
			allowedIPs: ["0.0.0.0/0", "::/0"], persistentKeepalive: 25}] | '"$4"')' \
		--arg key "$WORK/gw-$1.key" --arg public "$2" --arg endpoint "$3"
}

make_bundles() {
	local key_a key_b client
	key_a=$("$NETSETUP" key "$WORK/gw-a.key") && key_b=$("$NETSETUP" key "$WORK/gw-b.key") || die "cannot make keys"
	cp -r --preserve=mode "$DEMO/inet" "$WORK/inet"

	# a: the UDP socket is born in demo-inet, so a has no leg there. It asks b for names.
	make_gateway a 64 1
	set_peer a "$key_b" 192.168.178.21:51820 '.hostNetns = "demo-inet"'
	sed -i 's/fd43:5602:29bd:ffff:1:1:1:1/10.83.252.2/' "$WORK/gw-a/etc/dnsmasq.conf"

	# b: the exit, with a leg in the home LAN, and the mesh's name server.
	make_gateway b 65 2
	set_peer b "$key_a" 192.168.178.1:51820 '.birthplace = "container"'
	sed -i '/^server=/d; /^rev-server=/d' "$WORK/gw-b/etc/dnsmasq.conf"
	printf '%s\n' 'local=/fff.community/' 'host-record=www.fff.community,198.51.100.10' >>"$WORK/gw-b/etc/dnsmasq.conf"
	cp "$WORK/gw-b/examples/wan.conflist" "$WORK/gw-b/net/wan.conflist"
	edit "$WORK/gw-b/net/wan.conflist" '.plugins[0] |= (.bridge = "br-wan" | .hostNetns = "demo-inet")'
	edit "$WORK/gw-b/config.json" '.annotations["org.nsrun.net.wan"] = "net/wan.conflist"'

	for client in a b probe; do
		cp -r --preserve=mode "$DEMO/client" "$WORK/client-$client"
		edit "$WORK/client-$client/config.json" '.hostname = $name | .annotations["org.nsrun.netns"] = "demo-" + $name' \
			--arg name "client-$client"
		edit "$WORK/client-$client/net/eth0.conflist" '.plugins[0].hostNetns = $gw' --arg gw "demo-gw-${client/probe/a}"
	done
}

# --- up and down ------------------------------------------------------------------------------------------------------

start() { # NAME: the container demo-NAME of the bundle NAME
	nsrun run -d --bundle "$WORK/$1" "demo-$1" </dev/null >"$WORK/$1.log" 2>&1 || {
		echo "demo: cannot start demo-$1:" >&2
		cat "$WORK/$1.log" >&2
		return 1
	}
}

start_both() {
	local pid code=0
	start "$1" &
	pid=$!
	start "$2" || code=1
	wait $pid || code=1
	return $code
}

client_a() {
	nsrun exec demo-client-a busybox "$@"
}

# Names, tunnel, routes and masquerade all have to work for this. A question that is lost is not waited for.
first_answer() {
	local end=$((SECONDS + 20))
	until [ "$(nsrun exec demo-client-a timeout 0.3 busybox wget -q -O - "$SITE" 2>/dev/null)" = internet-ok ]; do
		((SECONDS < end)) || return 1
		sleep 0.02
	done
}

up() {
	local t0
	mkdir -m 700 "$WORK" || die "cannot make $WORK (run.sh down removes it)"
	make_bundles
	t0=$(now)
	# One gateway after the other: two that greet each other in the same moment both take the other's answer for invalid, and
	# WireGuard tries again only after 5 s. b first: a's greeting to a b that is not there yet would wait in the ARP queue and
	# be sent in just that moment.
	start inet && start gw-b && start gw-a && start_both client-a client-b || return 1
	echo "containers are started after $(($(now) - t0)) ms"
	if ! first_answer; then
		echo "FAIL the client got no answer from $SITE within 20 s"
		return 1
	fi
	echo "first answer by name through the tunnel after $(($(now) - t0)) ms"
}

down() {
	local id code=0
	for id in demo-client-probe $CONTAINERS; do
		[ -d "$ROOT/$id" ] || continue
		nsrun kill "$id" TERM 2>/dev/null
	done
	for id in demo-client-probe $CONTAINERS; do
		[ -d "$ROOT/$id" ] || continue
		nsrun delete --force "$id" || code=1
	done
	rm -rf "$WORK"
	return $code
}

# --- the host ---------------------------------------------------------------------------------------------------------

# Everything that could be left. Processes: those of the programs that the demo starts.
host_state() {
	echo "links: $(ls /sys/class/net | sort | tr '\n' ' ')"
	echo "netns: $(ls /run/netns 2>/dev/null | sort | tr '\n' ' ')"
	echo "mounts:"
	# The directory of names becomes a mount of its own with the first name, for good, as with `ip netns add`.
	awk '$5 != "/run/netns" { print "  " $5 }' /proc/self/mountinfo | sort
	echo "nft:"
	nft list ruleset 2>/dev/null
	echo "processes:"
	ps_names | sort
	echo "cgroups:"
	find /sys/fs/cgroup -mindepth 2 -type d 2>/dev/null | grep demo- | sort
	echo "state:"
	find "$ROOT" /run/netsetup /var/run/wireguard -mindepth 1 2>/dev/null | grep -v '/\.\?lock$' | sort
	echo "sysctl: $(cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding 2>/dev/null | tr '\n' ' ')"
	echo "hostname: $(cat /proc/sys/kernel/hostname)"
}

ps_names() {
	local dir name state
	for dir in /proc/[0-9]*; do
		{ read -r name <"$dir/comm" && read -r state <"$dir/stat"; } 2>/dev/null || continue
		case ${state##*) } in Z*) continue ;; esac
		case $name in
		nsrun | netsetup | wireguard-go | babeld | dnsmasq | prometheus-node | busybox | udhcpc | httpd)
			echo "  $name"
			;;
		esac
	done
}

# Links and namespaces go asynchronously in the kernel, so there is some grace.
host_is_as_before() {
	local tries=100
	until host_state >"$STATE.after" && diff "$STATE.before" "$STATE.after" >"$STATE.diff"; do
		((tries-- > 0)) || return 1
		sleep 0.05
	done
}

check_host() {
	if host_is_as_before; then
		echo "ok 16 nothing is left on the host"
	else
		echo "FAIL 16 nothing is left on the host: (< before, > after)"
		cat "$STATE.diff"
		failed=1
	fi
}

# --- the whole ---------------------------------------------------------------------------------------------------------

demo() {
	STATE=$(mktemp -d)/host
	host_state >"$STATE.before"
	trap 'down; rm -rf "$(dirname "$STATE")"; exit 1' INT TERM
	if up; then
		. "$DEMO/selftest.sh"
		selftest || failed=1
		echo
		nsrun graph $(printf '%s\n' $CONTAINERS | sort) || failed=1
		echo
	else
		failed=1
		diagnose
	fi
	down || failed=1
	check_host
	rm -rf "$(dirname "$STATE")"
	if [ $failed = 0 ]; then echo "demo: all is well"; else echo "demo: FAILED"; fi
	return $failed
}

diagnose() {
	local id
	for id in $CONTAINERS; do
		[ -d "$ROOT/$id" ] || continue
		echo "--- $id"
		nsrun services "$id"
		nsrun logs "$id" | tail -n 20
	done
}

ROOT=/run/nsrun
[ "$(id -u)" = 0 ] || die "must be root"
[ -x "$NSRUN" ] && [ -x "$NETSETUP" ] || die "build first: make"
case ${1:-} in
'') demo ;;
up) up ;;
down) down ;;
*) die "usage: run.sh [up|down]" ;;
esac
