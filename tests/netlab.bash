# A small internet for the tests of port maps, masquerading and the firewall. All names are namespaces:
#
#   host (the test's own)  192.0.2.1, 2001:db8::1  --  192.0.2.2, 2001:db8::2  out
#                                                      198.51.100.7, 2001:db8:7::7 (on its lo: far away)
#   c1, c2, ...  containers, attached by the tests
#
# `out` has no route to the containers' networks: it can only answer what seems to come from the host.

LAB=$BATS_TEST_DIRNAME/netlab.pl

lab_setup() {
	common_setup
	servers=()
	ip netns add out
	ip link add up0 type veth peer name eth0 netns out
	ip addr add 192.0.2.1/24 dev up0
	ip addr add 2001:db8::1/64 dev up0 nodad
	ip link set up0 up
	ip -n out addr add 192.0.2.2/24 dev eth0
	ip -n out addr add 2001:db8::2/64 dev eth0 nodad
	ip -n out addr add 198.51.100.7/32 dev lo
	ip -n out addr add 2001:db8:7::7/128 dev lo nodad
	ip -n out link set lo up
	ip -n out link set eth0 up
	ip route add 198.51.100.0/24 via 192.0.2.2
	ip route add 2001:db8:7::/64 via 2001:db8::2
}

lab_teardown() {
	local pid ns
	for pid in "${servers[@]}"; do
		kill "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null || true
	done
	ip link del up0 2>/dev/null
	for ns in $(ip netns list | awk '{print $1}'); do
		ip netns del "$ns"
	done
	ip -o link show type bridge | sed -E 's/^[0-9]+: ([^:@]+).*/\1/' | xargs -rn1 ip link del
	common_teardown
}

# inside NAMESPACE COMMAND...: "host" is the test's own.
inside() {
	local ns=$1
	shift
	if [ "$ns" = host ]; then "$@"; else ip netns exec "$ns" "$@"; fi
}

# serve NAMESPACE PROTO ADDRESS PORT: a server that calls itself by the namespace's name.
serve() {
	local log=$BATS_TEST_TMPDIR/server.${#servers[@]}
	# nsenter, not `ip netns exec`: one process, whose pid we have.
	if [ "$1" = host ]; then
		perl "$LAB" serve "$2" "$3" "$4" "$1" >"$log" 2>&1 3>&- &
	else
		nsenter --net=/run/netns/"$1" perl "$LAB" serve "$2" "$3" "$4" "$1" >"$log" 2>&1 3>&- &
	fi
	servers+=($!)
	wait_for 5 grep -q ready "$log"
}

# asks FROM PROTO ADDRESS PORT EXPECTED [OWN-PORT]: the answer must be that.
asks() {
	sane_run inside "$1" perl "$LAB" ask "$2" "$3" "$4" ${6:+"$6"}
	[ "$output" = "$5" ]
}

# silent FROM PROTO ADDRESS PORT: there must be none.
silent() {
	ASK_TIMEOUT=1 sane_run inside "$1" perl "$LAB" ask "$2" "$3" "$4"
	[ "$status" != 0 ] && [ -z "$output" ]
}

# conflist FILE NETWORK SUBNET-PREFIX BRIDGE [PLUGIN...]: a bridge network with host-local 10.N.0.0/24 and fd0N::/64, ipMasq, and
# more plugins (JSON objects).
conflist() {
	local file=$1 name=$2 n=$3 bridge=$4
	shift 4
	jq -n --arg name "$name" --arg n "$n" --arg bridge "$bridge" '{
		cniVersion: "1.0.0", name: $name, plugins: ([{
			type: "bridge", bridge: $bridge, isGateway: true, ipMasq: true, hairpinMode: true,
			ipam: {type: "host-local", ranges: [[{subnet: "10.\($n).0.0/24"}], [{subnet: "fd0\($n)::/64"}]],
				routes: [{dst: "0.0.0.0/0"}, {dst: "::/0"}]}
		}] + $ARGS.positional)}' --jsonargs "$@" >"$file"
}

# attach ID FILE [OPTION...]: makes namespace ID and its eth0; detach ID undoes it.
attach() {
	local id=$1 file=$2
	shift 2
	ip netns add "$id"
	ip -n "$id" link set lo up
	run "$NETSETUP" add --id "$id" --netns "$id" "$@" "eth0=$file"
	[ "$status" = 0 ] || {
		echo "cannot attach $id: $output"
		return 1
	}
}

detach() {
	local id
	for id; do
		sane_run "$NETSETUP" del --id "$id"
		[ "$status" = 0 ]
		[ ! -e "/run/netns/$id" ] || ip netns del "$id"
	done
}

# The rules of our table, without elements: what must not grow with containers.
rules() {
	nft -s -t list table inet netsetup
}
