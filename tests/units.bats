#!/usr/bin/env bats
# contrib/systemd under a real systemd: started, reloaded, restarted, stopped, killed, failing. reboot.bats goes on.
# bats file_tags=root

load helpers
load systemd

# Where the tests' systemd looks for units.
UNITS=/run/systemd/system

# How soon what has failed is started again; and the guest may be a slow machine.
restart_after() {
	mkdir -p $UNITS/nsrun@.service.d
	printf '[Service]\nRestartSec=%s\nTimeoutStartSec=5min\n' "$1" >$UNITS/nsrun@.service.d/test.conf
	systemctl daemon-reload
}

setup_file() {
	[ "${NSRUN_TEST_VM:-}" ] || return 0
	install_all UNITDIR=$UNITS
	restart_after 100ms
	BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR common_setup
}

teardown_file() {
	[ "${NSRUN_TEST_VM:-}" ] || return 0
	rm -rf /etc/nsrun $UNITS/nsrun@.service*
	systemctl daemon-reload
}

# A snapshot takes seconds in the guest: one for all tests, as each leaves nothing.
setup() {
	SNAPSHOT=$BATS_FILE_TMPDIR/snapshot
	ROOT=/run/nsrun
	unset NETSETUP_ROOT
	cd "$BATS_TEST_TMPDIR"
}

# One that failed half-way still runs its units.
teardown() {
	[ "${NSRUN_TEST_VM:-}" ] || return 0
	[ "${BATS_TEST_COMPLETED:-}" = 1 ] || journalctl -q --no-pager -n 60
	[ "${BATS_TEST_COMPLETED:-}" = 1 ] || systemctl stop 'nsrun@*'
	systemctl reset-failed
	systemctl stop system-nsrun.slice
	rm -rf /etc/nsrun
	assert_clean
}

all_up() {
	property_is ActiveState "nsrun@$1" active && property_is StatusText "nsrun@$1" "4 of 4 services are up"
}

# Of the processes in the gateway's namespaces.
pid_of() {
	nsrun services -f json gateway | jq --arg name "$1" '.[] | select(.name == $name) | .pid'
}

@test "the unit is well-formed; make uninstall takes away what make install puts there" {
	make -s -C "$TOP" -o all BUILD="$(dirname "$NSRUN")" PREFIX="$PWD/usr" install
	systemd-analyze verify --man=no "$PWD/usr/lib/systemd/system/nsrun@gateway.service" >said 2>&1 || { cat said; false; }
	not grep nsrun@ said
	grep -q "^ExecStart=$PWD/usr/bin/nsrun run" usr/lib/systemd/system/nsrun@.service
	make -s -C "$TOP" PREFIX="$PWD/usr" uninstall
	[ -z "$(find usr ! -type d)" ]
}

# bats test_tags=vm:systemd
@test "start returns when the services are ready; the status and the journal tell; stop ends them in order, nothing is left" {
	needs_guest
	gateway gateway 51820
	systemctl start nsrun@gateway
	property_is ActiveState nsrun@gateway active
	answers gateway
	property_is StatusText nsrun@gateway "4 of 4 services are up"
	[ "$(property MainPID nsrun@gateway)" != "$(nsrun state gateway | jq .pid)" ]
	ip -n gateway -d link show wg-peer | grep -q wireguard
	journal_has nsrun@gateway '^20[-0-9T:.]*Z dnsmasq nsrun ready after'
	journal_has nsrun@gateway '^20[-0-9T:.]*Z dnsmasq err dnsmasq.*: started, version'
	start=$(property InvocationID nsrun@gateway)
	systemctl stop nsrun@gateway
	property_is Result nsrun@gateway success
	# Nothing was in a hurry: the firewall went last, after dnsmasq.
	[ "$(journalctl -q -o cat "_SYSTEMD_INVOCATION_ID=$start" | grep -oE '(dnsmasq|firewall) nsrun (stopped|undone)' | xargs)" = \
		"dnsmasq nsrun stopped firewall nsrun undone firewall nsrun stopped" ]
	not journal_has nsrun@gateway hurrying
}

# bats test_tags=vm:systemd
@test "while a service is not ready the unit is activating, and its status names the service" {
	needs_guest
	make_bundle
	mkdir -p /etc/nsrun
	ln -s "$BUNDLE" /etc/nsrun/slow
	echo '{"services": [{"name": "late", "process": {"args": ["sleep", "1000"]}, "ready": {"file": "/tmp/go", "timeout": "60s"}}]}' \
		>"$BUNDLE/services.json"
	config '.annotations["org.nsrun.services"] = "services.json"'
	systemctl start --no-block nsrun@slow
	wait_for 60 property_is StatusText nsrun@slow "0 of 1 services are up; late: starting"
	property_is ActiveState nsrun@slow activating
	touch "$BUNDLE/rootfs/tmp/go"
	wait_for 60 property_is ActiveState nsrun@slow active
	# Ready is ready: a service that dies later is restarted, and does not end the unit.
	nsrun service slow stop late
	property_is StatusText nsrun@slow "0 of 1 services are up; late: stopped"
	property_is ActiveState nsrun@slow active
	systemctl stop nsrun@slow
}

# bats test_tags=vm:systemd
@test "reload stops nothing, and tells when the new firewall is wrong: the old one holds; restart makes everything anew" {
	needs_guest
	gateway gateway 51820
	systemctl start nsrun@gateway
	before="$(property MainPID nsrun@gateway) $(pid_of dnsmasq) $(pid_of babeld)"
	cp /etc/nsrun/gateway/etc/firewall.nft good
	{ cat good; echo 'add set inet gateway new { type ipv4_addr; }'; } >/etc/nsrun/gateway/etc/firewall.nft
	systemctl reload nsrun@gateway
	ip netns exec gateway nft list set inet gateway new
	echo 'add rule inet nowhere' >>/etc/nsrun/gateway/etc/firewall.nft
	not systemctl reload nsrun@gateway
	journal_has nsrun@gateway 'service firewall: reload failed: exited with status 1'
	property_is ActiveState nsrun@gateway active
	ip netns exec gateway nft list set inet gateway new
	[ "$(property MainPID nsrun@gateway) $(pid_of dnsmasq) $(pid_of babeld)" = "$before" ]
	cp good /etc/nsrun/gateway/etc/firewall.nft

	# Restart: everything anew, with the same key, and nothing twice.
	key=$(cat /etc/nsrun/gateway.key.pub)
	pid=$(property MainPID nsrun@gateway)
	created=$(nsrun state gateway | jq .created)
	systemctl restart nsrun@gateway
	answers gateway
	[ "$(property MainPID nsrun@gateway)" != "$pid" ]
	[ "$(nsrun state gateway | jq .created)" != "$created" ]
	[ "$(ip netns exec gateway wg show wg-peer public-key)" = "$key" ]
	[ "$(nsrun list -q)" = gateway ]
	[ "$(pgrep -c -x babeld)" = 1 ]
	[ "$("$NETSETUP" list | grep -c wg-peer)" = 1 ]
	systemctl stop nsrun@gateway
}

# bats test_tags=vm:systemd
@test "nsrun is killed, then everything: what was is taken away, and the gateway comes back" {
	needs_guest
	gateway gateway 51820
	systemctl start nsrun@gateway
	created=$(nsrun state gateway | jq .created)
	kill -9 "$(property MainPID nsrun@gateway)"
	wait_for 90 restarts_are 1
	systemctl start nsrun@gateway # waits for the start that goes on
	all_up gateway
	[ "$(nsrun state gateway | jq .created)" != "$created" ]
	systemctl kill --kill-who=all -s KILL nsrun@gateway
	wait_for 90 restarts_are 2
	systemctl start nsrun@gateway # waits for the start that goes on
	all_up gateway
	answers gateway
	[ "$(pgrep -c -x babeld)" = 1 ]
	[ "$(pgrep -c -x dnsmasq)" = 1 ]
	systemctl stop nsrun@gateway
}

restarts_are() {
	property_is NRestarts nsrun@gateway "$1"
}

# bats test_tags=vm:systemd
@test "what cannot start fails with its reason in the journal, and leaves nothing" {
	needs_guest
	restart_after 1h
	gateway gateway 51820
	sed -i 's/policy drop/policy never/' /etc/nsrun/gateway/etc/firewall.nft
	not systemctl start nsrun@gateway
	property_is SubState nsrun@gateway auto-restart
	property_is Result nsrun@gateway exit-code
	journal_has nsrun@gateway 'firewall err /run/gateway/firewall.nft:.* Error: syntax error'
	journal_has nsrun@gateway 'nsrun nsrun service firewall was given up, so the container stops'
	assert_clean_but_slice
	echo '{"services": [{"name": "a", "needs": ["b"], "process": {"args": ["true"]}}]}' >/etc/nsrun/gateway/services.json
	not systemctl restart nsrun@gateway # start would wait for the hour to pass
	property_is Result nsrun@gateway exit-code
	journal_has nsrun@gateway 'services.json: services\[0\] (a).needs: there is no service'
	not systemctl start nsrun@nothing
	journal_has nsrun@nothing 'cannot open the bundle /etc/nsrun/nothing: No such file or directory'
	systemctl stop 'nsrun@*'
	restart_after 100ms
}

assert_clean_but_slice() {
	not nsrun state gateway
	[ ! -e /run/netns/gateway ]
	not pgrep -x nsrun
	[ -z "$(find /run/netsetup -type f ! -name .lock)" ]
}

# bats test_tags=vm:systemd
@test "two gateways at once; one ends, the other stays" {
	needs_guest
	gateway one 51820
	gateway two 51821
	systemctl start nsrun@one nsrun@two
	all_up one
	all_up two
	[ "$(cat /etc/nsrun/one.key.pub)" != "$(cat /etc/nsrun/two.key.pub)" ]
	systemctl stop nsrun@one
	answers two
	all_up two
	[ "$(nsrun list -q)" = two ]
	systemctl stop 'nsrun@*'
}
