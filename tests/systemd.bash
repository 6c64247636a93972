# What the suites on systemd's unit share: they change the machine they run on, so that has to be the guest.

# needs_guest: skips elsewhere.
needs_guest() {
	[ "${NSRUN_TEST_VM:-}" ] || skip "installs and starts units of systemd: in the guest only (tests/vm)"
}

# install_all [VARIABLE=VALUE...]: as an operator does, but what was built is not built again.
install_all() {
	make -s -C "$TOP" -o all BUILD="$(dirname "$NSRUN")" "$@" install
	systemctl daemon-reload
}

# gateway NAME PORT: the gateway's bundle as /etc/nsrun/NAME, with its key beside it, and without the exporter, whose start
# takes as long in the guest as all the rest.
gateway() {
	local dir=/etc/nsrun/$1
	mkdir -p /etc/nsrun
	cp -a /usr/local/share/nsrun/gateway-bundle "$dir"
	jq --arg key "/etc/nsrun/$1.key" --argjson port "$2" \
		'.plugins[0] += {privateKeyFile: $key, listenPort: $port, userspace: "never"}' "$dir/net/wg-peer.conflist" >new
	mv new "$dir/net/wg-peer.conflist"
	jq 'del(.services[] | select(.name == "node-exporter"))' "$dir/services.json" >new
	mv new "$dir/services.json"
	jq --arg name "$1" '.hostname = $name | .annotations["org.nsrun.netns"] = $name' "$dir/config.json" >new
	mv new "$dir/config.json"
}

# property NAME UNIT
property() {
	systemctl show -P "$1" "$2"
}

property_is() {
	[ "$(property "$1" "$2")" = "$3" ]
}

journal_has() {
	journalctl -q -o cat -u "$1" | grep -q -- "$2"
}

# answers NAME: the gateway's DNS, and babeld.
answers() {
	nsrun exec "$1" busybox nslookup gateway.fff.community 127.0.0.1 | grep -q 10.50.64.1 &&
		ip netns exec "$1" perl -MIO::Socket::IP -e 'exit !(IO::Socket::IP->new("[::1]:33123"))'
}
