# host-local and static, and IPAM plugins of others.
# bats file_tags=net

load helpers

setup() {
	common_setup
	ip netns add c1
	DIR=$NETSETUP_ROOT/ipam/net
}

teardown() {
	ip netns del c1
	common_teardown
}

RANGE='{"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}]]}'

# ipam COMMAND ID IPAM-JSON [JQ-EXPRESSION...]: the plugin that the JSON names, called as bridge would call it.
ipam() {
	local command=$1 id=$2 conf e type
	conf=$(jq -cn --argjson ipam "$3" '{cniVersion: "1.1.0", name: "net", type: "bridge", ipam: $ipam}')
	type=$(jq -r .ipam.type <<<"$conf")
	shift 3
	for e; do conf=$(jq -c "$e" <<<"$conf"); done
	ln -sf "$NETSETUP" "$BATS_TEST_TMPDIR/$type"
	CNI_COMMAND=$command CNI_CONTAINERID=$id CNI_NETNS=/run/netns/c1 CNI_IFNAME=${IFNAME:-eth0} CNI_PATH=/usr/lib/cni \
		"${PLUGIN:-$BATS_TEST_TMPDIR/$type}" <<<"$conf"
}

# gives ID IPAM-JSON EXPECTED-ADDRESSES [JQ-EXPRESSION...]
gives() {
	local id=$1 json=$2 expected=$3
	shift 3
	sane_run ipam ADD "$id" "$json" "$@"
	[ "$status" = 0 ]
	[ "$(jq -r '[.ips[].address] | join(" ")' <<<"$output")" = "$expected" ]
}

# refuses TEXT ID IPAM-JSON [JQ-EXPRESSION...]
refuses() {
	local text=$1
	shift
	sane_run ipam ADD "$@"
	[ "$status" = 1 ]
	[[ $(jq -r .msg <<<"$output") == *"$text"* ]]
}

frees() {
	local id
	for id; do ipam DEL "$id" "$RANGE"; done
}

@test "addresses one after the other, gateway, routes, dns" {
	printf '# comment\nnameserver 10.0.0.53\nsearch a.example b.example\ndomain example\noptions ndots:2\n' >"$BATS_TEST_TMPDIR/resolv"
	sane_run ipam ADD a "$RANGE" '.ipam += {routes: [{dst: "0.0.0.0/0"}, {dst: "10.0.0.0/8", gw: "10.1.0.9", mtu: 1400}],
		resolvConf: "'"$BATS_TEST_TMPDIR/resolv"'"}'
	[ "$status" = 0 ]
	[ "$(jq -cS . <<<"$output")" = "$(jq -cSn '{cniVersion: "1.1.0", ips: [{address: "10.1.0.2/24", gateway: "10.1.0.1"}],
		routes: [{dst: "0.0.0.0/0"}, {dst: "10.0.0.0/8", gw: "10.1.0.9", mtu: 1400}],
		dns: {nameservers: ["10.0.0.53"], domain: "example", search: ["a.example", "b.example"], options: ["ndots:2"]}}')" ]
	gives b "$RANGE" 10.1.0.3/24
	[ "$(printf 'a\r\neth0')" = "$(cat "$DIR/10.1.0.2")" ]
	[ "$(cat "$DIR/last_reserved_ip.0")" = 10.1.0.3 ]
	frees a b
	[ ! -e "$NETSETUP_ROOT/ipam" ]
}

@test "an address rests: the search goes on after the last one, and round" {
	local small='{"type": "host-local", "subnet": "10.1.0.0/29", "rangeStart": "10.1.0.3", "rangeEnd": "10.1.0.5", "gateway": "10.1.0.4"}'
	gives a "$small" 10.1.0.3/29
	gives b "$small" 10.1.0.5/29
	ipam DEL a "$small"
	gives c "$small" 10.1.0.3/29
	refuses "no free address in 10.1.0.0/29 of network net: 2 in use" d "$small"
	[ "$(jq .code <<<"$output")" = 11 ]
	[ ! -e "$DIR"/.owners/*.new ]
	frees b c
}

@test "one address of each set; both families; what one set lacks, the other does not keep" {
	local both='{"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}, {"subnet": "10.3.0.0/24"}], [{"subnet": "fd00::/64"}], [{"subnet": "10.2.0.0/30"}]]}'
	gives a "$both" "10.1.0.2/24 fd00::2/64 10.2.0.2/30"
	refuses "10.2.0.0/30" b "$both"
	[ ! -e "$DIR/10.1.0.3" ]
	[ ! -e "$DIR/fd00::3" ]
	ipam DEL a "$both"
	[ ! -e "$NETSETUP_ROOT/ipam" ]
}

@test "a second range of a set takes over when the first is full" {
	local two='{"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/30"}, {"subnet": "10.2.0.0/30"}]]}'
	gives a "$two" 10.1.0.2/30
	gives b "$two" 10.2.0.2/30
	[ "$(jq -r '.ips[0].gateway' <<<"$output")" = 10.2.0.1 ]
	refuses "10.1.0.0/30, 10.2.0.0/30" c "$two"
	frees a b
}

@test "addresses asked for: runtimeConfig, args, CNI_ARGS" {
	gives a "$RANGE" 10.1.0.77/24 '.runtimeConfig.ips = ["10.1.0.77/24"]'
	gives b "$RANGE" 10.1.0.78/24 '.args.cni.ips = ["10.1.0.78"]'
	CNI_ARGS='IP=10.1.0.79' gives c "$RANGE" 10.1.0.79/24
	refuses "taken by container a" d "$RANGE" '.runtimeConfig.ips = ["10.1.0.77"]'
	refuses "is the gateway" d "$RANGE" '.runtimeConfig.ips = ["10.1.0.1"]'
	refuses "in no range" d "$RANGE" '.runtimeConfig.ips = ["10.9.0.1"]'
	refuses "one address a set" d "$RANGE" '.runtimeConfig.ips = ["10.1.0.5", "10.1.0.6"]'
	refuses "not an address" d "$RANGE" '.runtimeConfig.ips = ["here"]'
	[ -z "$(ls "$DIR/.owners" | sed 1,3d)" ]
	frees a b c
}

@test "ranges that the runtime gives come first" {
	gives a "$RANGE" "10.5.0.2/24 10.1.0.2/24" '.runtimeConfig.ipRanges = [[{subnet: "10.5.0.0/24"}]]'
	frees a
}

@test "bad ranges are refused, with the reason" {
	refuses "10.1.0.0/24 is the network" a '{"type": "host-local", "subnet": "10.1.0.5/24"}'
	refuses "too small" a '{"type": "host-local", "subnet": "10.1.0.0/31"}'
	refuses "not a network" a '{"type": "host-local", "subnet": "10.1.0.0"}'
	refuses "is not in subnet" a '{"type": "host-local", "subnet": "10.1.0.0/24", "rangeStart": "10.2.0.1"}'
	refuses "comes after" a '{"type": "host-local", "subnet": "10.1.0.0/24", "rangeStart": "10.1.0.9", "rangeEnd": "10.1.0.8"}'
	refuses "overlaps" a '{"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "10.1.0.0/16"}]]}'
	refuses "either IPv4 or IPv6" a '{"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}, {"subnet": "fd00::/64"}]]}'
	refuses "no range" a '{"type": "host-local"}'
	refuses "needs a subnet" a '{"type": "host-local", "ranges": [[{}]]}'
	refuses "not a network" a '{"type": "host-local", "subnet": "10.1.0.0/24", "routes": [{"dst": "10.0.0.0"}]}'
	refuses "IPv4 and IPv6" a '{"type": "host-local", "subnet": "10.1.0.0/24", "routes": [{"dst": "::/0", "gw": "10.1.0.1"}]}'
	refuses "resolvConf" a '{"type": "host-local", "subnet": "10.1.0.0/24", "resolvConf": "/does/not/exist"}'
	[ ! -e "$NETSETUP_ROOT/ipam" ]
}

@test "ADD twice is refused, DEL twice is not; other interfaces are other owners" {
	gives a "$RANGE" 10.1.0.2/24
	refuses "already" a "$RANGE"
	IFNAME=eth1 gives a "$RANGE" 10.1.0.3/24
	frees a a
	[ -e "$DIR/10.1.0.3" ]
	IFNAME=eth1 frees a
	[ ! -e "$NETSETUP_ROOT/ipam" ]
}

@test "CHECK knows whose an address is" {
	gives a "$RANGE" 10.1.0.2/24
	ipam CHECK a "$RANGE" '.prevResult = {cniVersion: "1.1.0", ips: [{address: "10.1.0.2/24"}]}'
	sane_run ipam CHECK a "$RANGE" '.prevResult = {cniVersion: "1.1.0", ips: [{address: "10.1.0.3/24"}]}'
	[ "$status" = 1 ]
	sane_run ipam CHECK b "$RANGE" '.prevResult = {cniVersion: "1.1.0", ips: [{address: "10.1.0.2/24"}]}'
	[ "$status" = 1 ]
	frees a
}

@test "GC keeps the valid ones; STATUS tells whether the configuration will do" {
	gives a "$RANGE" 10.1.0.2/24
	gives b "$RANGE" 10.1.0.3/24
	ipam GC "" "$RANGE" '."cni.dev/valid-attachments" = [{containerID: "b", ifname: "eth0"}]'
	[ ! -e "$DIR/10.1.0.2" ]
	[ -e "$DIR/10.1.0.3" ]
	[ "$(ls "$DIR/.owners" | wc -l)" = 1 ]
	ipam STATUS "" "$RANGE"
	sane_run ipam STATUS "" '{"type": "host-local"}'
	[ "$status" = 1 ]
	ipam GC "" "$RANGE" '."cni.dev/valid-attachments" = []'
	[ ! -e "$NETSETUP_ROOT/ipam" ]
}

@test "many at once: no address twice, none lost" {
	local i pids=()
	for i in $(seq 20); do
		ipam ADD c$i "$RANGE" >"$BATS_TEST_TMPDIR/out.$i" 3>&- &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i"; done
	[ "$(jq -r '.ips[].address' "$BATS_TEST_TMPDIR"/out.* | sort -u | wc -l)" = 20 ]
	pids=()
	for i in $(seq 20); do
		ipam DEL c$i "$RANGE" 3>&- &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i"; done
	[ ! -e "$NETSETUP_ROOT/ipam" ]
}

@test "the cost of ADD and DEL does not follow the number of others: no other address's file is opened" {
	local i
	[ -z "${SANITIZED:-}" ] || skip "the sanitizer and strace both want to trace"
	mkdir -p "$BATS_TEST_TMPDIR/data/net"
	for i in $(seq 2 200); do printf 'x%s\r\neth0' "$i" >"$BATS_TEST_TMPDIR/data/net/10.1.0.$i"; done
	echo -n 10.1.0.200 >"$BATS_TEST_TMPDIR/data/net/last_reserved_ip.0"
	local in_data; in_data=$(jq -c --arg d "$BATS_TEST_TMPDIR/data" '.dataDir = $d' <<<"$RANGE")
	# The first one makes the index.
	gives a "$in_data" 10.1.0.201/24
	PLUGIN=$BATS_TEST_TMPDIR/traced
	printf '#!/bin/sh\nexec strace -f -o %s -e trace=file,desc %s\n' "$BATS_TEST_TMPDIR/trace" "$BATS_TEST_TMPDIR/host-local" >"$PLUGIN"
	chmod +x "$PLUGIN"
	gives b "$in_data" 10.1.0.202/24
	not grep -E '"10\.1\.0\.([2-9]|[1-9][0-9]|1[0-9][0-9]|200)"|getdents' "$BATS_TEST_TMPDIR/trace"
	ipam DEL b "$in_data"
	not grep -E '"10\.1\.0\.([2-9]|[1-9][0-9]|1[0-9][0-9]|200)"|getdents' "$BATS_TEST_TMPDIR/trace"
	[ ! -e "$BATS_TEST_TMPDIR/data/net/10.1.0.202" ]
	# The takers of the old files are found by the index that was made of them.
	unset PLUGIN
	ipam DEL a "$in_data"
	ipam DEL x7 "$in_data"
	[ ! -e "$BATS_TEST_TMPDIR/data/net/10.1.0.7" ]
	[ -e "$BATS_TEST_TMPDIR/data/net/10.1.0.8" ]
}

@test "the same directory in turn with the reference's host-local" {
	[ -x /usr/lib/cni/host-local ] || skip "containernetworking-plugins is not installed"
	local shared; shared=$(jq -c --arg d "$BATS_TEST_TMPDIR/data" '.dataDir = $d' <<<"$RANGE")
	local v='.cniVersion = "1.0.0"' prev='.prevResult = {cniVersion: "1.0.0", ips: [{address: "10.1.0.4/24"}]}'
	gives a "$shared" 10.1.0.2/24 "$v"
	PLUGIN=/usr/lib/cni/host-local gives b "$shared" 10.1.0.3/24 "$v"
	PLUGIN=/usr/lib/cni/host-local gives c "$shared" 10.1.0.4/24 "$v"
	gives d "$shared" 10.1.0.5/24 "$v"
	# Ours frees theirs, with what the runtime knows; theirs frees ours.
	ipam DEL c "$shared" "$v" "$prev"
	[ ! -e "$BATS_TEST_TMPDIR/data/net/10.1.0.4" ]
	PLUGIN=/usr/lib/cni/host-local ipam DEL a "$shared" "$v"
	[ ! -e "$BATS_TEST_TMPDIR/data/net/10.1.0.2" ]
	ipam DEL a "$shared" "$v"
	# An address that passed to another is not taken from it by its former owner.
	PLUGIN=/usr/lib/cni/host-local gives e "$shared" 10.1.0.2/24 "$v" '.runtimeConfig.ips = ["10.1.0.2"]' '.capabilities.ips = true' \
		'.args.cni.ips = ["10.1.0.2"]'
	ipam DEL a "$shared" "$v"
	[ -e "$BATS_TEST_TMPDIR/data/net/10.1.0.2" ]
	ipam DEL d "$shared" "$v"
	PLUGIN=/usr/lib/cni/host-local ipam DEL b "$shared" "$v"
	PLUGIN=/usr/lib/cni/host-local ipam DEL e "$shared" "$v"
	[ -z "$(ls "$BATS_TEST_TMPDIR/data/net" | grep '^10\.')" ]
}

@test "killed at any system call of an ADD: DEL or gc leaves nothing, and nobody else gets the address" {
	local call n kills=0
	[ -z "${SANITIZED:-}" ] || skip "the sanitizer and strace both want to trace"
	gives other "$RANGE" 10.1.0.2/24
	PLUGIN=$BATS_TEST_TMPDIR/killed
	# strace counts each call by itself.
	for call in openat mkdir mkdirat linkat write rename renameat unlinkat flock close read; do
		for n in $(seq 100); do
			printf '#!/bin/sh\nexec strace -qq -o /dev/null -e trace=%s -e inject=%s:signal=KILL:when=%s "%s"\n' \
				$call $call "$n" "$BATS_TEST_TMPDIR/host-local" >"$PLUGIN"
			chmod +x "$PLUGIN"
			if ipam ADD victim "$RANGE" >/dev/null 2>&1; then break; fi
			kills=$((kills + 1))
			[ ! -e "$DIR" ] || [ -z "$(find "$DIR" -maxdepth 1 -name '1*' -size 0)" ]
			PLUGIN= ipam DEL victim "$RANGE"
			[ "$(ls "$DIR" | grep '^10\.')" = 10.1.0.2 ]
			[ "$(ls "$DIR/.owners" | wc -l)" = 1 ]
		done
		[ "$n" -lt 100 ]
		PLUGIN= ipam DEL victim "$RANGE"
	done
	echo "killed $kills times"
	[ "$kills" -gt 20 ]
	PLUGIN=
	frees other
	"$NETSETUP" gc
	[ ! -e "$NETSETUP_ROOT/ipam" ]
}

@test "static: addresses, gateways, routes, dns, and what the runtime asks for instead" {
	local s='{"type": "static", "addresses": [{"address": "10.1.0.5/24", "gateway": "10.1.0.1"}, {"address": "fd00::5/64"}],
		"routes": [{"dst": "0.0.0.0/0"}], "dns": {"nameservers": ["10.1.0.1"]}}'
	gives a "$s" "10.1.0.5/24 fd00::5/64"
	[ "$(jq -c '[.ips[0].gateway, .ips[1].gateway, .routes[0].dst, .dns.nameservers[0]]' <<<"$output")" = \
		'["10.1.0.1",null,"0.0.0.0/0","10.1.0.1"]' ]
	gives a "$s" "10.9.0.5/24" '.args.cni.ips = ["10.9.0.5/24"]'
	gives a "$s" "10.8.0.5/24" '.args.cni.ips = ["10.9.0.5/24"]' '.runtimeConfig.ips = ["10.8.0.5/24"]'
	CNI_ARGS='IP=10.7.0.5/24,fd07::5/64;GATEWAY=10.7.0.1' gives a '{"type": "static"}' "10.7.0.5/24 fd07::5/64"
	[ "$(jq -c '[.ips[].gateway]' <<<"$output")" = '["10.7.0.1",null]' ]
	refuses "not an address with a prefix" a '{"type": "static", "addresses": [{"address": "10.1.0.5"}]}'
	refuses "not of the family" a '{"type": "static", "addresses": [{"address": "10.1.0.5/24", "gateway": "fd00::1"}]}'
	ipam CHECK a "$s" '.prevResult = {cniVersion: "1.1.0", ips: [{address: "10.1.0.5/24"}, {address: "fd00::5/64"}]}'
	sane_run ipam CHECK a "$s" '.prevResult = {cniVersion: "1.1.0", ips: [{address: "10.1.0.6/24"}]}'
	[ "$status" = 1 ]
	ipam DEL a "$s"
}

# The bridge plugin with an ipam section.
bridge() {
	local conf
	conf=$(jq -cn --argjson ipam "$3" '{cniVersion: "1.0.0", name: "net", type: "bridge", bridge: "br1", ipam: $ipam}')
	CNI_COMMAND=$1 CNI_CONTAINERID=$2 CNI_NETNS=/run/netns/c1 CNI_IFNAME=eth0 CNI_PATH=$BATS_TEST_TMPDIR/plugins "$NETSETUP" <<<"$conf"
}

@test "an IPAM plugin of somebody else's: the caller's environment and configuration, its result, its errors" {
	mkdir -p "$BATS_TEST_TMPDIR/plugins"
	cat >"$BATS_TEST_TMPDIR/plugins/theirs" <<-'EOF'
	#!/bin/sh
	env | grep ^CNI_ | sort >>"$OUT.env"
	cat >>"$OUT.stdin"
	[ ! -e "$OUT.fail" ] || { echo '{"code": 11, "msg": "no leases today", "details": "tomorrow"}'; exit 1; }
	[ "$CNI_COMMAND" != ADD ] || echo '{"cniVersion": "1.0.0", "ips": [{"address": "10.6.0.2/24", "gateway": "10.6.0.1"}], "dns": {}}'
	EOF
	chmod +x "$BATS_TEST_TMPDIR/plugins/theirs"
	export OUT=$BATS_TEST_TMPDIR/theirs
	sane_run bridge ADD a '{"type": "theirs", "secret": "key of theirs"}'
	[ "$status" = 0 ]
	[ "$(jq -r '.ips[0] | "\(.address) \(.interface)"' <<<"$output")" = "10.6.0.2/24 2" ]
	ip netns exec c1 ip addr show eth0 | grep -q 10.6.0.2/24
	grep -qx CNI_COMMAND=ADD "$OUT.env"
	grep -qx CNI_CONTAINERID=a "$OUT.env"
	grep -qx CNI_NETNS=/run/netns/c1 "$OUT.env"
	[ "$(jq -r '.type + " " + .ipam.secret' "$OUT.stdin")" = "bridge key of theirs" ]
	rm "$OUT.env"
	bridge DEL a '{"type": "theirs"}'
	grep -qx CNI_COMMAND=DEL "$OUT.env"
	touch "$OUT.fail"
	sane_run bridge ADD a '{"type": "theirs"}'
	[ "$status" = 1 ]
	[ "$(jq .code <<<"$output")" = 11 ]
	[[ $(jq -r .msg <<<"$output") == *"theirs"*"no leases today"* ]]
	rm "$OUT.fail"
	sane_run bridge ADD a '{"type": "nobodys"}'
	[ "$status" = 1 ]
	[[ $(jq -r .msg <<<"$output") == *"nobodys"* ]]
	bridge DEL a '{"type": "theirs"}'
	ip link del br1 2>/dev/null || true
}

@test "the reference's plugins with our host-local beneath, and ours with theirs" {
	[ -x /usr/lib/cni/bridge ] || skip "containernetworking-plugins is not installed"
	mkdir -p "$BATS_TEST_TMPDIR/plugins"
	ln -s "$NETSETUP" "$BATS_TEST_TMPDIR/plugins/host-local"
	local conf
	conf=$(jq -cn --argjson ipam "$RANGE" '{cniVersion: "1.0.0", name: "net", type: "bridge", bridge: "br1", ipam: $ipam}')
	theirs() {
		CNI_COMMAND=$1 CNI_CONTAINERID=a CNI_NETNS=/run/netns/c1 CNI_IFNAME=eth0 CNI_PATH=$BATS_TEST_TMPDIR/plugins /usr/lib/cni/bridge <<<"$conf"
	}
	sane_run theirs ADD
	[ "$status" = 0 ]
	[ "$(jq -r '.ips[0].address' <<<"$output")" = 10.1.0.2/24 ]
	[ -e "$DIR/10.1.0.2" ]
	theirs DEL
	[ ! -e "$NETSETUP_ROOT/ipam" ]
	ip link del br1
}
