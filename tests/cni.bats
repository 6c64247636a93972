# netsetup as CNI plugins: the protocol, versions, errors; bridge, ptp, loopback, switch, tuning.
# Port maps, firewall, masquerade and IPAM have files of their own.
# bats file_tags=net

load helpers

setup() {
	common_setup
	ip netns add c1
	ip netns add c2
	ID=c1 NETNS=/run/netns/c1 IFNAME=eth0
}

# Bridges stay after DEL, as with the reference's plugins; everything else must be gone by itself.
teardown() {
	ip -o link show type bridge | sed -E 's/^[0-9]+: ([^:@]+).*/\1/' | xargs -rn1 ip link del
	ip netns del c1
	ip netns del c2
	common_teardown
}

# cni COMMAND CONFIGURATION [VARIABLE=VALUE...]
cni() {
	local command=$1 config=$2
	shift 2
	env CNI_COMMAND="$command" CNI_CONTAINERID="$ID" CNI_NETNS="$NETNS" CNI_IFNAME="$IFNAME" CNI_PATH=/usr/lib/cni \
		"$@" "$NETSETUP" <<<"$config"
}

# The value of a jq expression on the output of the last `run`.
out() {
	jq -cr "$1" <<<"$output"
}

# conf TYPE [JQ...]: a configuration of version 1.1.0 named net; the jq expressions change it.
conf() {
	local c
	c=$(jq -cn --arg type "$1" '{cniVersion: "1.1.0", name: "net", type: $type}')
	shift
	for expression; do
		c=$(jq -c "$expression" <<<"$c")
	done
	echo "$c"
}

STATIC='.ipam = {type: "static", addresses: [{address: "10.1.0.2/24", gateway: "10.1.0.1"}]}'
DUAL='.ipam = {type: "static", addresses: [{address: "10.1.0.2/24", gateway: "10.1.0.1"}, {address: "fd01::2/64", gateway: "fd01::1"}]}'

in_c1() {
	ip netns exec c1 "$@"
}

# link DEVICE JQ: of a device of the host (/sys shows another namespace's).
link() {
	ip -j -d link show "$1" | jq -r ".[0] | $2"
}

# add CONFIGURATION: ADD that must succeed; its result becomes the configuration's prevResult in $CONF.
add() {
	sane_run cni ADD "$1" "${@:2}"
	[ "$status" = 0 ]
	CONF=$(jq -c --argjson r "$output" '.prevResult = $r' <<<"$1")
}

del() {
	sane_run cni DEL "${1:-$CONF}" "${@:2}"
	[ "$status" = 0 ]
	[ -z "$output" ]
}

# fails CODE TEXT COMMAND CONFIGURATION...: one error object on stdout, exit status 1, nothing else.
fails() {
	local code=$1 text=$2
	shift 2
	sane_run cni "$@"
	[ "$status" = 1 ]
	[ "$(out .code)" = "$code" ]
	[ "$(out .cniVersion)" != null ]
	[[ "$(out .msg)" == *"$text"* ]]
}

# --- protocol --------------------------------------------------------------------------------------------------

@test "VERSION lists all versions and reads no configuration" {
	sane_run cni VERSION ""
	[ "$status" = 0 ]
	[ "$(out .cniVersion)" = 1.1.0 ]
	[ "$(out '.supportedVersions | join(" ")')" = "0.1.0 0.2.0 0.3.0 0.3.1 0.4.0 1.0.0 1.1.0" ]
}

@test "VERSION as podman asks for it, with dummy variables" {
	run env CNI_COMMAND=VERSION CNI_NETNS=dummy CNI_IFNAME=dummy CNI_PATH=dummy CNI_CONTAINERID= CNI_ARGS= \
		"$NETSETUP" <<<'{"cniVersion":"1.0.0"}'
	[ "$status" = 0 ]
	[ "$(out .cniVersion)" = 1.1.0 ]
}

@test "called by a plugin's name without CNI_COMMAND it says what it is" {
	ln -s "$NETSETUP" "$BATS_TEST_TMPDIR/bridge"
	sane_run env -u CNI_COMMAND "$BATS_TEST_TMPDIR/bridge"
	[ "$status" = 0 ]
	[[ "$output" == *"CNI bridge plugin"*"1.1.0"* ]]
}

@test "missing and wrong variables are error 4 and name themselves" {
	fails 4 "unknown CNI_COMMAND" FROB "$(conf loopback)"
	fails 4 "[CNI_NETNS]" ADD "$(conf loopback)" CNI_NETNS=
	fails 4 "[CNI_CONTAINERID,CNI_IFNAME,CNI_PATH]" DEL "$(conf loopback)" CNI_CONTAINERID= CNI_IFNAME= CNI_PATH=
	fails 4 "[CNI_PATH]" GC "$(conf loopback)" CNI_PATH=
	fails 4 "CNI_CONTAINERID" ADD "$(conf loopback)" CNI_CONTAINERID=../x
	fails 4 "CNI_IFNAME" ADD "$(conf loopback)" CNI_IFNAME=1234567890123456
	fails 4 "CNI_IFNAME" ADD "$(conf loopback)" CNI_IFNAME=a/b
	fails 4 "unknown key 'FOO'" ADD "$(conf loopback)" CNI_ARGS=FOO=1
	fails 4 "KEY=VALUE" ADD "$(conf loopback)" CNI_ARGS=FOO
}

@test "configurations that are wrong: 6 for JSON, 7 for content, the name before the version" {
	fails 6 "" ADD "{"
	fails 6 "" ADD ""
	fails 6 "name" ADD '{"cniVersion":"1.0.0","name":[],"type":"bridge"}'
	fails 7 "name" ADD '{"cniVersion":"99","type":"bridge"}'
	fails 7 "name" ADD '{"cniVersion":"1.0.0","name":"a/b","type":"bridge"}'
	fails 7 "'nonsense'" ADD "$(conf nonsense)"
	fails 1 "incompatible" ADD '{"cniVersion":"99","name":"net","type":"bridge"}'
	fails 6 "bridge: mtu" ADD "$(conf bridge '.mtu = "big"')"
}

@test "commands that a version does not have are error 1" {
	fails 1 "CHECK" CHECK "$(conf loopback '.cniVersion = "0.3.1"')"
	fails 1 "GC" GC "$(conf loopback '.cniVersion = "1.0.0"')"
	fails 1 "STATUS" STATUS "$(conf loopback '.cniVersion = "1.0.0"')"
	sane_run cni STATUS "$(conf bridge)"
	[ "$status" = 0 ]
	[ -z "$output" ]
}

@test "the container's namespace must be there, and not be the plugin's own" {
	fails 8 "/run/netns/none" ADD "$(conf loopback)" CNI_NETNS=/run/netns/none
	touch "$BATS_TEST_TMPDIR/plain"
	fails 8 "not a network namespace" ADD "$(conf loopback)" CNI_NETNS="$BATS_TEST_TMPDIR/plain"
	fails 8 "own" ADD "$(conf bridge "$STATIC")" CNI_NETNS=/proc/self/ns/net
	[ -z "$(ip -o link show type veth)" ]
	sane_run cni ADD "$(conf loopback)" CNI_NETNS=/proc/self/ns/net CNI_NETNS_OVERRIDE=1
	[ "$status" = 0 ]
}

@test "keys in another letter case, and unknown ones, are accepted" {
	add '{"CNIVersion":"1.0.0","Name":"net","TYPE":"bridge","Bridge":"brX","isgateway":true,"new":{"x":1},
	     "IPAM":{"type":"static","addresses":[{"address":"10.1.0.2/24"}]}}'
	ip link show brX
	del
}

@test "CNI_ARGS of Kubernetes, and MAC for bridge besides IPAM" {
	add "$(conf bridge "$STATIC")" "CNI_ARGS=K8S_POD_NAMESPACE=a;IgnoreUnknown=1;K8S_POD_NAME=b"
	del
	add "$(conf bridge "$STATIC")" CNI_ARGS=MAC=02:00:00:00:00:77
	[ "$(in_c1 cat /sys/class/net/eth0/address)" = 02:00:00:00:00:77 ]
	del
}

# --- versions --------------------------------------------------------------------------------------------------

@test "results of every version have that version's shape" {
	local version
	for version in 0.3.0 0.3.1 0.4.0 1.0.0 1.1.0; do
		add "$(conf bridge "$DUAL" ".cniVersion = \"$version\"")"
		[ "$(out .cniVersion)" = $version ]
		[ "$(out '[.interfaces[].name] | .[0], .[2]' | xargs)" = "cni0 eth0" ]
		[ "$(out '.interfaces[2].sandbox')" = /run/netns/c1 ]
		[ "$(out '[.ips[].interface] | unique == [2]')" = true ]
		case $version in
		0.*) [ "$(out '[.ips[].version] | join(",")'),$(out .dns)" = '4,6,{}' ] ;;
		*) [ "$(out '[.ips[0] | has("version")], [has("dns")]' | tr -d '\n')" = '[false][false]' ] ;;
		esac
		case $version in
		1.1.0) [ "$(out '.interfaces[2].mtu')" = 1500 ] ;;
		*) [ "$(out '.interfaces[2] | has("mtu")')" = false ] ;;
		esac
		del
	done
	for version in 0.1.0 0.2.0; do
		add "$(conf bridge "$DUAL" ".cniVersion = \"$version\"")"
		[ "$(out '.ip4.ip, .ip4.gateway, .ip6.ip' | xargs)" = "10.1.0.2/24 10.1.0.1 fd01::2/64" ]
		[ "$(out 'has("interfaces")')" = false ]
		del
	done
	add "$(conf bridge "$STATIC" 'del(.cniVersion)')"
	[ "$(out .cniVersion)" = 0.1.0 ]
	del
}

@test "results are as the reference's bridge and ptp give them" {
	[ -x /usr/lib/cni/bridge ] || skip "the reference's plugins (containernetworking-plugins) are not installed"
	local config ours type
	for type in bridge ptp; do
		config=$(conf $type "$DUAL" '.cniVersion = "1.0.0"' '.isDefaultGateway = true' '.dns = {nameservers: ["10.1.0.1"]}')
		add "$config"
		# Names and MACs of links are random on either side; of the host's end, even on one.
		ours=$(out '(.interfaces[].mac, .interfaces[-2].name) = ""')
		del
		ip link del cni0 2>/dev/null || true
		output=$(env CNI_COMMAND=ADD CNI_CONTAINERID=c1 CNI_NETNS="$NETNS" CNI_IFNAME=eth0 CNI_PATH=/usr/lib/cni /usr/lib/cni/$type <<<"$config")
		diff <(jq -S '(.interfaces[].mac, .interfaces[-2].name) = ""' <<<"$output") <(jq -S . <<<"$ours")
		env CNI_COMMAND=DEL CNI_CONTAINERID=c1 CNI_NETNS="$NETNS" CNI_IFNAME=eth0 CNI_PATH=/usr/lib/cni /usr/lib/cni/$type <<<"$config"
		ip link del cni0 2>/dev/null || true
	done
}

# --- bridge ----------------------------------------------------------------------------------------------------

# bats test_tags=vm:userns
@test "bridge: the container reaches the gateway at once, by both families" {
	add "$(conf bridge "$DUAL" '.isDefaultGateway = true')"
	in_c1 ping -c1 -W1 10.1.0.1
	in_c1 ping -c1 -W1 fd01::1
	[ "$(in_c1 ip -j route show default | jq -r '.[0].gateway')" = 10.1.0.1 ]
	[ "$(in_c1 ip -j -6 route show default | jq -r '.[0].gateway')" = fd01::1 ]
	[ "$(cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding | xargs)" = "1 1" ]
	del
	[ -z "$(ip -o link show type veth)" ]
}

@test "bridge: the first packet is not lost when the port has just come up" {
	local i
	for i in 1 2 3 4 5; do
		add "$(conf bridge "$STATIC" '.isGateway = true')"
		in_c1 ping -q -c1 -W1 10.1.0.1
		del
	done
}

@test "bridge: fixed MAC, nothing that router advertisements or the port itself could configure" {
	local mac port
	add "$(conf bridge "$STATIC")"
	mac=$(link cni0 .address)
	port=$(out '.interfaces[1].name')
	[ "$(cat /proc/sys/net/ipv6/conf/cni0/accept_ra /proc/sys/net/ipv6/conf/"$port"/accept_ra | xargs)" = "0 0" ]
	[ -z "$(ip -6 -o addr show dev "$port")" ]
	[ "$(out '.interfaces[0].mac')" = "$mac" ]
	ID=c2 NETNS=/run/netns/c2 cni ADD "$(conf bridge '.ipam = {type: "static", addresses: [{address: "10.1.0.3/24"}]}')"
	[ "$(link cni0 .address)" = "$mac" ]
	del
	ID=c2 NETNS=/run/netns/c2 cni DEL "$(conf bridge)"
	[ "$(link cni0 .address)" = "$mac" ]
}

@test "bridge: link options" {
	add "$(conf bridge "$STATIC" '.bridge = "br9" | .mtu = 1400 | .hairpinMode = true | .portIsolation = true | .isGateway = true' \
		'.runtimeConfig = {mac: "02:00:00:00:00:99"} | .args = {cni: {mac: "02:00:00:00:00:98"}}')" CNI_ARGS=MAC=02:00:00:00:00:97
	local port
	port=$(out '.interfaces[1].name')
	[ "$(in_c1 cat /sys/class/net/eth0/address)" = 02:00:00:00:00:99 ]
	[ "$(link br9 .mtu) $(link "$port" .mtu)" = "1400 1400" ]
	[ "$(in_c1 cat /sys/class/net/eth0/mtu)" = 1400 ]
	[ "$(link "$port" '.linkinfo.info_slave_data | [.hairpin, .isolated] | join(" ")')" = "true true" ]
	[ "$(link "$port" .ifalias)" = nsrun:net/c1/eth0 ]
	del
	add "$(conf bridge "$STATIC" '.bridge = "br8" | .promiscMode = true')"
	[[ "$(ip link show br8)" == *PROMISC* ]]
	del
	add "$(conf bridge '.disableContainerInterface = true')"
	[ "$(in_c1 cat /sys/class/net/eth0/operstate)" = down ]
	del
	add "$(conf bridge)" # layer 2 only
	[ "$(in_c1 cat /sys/class/net/eth0/operstate)" = up ]
	[ "$(out 'has("ips")')" = false ]
	del
}

@test "bridge: what cannot be is refused, and leaves nothing" {
	fails 7 "hairpinMode and promiscMode" ADD "$(conf bridge "$STATIC" '.hairpinMode = true | .promiscMode = true')"
	fails 7 "disableContainerInterface" ADD "$(conf bridge "$STATIC" '.disableContainerInterface = true')"
	fails 2 "vlan" ADD "$(conf bridge "$STATIC" '.vlan = 7')"
	fails 2 "vlanTrunk" ADD "$(conf bridge "$STATIC" '.vlanTrunk = [{id: 7}]')"
	fails 2 "macspoofchk" ADD "$(conf bridge "$STATIC" '.macspoofchk = true')"
	fails 7 "MAC" ADD "$(conf bridge "$STATIC" '.mac = "01:00:00:00:00:01"')"
	ip link add notabridge type veth peer name other
	fails 7 "no bridge but a 'veth'" ADD "$(conf bridge "$STATIC" '.bridge = "notabridge"')"
	ip link del notabridge
	fails 7 "" ADD "$(conf bridge '.ipam = {type: "static", addresses: [{address: "nonsense"}]}')"
	fails 7 "" ADD "$(conf bridge '.ipam = {type: "no-such-plugin"}')"
	[ -z "$(ip -o link show type veth)$(ip -o link show type bridge)" ]
	[ -z "$(in_c1 ip -o link show type veth)" ]
}

@test "bridge: an interface of that name in the container is an error and stays" {
	add "$(conf bridge "$STATIC" '.isGateway = true')"
	fails 100 "an interface eth0 already" ADD "$(conf bridge "$STATIC" '.isGateway = true')"
	in_c1 ping -c1 -W1 10.1.0.1
	del
	in_c1 ip link add eth0 type veth peer name foreign
	fails 100 "an interface eth0 already" ADD "$(conf bridge "$STATIC")"
	sane_run cni DEL "$(conf bridge "$STATIC")"
	[ "$status" = 0 ]
	in_c1 ip link show foreign
	[ -z "$(find "$NETSETUP_ROOT" -name '*.json')" ]
}

@test "bridge: another address on it is an error while others use it, forceAddress replaces it" {
	local other='.ipam = {type: "static", addresses: [{address: "10.2.0.2/24", gateway: "10.2.0.1"}]}'
	add "$(conf bridge "$STATIC" '.isGateway = true')"
	ID=c2 NETNS=/run/netns/c2
	fails 100 "already has an IP address different from 10.2.0.1/24: 10.1.0.1/24" ADD "$(conf bridge "$other" '.isGateway = true')"
	sane_run cni ADD "$(conf bridge "$other" '.isGateway = true | .forceAddress = true')"
	[ "$status" = 0 ]
	[[ "$(ip -br addr show cni0)" == *10.2.0.1/24* && "$(ip -br addr show cni0)" != *10.1.0.1/24* ]]
	del "$(conf bridge "$other")"
	ID=c1 NETNS=/run/netns/c1
	del
	# Nobody is left on it: no force needed.
	add "$(conf bridge "$STATIC" '.isGateway = true')"
	[[ "$(ip -br addr show cni0)" == *10.1.0.1/24* ]]
	del
}

@test "bridge: DEL twice, without prevResult, without a namespace, with one that is gone" {
	local config
	config=$(conf bridge "$STATIC" '.isGateway = true | .ipMasq = true')
	add "$config"
	del "$config"
	del "$config"
	del "$config" CNI_NETNS=
	add "$config"
	del "$config" CNI_NETNS=
	[ -z "$(ip -o link show type veth)" ]
	nft list ruleset | not grep -q 10.1.0.2
	ip netns add gone
	NETNS=/run/netns/gone cni ADD "$config"
	ip netns del gone
	NETNS=/run/netns/gone cni DEL "$config"
	nft list ruleset | not grep -q 10.1.0.2
	[ -z "$(find "$NETSETUP_ROOT" -name '*.json')" ]
}

@test "bridge: two attachments of one container to one network" {
	add "$(conf bridge "$STATIC" '.isGateway = true | .ipMasq = true')"
	IFNAME=eth1 cni ADD "$(conf bridge '.isGateway = true | .ipMasq = true |
		.ipam = {type: "static", addresses: [{address: "10.1.0.3/24", gateway: "10.1.0.1"}]}')"
	del
	in_c1 ping -c1 -W1 -I eth1 10.1.0.1
	nft list ruleset | grep -q 10.1.0.3
	IFNAME=eth1 cni DEL "$(conf bridge '.ipMasq = true')"
}

@test "bridge: CHECK sees what has been changed" {
	add "$(conf bridge "$DUAL" '.isDefaultGateway = true | .ipMasq = true')"
	sane_run cni CHECK "$CONF"
	[ "$status" = 0 ]
	[ -z "$output" ]
	fails 7 "prevResult" CHECK "$(jq -c 'del(.prevResult)' <<<"$CONF")"
	in_c1 ip addr del fd01::2/64 dev eth0
	fails 100 "lost its address fd01::2/64" CHECK "$CONF"
	in_c1 ip addr add fd01::2/64 dev eth0 nodad
	in_c1 ip route del default
	fails 100 "route 0.0.0.0/0" CHECK "$CONF"
	in_c1 ip route add default via 10.1.0.1
	sane_run cni CHECK "$CONF"
	[ "$status" = 0 ]
	local port
	port=$(jq -r '.prevResult.interfaces[1].name' <<<"$CONF")
	ip link set "$port" nomaster
	fails 100 "no port of the bridge" CHECK "$CONF"
	ip link set "$port" master cni0
	in_c1 ip link set eth0 address 02:00:00:00:00:55
	fails 100 "MAC" CHECK "$CONF"
	in_c1 ip link del eth0
	sane_run cni CHECK "$CONF"
	[ "$status" = 1 ]
	del
}

@test "bridge: GC keeps the valid attachments and takes the others" {
	local config
	config=$(conf bridge "$STATIC" '.isGateway = true | .ipMasq = true')
	add "$config"
	ID=c2 NETNS=/run/netns/c2 cni ADD "$(conf bridge '.isGateway = true | .ipMasq = true |
		.ipam = {type: "static", addresses: [{address: "10.1.0.3/24", gateway: "10.1.0.1"}]}')"
	# Another network's are none of its business.
	IFNAME=eth1 cni ADD "$(conf bridge '.name = "other"')"
	sane_run cni GC "$(jq -c '."cni.dev/valid-attachments" = [{containerID: "c2", ifname: "eth0"}]' <<<"$config")" \
		CNI_CONTAINERID= CNI_NETNS= CNI_IFNAME=
	[ "$status" = 0 ]
	[ -z "$output" ]
	[ -z "$(in_c1 ip -o link show eth0 2>/dev/null)" ]
	in_c1 ip link show eth1
	ip netns exec c2 ping -c1 -W1 10.1.0.1
	nft list ruleset | grep -q 10.1.0.3
	nft list ruleset | not grep -q 10.1.0.2
	[ "$("$NETSETUP" list | grep -c ready)" = 2 ]
	IFNAME=eth1 cni DEL "$(conf bridge '.name = "other"')"
	ID=c2 NETNS=/run/netns/c2 cni DEL "$config"
}

@test "bridge: routes with all keys" {
	add "$(conf bridge "$STATIC" '.ipam.routes = [{dst: "172.16.0.0/12", gw: "10.1.0.9", mtu: 1300, advmss: 1200, priority: 50, table: 100},
		{dst: "172.15.0.0/16", scope: 253}, {dst: "172.14.0.0/16"}]')"
	local r
	r=$(in_c1 ip -d route show table 100)
	[[ "$r" == *"172.16.0.0/12 via 10.1.0.9"*"metric 50"*"mtu 1300"*"advmss 1200"* ]]
	in_c1 ip route show | grep -q '172.15.0.0/16 dev eth0 .*scope link'
	in_c1 ip route show | grep -q '172.14.0.0/16 via 10.1.0.1 dev eth0'
	[ "$(out '.routes[0] | [.mtu, .advmss, .priority, .table] | join(" ")')" = "1300 1200 50 100" ]
	sane_run cni CHECK "$CONF"
	[ "$status" = 0 ]
	del
}

@test "bridge: the host side in another namespace (hostNetns)" {
	ip netns add hostside
	add "$(conf bridge "$STATIC" '.isGateway = true | .ipMasq = true | .hostNetns = "hostside"')"
	[ -z "$(ip -o link show type bridge)$(ip -o link show type veth)" ]
	[ -z "$(nft list ruleset)" ]
	ip netns exec hostside nft list ruleset | grep -q 10.1.0.2
	in_c1 ping -c1 -W1 10.1.0.1
	sane_run cni CHECK "$CONF"
	[ "$status" = 0 ]
	del
	[ -z "$(ip -n hostside -o link show type veth)" ]
	add "$(conf bridge "$STATIC" '.hostNetns = "hostside"')"
	ip netns del hostside
	del
	fails 7 "hostNetns" ADD "$(conf bridge "$STATIC" '.hostNetns = "hostside"')"
}

@test "bridge: many ADDs and DELs at once" {
	local i pids=()
	for i in $(seq 12); do
		ip netns add "m$i"
	done
	for i in $(seq 12); do
		ID=m$i NETNS=/run/netns/m$i cni ADD "$(conf bridge ".isGateway = true | .ipMasq = true |
			.ipam = {type: \"static\", addresses: [{address: \"10.1.0.$((i + 1))/24\", gateway: \"10.1.0.1\"}]}")" >/dev/null &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i"; done
	for i in $(seq 12); do
		ip netns exec "m$i" ping -q -c1 -W1 10.1.0.1
	done
	pids=()
	for i in $(seq 12); do
		ID=m$i NETNS=/run/netns/m$i cni DEL "$(conf bridge '.ipMasq = true')" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i"; done
	for i in $(seq 12); do
		ip netns del "m$i"
	done
	[ -z "$(ip -o link show type veth)" ]
}

# --- ptp, loopback, switch -------------------------------------------------------------------------------------

@test "ptp: everything through the gateway on the host's end, without waiting for DAD" {
	add "$(conf ptp "$DUAL" '.ipMasq = true | .mtu = 1400')"
	in_c1 ping -c1 -W1 10.1.0.1
	in_c1 ping -c1 -W1 fd01::1
	ping -c1 -W1 10.1.0.2
	[ "$(out '[.ips[].interface] | unique == [1]')" = true ]
	local host
	host=$(out '.interfaces[0].name')
	ip route show | grep -q "^10.1.0.2 dev $host"
	in_c1 ip route show | grep -q '^10.1.0.0/24 via 10.1.0.1'
	[ "$(in_c1 cat /sys/class/net/eth0/mtu)" = 1400 ]
	ID=c2 NETNS=/run/netns/c2 cni ADD "$(conf ptp '.ipam = {type: "static", addresses: [{address: "10.1.0.3/24", gateway: "10.1.0.1"}]}')"
	in_c1 ping -c1 -W1 10.1.0.3 # one subnet, through the host
	sane_run cni CHECK "$CONF"
	[ "$status" = 0 ]
	ID=c2 NETNS=/run/netns/c2 cni DEL "$(conf ptp)"
	del
	del
	fails 7 "ipam" ADD "$(conf ptp)"
	fails 7 "gateway" ADD "$(conf ptp '.ipam = {type: "static", addresses: [{address: "10.1.0.3/24"}]}')"
	[ -z "$(ip -o link show type veth)" ]
}

@test "loopback: up, whatever the interface's name, and addresses of its own" {
	add "$(conf loopback '.cniVersion = "0.3.1"')"
	[ "$(out '.interfaces[0].name, .ips[0].address, .ips[1].address' | xargs)" = "lo 127.0.0.1/8 ::1/128" ]
	in_c1 ping -c1 -W1 127.0.0.1
	del
	in_c1 ip -br link show lo | grep -q DOWN
	add "$(conf loopback '.ipam = {type: "static", addresses: [{address: "10.255.0.1/32"}]}')" CNI_IFNAME=lo
	in_c1 ping -c1 -W1 10.255.0.1
	sane_run cni CHECK "$CONF"
	[ "$status" = 0 ]
	del
	in_c1 ip addr show lo | not grep -q 10.255.0.1
	del "$(conf loopback)" CNI_NETNS=
	# In a chain, the result before it goes through.
	add "$(conf loopback '.prevResult = {cniVersion: "1.1.0", interfaces: [{name: "eth0", sandbox: "x"}]}')"
	[ "$(out '.interfaces[0].name')" = eth0 ]
}

@test "switch: a bridge inside the container, and a client plugged into it" {
	IFNAME=br-client add "$(conf switch "$STATIC" '.mtu = 1400 | .mac = "02:00:00:00:00:0a"')"
	[ "$(in_c1 cat /sys/class/net/br-client/mtu /sys/class/net/br-client/address | xargs)" = "1400 02:00:00:00:00:0a" ]
	[ "$(out '.interfaces | length')" = 1 ]
	[ -z "$(ip -o link show type bridge)" ]
	ID=c2 NETNS=/run/netns/c2 cni ADD "$(conf bridge '.bridge = "br-client" | .hostNetns = "c1" |
		.ipam = {type: "static", addresses: [{address: "10.1.0.3/24"}]}')"
	ip netns exec c2 ping -c1 -W1 10.1.0.2
	IFNAME=br-client
	sane_run cni CHECK "$CONF"
	[ "$status" = 0 ]
	fails 100 "br-client already" ADD "$(conf switch "$STATIC")"
	ID=c2 NETNS=/run/netns/c2 IFNAME=eth0 cni DEL "$(conf bridge '.hostNetns = "c1"')"
	del
	[ -z "$(in_c1 ip -o link show type bridge)" ]
	del "$CONF" CNI_NETNS=
	# A bridge of somebody else's is not touched.
	in_c1 ip link add br-client type bridge
	del
	in_c1 ip link show br-client
}

# --- tuning ----------------------------------------------------------------------------------------------------

@test "tuning: sysctls and the link, in the result, checked, and restored" {
	local mac config
	add "$(conf bridge "$STATIC")"
	mac=$(in_c1 cat /sys/class/net/eth0/address)
	local bridge_conf=$CONF
	config=$(jq -c '{cniVersion, name, type: "tuning", prevResult, mac: "02:00:00:00:00:42", mtu: 1300, promisc: true, allmulti: true,
		txQLen: 77, sysctl: {"net.ipv4.conf.IFNAME.arp_filter": "1", "net.core.somaxconn": "500"},
		args: {cni: {mtu: 1200}}}' <<<"$CONF")
	sane_run cni ADD "$config"
	[ "$status" = 0 ]
	[ "$(out '.interfaces[2] | .mac + " " + (.mtu | tostring)')" = "02:00:00:00:00:42 1200" ]
	[ "$(out '.ips[0].address')" = 10.1.0.2/24 ]
	[ "$(in_c1 cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu /sys/class/net/eth0/tx_queue_len | xargs)" = "02:00:00:00:00:42 1200 77" ]
	[[ "$(in_c1 ip link show eth0)" == *ALLMULTI*PROMISC* ]]
	[ "$(in_c1 cat /proc/sys/net/ipv4/conf/eth0/arp_filter /proc/sys/net/core/somaxconn | xargs)" = "1 500" ]
	sane_run cni CHECK "$config"
	[ "$status" = 0 ]
	in_c1 ip link set eth0 mtu 1100
	fails 100 "MTU 1100, not 1200" CHECK "$config"
	in_c1 sh -c 'echo 501 >/proc/sys/net/core/somaxconn'
	fails 100 "somaxconn" CHECK "$config"
	del "$config"
	[ "$(in_c1 cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu | xargs)" = "$mac 1500" ]
	[[ "$(in_c1 ip link show eth0)" != *PROMISC* ]]
	del "$config"
	del "$config" CNI_NETNS=
	del "$bridge_conf"
	[ -z "$(find "$NETSETUP_ROOT" -mindepth 1 ! -name .lock)" ]
}

@test "tuning: an interface with a dot in its name; args without top-level sysctl; bad names" {
	IFNAME=eth0.1 add "$(conf bridge)"
	IFNAME=eth0.1 cni ADD "$(conf tuning '.args = {cni: {sysctl: {"net.ipv4.conf.IFNAME.arp_filter": "1"}}}')"
	[ "$(in_c1 cat /proc/sys/net/ipv4/conf/eth0.1/arp_filter)" = 1 ]
	fails 7 "only net" ADD "$(conf tuning '.sysctl = {"kernel.hostname": "x"}')"
	fails 7 "no sysctl" ADD "$(conf tuning '.sysctl = {"net.//.//.kernel.hostname": "x"}')"
	fails 7 "no sysctl" ADD "$(conf tuning '.sysctl = {"net/../kernel/hostname": "x"}')"
	sane_run cni ADD "$(conf tuning '.sysctl = {"net.core.nonsense": "1"}')"
	[ "$status" = 1 ]
	[[ "$(out .msg)" == *net/core/nonsense* ]]
	IFNAME=eth0.1 cni DEL "$(conf tuning)"
	IFNAME=eth0.1 cni DEL "$(conf bridge)"
}

# --- neighbours ------------------------------------------------------------------------------------------------

@test "the reference's plugins before and after ours in a chain" {
	[ -x /usr/lib/cni/tuning ] || skip "the reference's plugins (containernetworking-plugins) are not installed"
	local config=$BATS_TEST_TMPDIR/net.conflist
	jq -n '{cniVersion: "1.0.0", name: "net", plugins: [
		{type: "macvlan-is-not-ours", capabilities: {mac: true}},
		{type: "tuning", mtu: 1300}]}' >"$config"
	mkdir "$BATS_TEST_TMPDIR/plugins"
	# A neighbour that records what it is given, then is the reference's ptp.
	cat >"$BATS_TEST_TMPDIR/plugins/macvlan-is-not-ours" <<-EOS
		#!/bin/bash
		cat >$BATS_TEST_TMPDIR/stdin
		env | grep ^CNI_ | sort >$BATS_TEST_TMPDIR/env.\$CNI_COMMAND
		jq '. + {type: "ptp", ipam: {type: "host-local", dataDir: "$BATS_TEST_TMPDIR/leases", subnet: "10.3.0.0/24"}}' \
			<$BATS_TEST_TMPDIR/stdin | /usr/lib/cni/ptp
	EOS
	chmod +x "$BATS_TEST_TMPDIR/plugins/macvlan-is-not-ours"
	CNI_PATH=$BATS_TEST_TMPDIR/plugins:/usr/lib/cni sane_run "$NETSETUP" add --id c1 --netns c1 --cap '{"mac": "02:00:00:00:00:01", "x": 1}' \
		--json eth0="$config"
	[ "$status" = 0 ]
	[ "$(out '.eth0.interfaces[1].name, .eth0.ips[0].address' | xargs)" = "eth0 10.3.0.2/24" ]
	[ "$(jq -c '[.name, .cniVersion, .runtimeConfig, has("capabilities"), has("prevResult")]' "$BATS_TEST_TMPDIR/stdin")" = \
		'["net","1.0.0",{"mac":"02:00:00:00:00:01"},false,false]' ]
	grep -qx CNI_NETNS=/run/netns/c1 "$BATS_TEST_TMPDIR/env.ADD"
	grep -qx CNI_IFNAME=eth0 "$BATS_TEST_TMPDIR/env.ADD"
	[ "$(in_c1 cat /sys/class/net/eth0/mtu)" = 1300 ]
	"$NETSETUP" del --id c1
	[ "$(jq -r '.prevResult.ips[0].address' "$BATS_TEST_TMPDIR/stdin")" = 10.3.0.2/24 ]
	[ -z "$(in_c1 ip -o link show type veth)" ]
	[ -z "$(find "$BATS_TEST_TMPDIR/leases" -name '10.*')" ]
}

@test "an IPAM plugin of ours serves the reference's bridge" {
	[ -x /usr/lib/cni/bridge ] || skip "the reference's plugins (containernetworking-plugins) are not installed"
	mkdir "$BATS_TEST_TMPDIR/plugins"
	ln -s "$NETSETUP" "$BATS_TEST_TMPDIR/plugins/host-local"
	local config
	config=$(conf bridge '.cniVersion = "1.0.0" | .ipam = {type: "host-local", subnet: "10.3.0.0/24"}')
	reference() {
		env CNI_COMMAND="$1" CNI_CONTAINERID=c1 CNI_NETNS=/run/netns/c1 CNI_IFNAME=eth0 CNI_PATH="$BATS_TEST_TMPDIR/plugins" \
			/usr/lib/cni/bridge <<<"$config"
	}
	sane_run reference ADD
	[ "$status" = 0 ]
	[ "$(out '.ips[0].address')" = 10.3.0.2/24 ]
	reference DEL
	[ -z "$(find "$NETSETUP_ROOT" -name '10.*' -o -name '*.json')" ]
}

@test "what the reference's bridge made, ours takes away by its result" {
	[ -x /usr/lib/cni/bridge ] || skip "the reference's plugins (containernetworking-plugins) are not installed"
	local config
	config=$(conf bridge '.cniVersion = "1.0.0"')
	output=$(env CNI_COMMAND=ADD CNI_CONTAINERID=c1 CNI_NETNS=/run/netns/c1 CNI_IFNAME=eth0 CNI_PATH=/usr/lib/cni /usr/lib/cni/bridge <<<"$config")
	del "$(jq -c --argjson r "$output" '.prevResult = $r' <<<"$config")"
	[ -z "$(in_c1 ip -o link show type veth)" ]
}
