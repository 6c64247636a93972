# The self-test of a gateway, sourced by run.sh: one line a check, "ok N name", "FAIL N name: reason" or "skip N name: reason".
# A check prints its reason and returns 1 (failed) or 77 (cannot be tested here). Measurements inside a namespace (a counting
# nft table, a changed MTU) are taken back by the check that made them.

A=demo-gw-a B=demo-gw-b CA=demo-client-a INET=demo-inet
WEB=198.51.100.10 NAS=192.168.178.74

in_() { # CONTAINER COMMAND...
	nsrun exec "$@"
}

show() { # CONTAINER: its namespace as JSON
	"$NETSETUP" show --netns "/run/netns/$1" | jq '.namespaces[0]'
}

retry() { # SECONDS COMMAND...
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		((SECONDS < end)) || return 1
		sleep 0.05
	done
}

fetch() {
	[ "$(in_ $CA timeout 2 busybox wget -q -O - "${1:-$SITE}" 2>/dev/null)" = internet-ok ]
}

reaches() { # CONTAINER ADDRESS [ping's options]
	in_ "$1" busybox ping -c 1 -W 2 "${@:3}" "$2" >/dev/null 2>&1
}

babel() { # CONTAINER: babeld's tables
	in_ "$1" sh -c '{ echo dump; echo quit; } | busybox nc -w 2 ::1 33123'
}

# A table that only counts: count_begin CONTAINER HOOK RULE; count_end prints the packets.
count_begin() {
	in_ "$1" nft "table inet probe { chain c { type filter hook $2 priority -450; $3 counter comment \"probe\"; }; }"
}

count_end() {
	in_ "$1" nft -j list table inet probe | jq '[.. | .counter? | objects | .packets] | add'
	in_ "$1" nft delete table inet probe
}

drops() { # CONTAINER COMMENT: packets that the rule has counted
	in_ "$1" nft -j list table inet gateway |
		jq --arg c "$2" '[.nftables[].rule? | select(.comment == $c) | .expr[] | .counter? | objects | .packets] | add'
}

# --- the checks --------------------------------------------------------------------------------------------------------

test_1_namespaces() {
	local name=gw-a links
	[ -e /run/netns/$A ] || { echo "/run/netns/$A is missing"; return 1; }
	[ "$(in_ $A hostname)" = $name ] || { echo "hostname is $(in_ $A hostname)"; return 1; }
	[ "$(cat /proc/sys/kernel/hostname)" != $name ] || { echo "the host's name was changed"; return 1; }
	in_ $A test ! -e /run/nsrun || { echo "/run is the host's"; return 1; }
	links=$(show $A | jq -r '.links[].name' | sort | tr '\n' ' ')
	[ "$(in_ $A ls /sys/class/net | grep -v bonding_masters | sort | tr '\n' ' ')" = "$links" ] ||
		{ echo "/sys/class/net is not of this namespace"; return 1; }
	in_ $A grep -q 127.0.0.1 /etc/resolv.conf || { echo "resolv.conf is the host's"; return 1; }
}

test_2_links() {
	local gw state
	for gw in $A $B; do
		state=$(show $gw)
		jq -e 'all(.links[]; .up)' <<<"$state" >/dev/null ||
			{ echo "$gw: down: $(jq -r '.links[] | select(.up | not) | .name' <<<"$state")"; return 1; }
		jq -e '.links[] | select(.name == "wg-peer") | .mtu == 1420' <<<"$state" >/dev/null ||
			{ echo "$gw: wg-peer has not MTU 1420"; return 1; }
		jq -e 'any(.links[]; .master == "br-client")' <<<"$state" >/dev/null || { echo "$gw: br-client has no port"; return 1; }
	done
	[ "$(in_ $CA cat /sys/class/net/eth0/mtu)" = 1420 ] || { echo "the client has not MTU 1420"; return 1; }
}

test_3_forwarding() {
	local gw host
	for gw in $A $B; do
		[ "$(in_ $gw cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding | tr -d '\n')" = 11 ] ||
			{ echo "$gw does not forward"; return 1; }
	done
	host="sysctl: $(cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding | tr '\n' ' ')"
	[ ! -f "${STATE:-}.before" ] || grep -qxF "$host" "$STATE.before" || { echo "the host's value changed: $host"; return 1; }
}

wg_numbers() { # CONTAINER: handshake age, rx, tx of each peer
	show "$1" | jq -r '.links[].wireguard.peers[]? | "\((now | floor) - .latestHandshake) \(.rxBytes) \(.txBytes)"'
}

test_4_wireguard() {
	local gw age rx tx age2 rx2 tx2
	for gw in $A $B; do
		read -r age rx tx < <(wg_numbers $gw) || { echo "$gw: no peer"; return 1; }
		((age < 180)) || { echo "$gw: the last handshake was $age s ago"; return 1; }
		reaches $gw fe80::$([ $gw = $A ] && echo b || echo a)%wg-peer
		read -r age2 rx2 tx2 < <(wg_numbers $gw)
		((rx2 > rx && tx2 > tx)) || { echo "$gw: counters do not grow: rx $rx -> $rx2, tx $tx -> $tx2"; return 1; }
	done
}

test_5_babel() {
	local dump wrong
	dump=$(babel $A)
	grep -q '^add neighbour.* cost [0-9]' <<<"$dump" && ! grep -q '^add neighbour.* cost 65535' <<<"$dump" ||
		{ echo "no neighbour with a finite cost"; return 1; }
	for prefix in 10.50.64.0/24 10.83.252.1/32 fd43:5602:29bd:64::/64; do
		grep -q "^add xroute.* prefix $prefix " <<<"$dump" || { echo "$prefix is not announced"; return 1; }
	done
	wrong=$(grep '^add xroute' <<<"$dump" | grep -vE 'prefix (10\.50\.64\.|10\.83\.252\.1/|fd43:5602:29bd:)')
	[ -z "$wrong" ] || { echo "announced, too: $wrong"; return 1; }
	show $A | jq -e 'any(.routes[]; .dst == "default" and .protocol == "babel" and .via and .type == null)' >/dev/null ||
		{ echo "no default route by babel is installed"; return 1; }
}

test_6_peers() {
	reaches $A fe80::b%wg-peer || { echo "a does not reach fe80::b"; return 1; }
	reaches $B fe80::a%wg-peer || { echo "b does not reach fe80::a"; return 1; }
	reaches $A 10.83.252.2 || { echo "a does not reach b's router address"; return 1; }
	reaches $B 10.83.252.1 || { echo "b does not reach a's router address"; return 1; }
	reaches $A fd43:5602:29bd:ffff::b || { echo "a does not reach b's IPv6 router address"; return 1; }
}

has_prefix() {
	in_ demo-client-probe busybox ip -6 addr show dev eth0 | grep -q 'inet6 fd43:5602:29bd:64:'
}

probe_lease() {
	local lease
	start client-probe || { echo "the probe client does not start"; return 1; }
	lease=$(retry 10 in_ demo-client-probe cat /run/lease 2>/dev/null) || { echo "no lease within 10 s"; return 1; }
	[[ $lease =~ ^.*ip=10\.50\.64\.([0-9]+)\  ]] && ((BASH_REMATCH[1] >= 100 && BASH_REMATCH[1] <= 250)) ||
		{ echo "not in range: $lease"; return 1; }
	[[ $lease == *router=10.50.64.1\ * && $lease == *dns=10.50.64.1\ * && $lease == *mtu=1420\ * ]] ||
		{ echo "options are missing: $lease"; return 1; }
	retry 8 has_prefix || { echo "no address of the advertised prefix within 8 s"; return 1; }
}

test_7_dhcp() {
	probe_lease
	local code=$?
	nsrun kill demo-client-probe TERM
	nsrun delete --force demo-client-probe || { echo "the probe client cannot be deleted"; return 1; }
	return $code
}

lookup() { # NAME: from client a, by its own resolv.conf
	in_ $CA busybox nslookup -type="${2:-a}" "$1" 2>&1
}

test_8_dns() {
	lookup gw-a.fff.community | grep -q 10.50.64.1 || { echo "own name: $(lookup gw-a.fff.community)"; return 1; }
	lookup www.fff.community | grep -q $WEB || { echo "internal name: $(lookup www.fff.community)"; return 1; }
	lookup 1.64.50.10.in-addr.arpa ptr | grep -q gw-a.fff.community ||
		{ echo "reverse: $(lookup 1.64.50.10.in-addr.arpa ptr)"; return 1; }
	lookup nothing-here.fff.community | grep -q NXDOMAIN || { echo "no NXDOMAIN: $(lookup nothing-here.fff.community)"; return 1; }
	# A name nobody knows yet, so it is not in a cache: the question must travel inside the tunnel.
	count_begin $INET prerouting 'udp dport 53' || return 1
	lookup uncached-$RANDOM.fff.community >/dev/null
	local seen
	seen=$(count_end $INET)
	[ "$seen" = 0 ] || { echo "$seen questions left by the host's network"; return 1; }
}

test_9_path() {
	local hops
	hops=$(in_ $CA busybox traceroute -n -q 1 -w 2 -m 5 $WEB 2>/dev/null | awk '{ print $2 }' | tr '\n' ' ')
	[ "$hops" = "10.50.64.1 10.83.252.2 $WEB " ] || [ "$hops" = "to 10.50.64.1 10.83.252.2 $WEB " ] ||
		{ echo "the hops are: $hops"; return 1; }
	reaches $CA 10.50.65.1 || { echo "the other client network is not reached"; return 1; }
}

client_mtu() {
	in_ $CA busybox ip link set eth0 mtu "$1"
}

pmtu() {
	local out
	out=$(in_ $CA busybox traceroute -F -n -q 1 -w 2 -f 3 -m 4 $WEB 1500 2>/dev/null)
	grep -q '10.50.64.1 .*!F-1420' <<<"$out" || { echo "1500 bytes: $out"; return 1; }
	out=$(in_ $CA busybox traceroute -F -n -q 1 -w 2 -f 3 -m 4 $WEB 1420 2>/dev/null)
	grep -q "3  $WEB" <<<"$out" || { echo "1420 bytes: $out"; return 1; }
	in_ $CA busybox ip route flush cache
	count_begin $B prerouting 'iifname "wg-peer" tcp flags & (syn | ack) == syn tcp option maxseg size 1380' || return 1
	fetch || echo "no answer with MTU 1500"
	[ "$(count_end $B)" -ge 1 ] || { echo "no SYN with MSS 1380 came out of the tunnel"; return 1; }
}

test_10_pmtu() {
	client_mtu 1500 || return 1
	pmtu
	local code=$?
	client_mtu 1420
	return $code
}

refused() { # ADDRESS
	in_ $CA timeout 2 busybox wget -q -O - "http://$1/" >/dev/null 2>&1 && { echo "the client reaches $1"; return 1; }
	return 0
}

no_default() {
	! show $A | jq -e 'any(.routes[]; .dst == "default" and .family == 4 and .type == null)' >/dev/null
}

test_11_leak() {
	local before after leaked
	before=$(drops $B "never into a home network")
	count_begin $INET prerouting 'ip saddr { 10.50.0.0/16, 10.83.0.0/16 }' || return 1
	refused $NAS || { count_end $INET >/dev/null; return 1; }
	refused 192.168.178.1 || { count_end $INET >/dev/null; return 1; }
	fetch
	leaked=$(count_end $INET)
	after=$(drops $B "never into a home network")
	[ "$leaked" = 0 ] || { echo "$leaked packets with a mesh source on the home LAN"; return 1; }
	((after > before)) || { echo "the rule against home networks has not counted"; return 1; }

	# Without babeld there is no way out at all, rather than the host's.
	nsrun service $A stop babeld || { echo "babeld does not stop"; return 1; }
	retry 5 no_default || { echo "the default route stays"; nsrun service $A start babeld; return 1; }
	in_ $CA busybox ping -c 1 -W 1 $WEB >/dev/null 2>&1 && leaked=1
	nsrun service $A start babeld || { echo "babeld does not start again"; return 1; }
	[ "$leaked" = 0 ] || { echo "the client still reaches the internet without babeld"; return 1; }
	retry 15 fetch || { echo "no way back after 15 s"; return 1; }
}

test_12_spoof() {
	local before after
	before=$(drops $A "spoofed v4")
	in_ $CA busybox ip addr add 10.99.0.1/32 dev lo
	in_ $CA busybox ping -c 1 -W 1 -I 10.99.0.1 $WEB >/dev/null 2>&1 && { echo "a foreign source gets an answer"; return 1; }
	in_ $CA busybox ip addr del 10.99.0.1/32 dev lo
	after=$(drops $A "spoofed v4")
	((after > before)) || { echo "the rule has not counted"; return 1; }
}

test_13_exporter() {
	in_ $B timeout 3 busybox wget -q -O - http://10.83.252.1:9100/metrics 2>/dev/null | grep -q 'node_network_up{device="wg-peer"}' ||
		{ echo "no metrics over the mesh"; return 1; }
	in_ $CA timeout 1 busybox wget -q -O /dev/null http://10.83.252.1:9100/metrics 2>/dev/null &&
		{ echo "the client reads the metrics"; return 1; }
	return 0
}

test_14_firewall() {
	local gw real declared
	for gw in a b; do
		real=$(in_ demo-gw-$gw nft -s list table inet gateway | sha256sum)
		declared=$(unshare -n sh -c 'nft -f "$1" && nft -s list table inet gateway' - "$WORK/gw-$gw/etc/firewall.nft" | sha256sum)
		[ "$real" = "$declared" ] || { echo "gw-$gw: the table is not the declared one"; return 1; }
		in_ demo-gw-$gw nft -j list table inet gateway | jq -e '[.. | .counter? | objects] | length >= 8' >/dev/null ||
			{ echo "gw-$gw: counters are missing"; return 1; }
	done
}

test_15_restart() {
	local name t0 times=
	for name in $(nsrun services --format json $A | jq -r '.. | .name? // empty'); do
		t0=$(now)
		nsrun service $A restart "$name" || { echo "$name does not restart"; return 1; }
		retry 15 fetch || { echo "$name: no answer for 15 s after its restart"; return 1; }
		times="$times, $name $(($(now) - t0)) ms"
	done
	note="(${times#, })"
}


test_17_two() {
	local gw name
	for gw in $A $B; do
		for name in br-client wg-peer; do
			show $gw | jq -e --arg n $name 'any(.links[]; .name == $n and .up)' >/dev/null || { echo "$gw has no $name"; return 1; }
		done
		nsrun services --format json $gw | jq -e '[.. | .state? // empty] | length > 0 and all(. == "running" or . == "done")' \
			>/dev/null || { echo "$gw: $(nsrun services $gw)"; return 1; }
	done
}

# --- all -----------------------------------------------------------------------------------------------------------------

check() { # NUMBER FUNCTION NAME
	local reason code
	note=
	reason=$("$2"; code=$?; echo; echo "note:$note"; exit $code)
	code=$?
	note=${reason##*note:}
	reason=$(grep -v '^note:' <<<"$reason" | tr '\n' ' ' | sed 's/  *$//')
	case $code in
	0) echo "ok $1 $3${note:+ $note}" ;;
	77) echo "skip $1 $3: $reason" ;;
	*)
		echo "FAIL $1 $3: $reason"
		return 1
		;;
	esac
}

selftest() {
	local code=0
	check 1 test_1_namespaces "own namespaces, hostname, /run, /sys, resolv.conf" || code=1
	check 2 test_2_links "links are up, MTU as declared, br-client has ports" || code=1
	check 3 test_3_forwarding "forwarding is on inside, and as before on the host" || code=1
	check 4 test_4_wireguard "WireGuard: fresh handshakes, both directions grow" || code=1
	check 5 test_5_babel "babel: neighbour, announcements, default route" || code=1
	check 6 test_6_peers "peers answer by link-local and router address" || code=1
	check 7 test_7_dhcp "DHCP: lease in range with router, DNS, MTU; advertised prefix" || code=1
	check 8 test_8_dns "DNS: own, internal, reverse, unknown; not by the host" || code=1
	check 9 test_9_path "client to exit by gateway and peer" || code=1
	check 10 test_10_pmtu "path MTU 1420 is told, SYN has MSS 1380" || code=1
	check 11 test_11_leak "nothing leaks into the home LAN, nothing goes out without babel" || code=1
	check 12 test_12_spoof "spoofed source is dropped" || code=1
	check 13 test_13_exporter "metrics for the mesh, not for clients" || code=1
	check 14 test_14_firewall "the firewall is the declared one, and counts" || code=1
	check 15 test_15_restart "every service comes back after a restart" || code=1
	check 17 test_17_two "two gateways with the same interface names side by side" || code=1
	return $code
}
