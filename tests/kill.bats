#!/usr/bin/env bats
# kill -9 at every system call: whatever a killed nsrun or netsetup left is gone after `delete --force` and `netsetup gc`.
#
# strace kills the process at its N-th system call, for every N until the command ends by itself. A sanitizer build makes
# many more calls at its start, so there only every STEP-th is tried.

load helpers

setup() {
	common_setup
	STEP=1
	[ -z "${SANITIZED:-}" ] || STEP=13
}

# The parts of the snapshot that a killed command could leave, quickly.
quick_snapshot() {
	ls /sys/class/net /run/netns
	find "$ROOT" "$NETSETUP_ROOT" -mindepth 1 ! -name lock ! -name '.lock' | sort
	find /sys/fs/cgroup -mindepth 2 -type d -path '*kill-test*'
	nft -j list ruleset 2>/dev/null | grep -c '"elem"'
	wc -l </proc/self/mountinfo
	pgrep -x 'nsrun|netsetup|sleep' | wc -l
}

assert_quick_clean() {
	local tries=100
	until quick_snapshot >"$BATS_TEST_TMPDIR/now" && diff "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/now" >"$BATS_TEST_TMPDIR/diff"; do
		if ((tries-- == 0)); then
			echo "after a kill at call $1 (> is left behind):"
			cat "$BATS_TEST_TMPDIR/diff"
			return 1
		fi
		sleep 0.03
	done
}

# kill_everywhere CLEANUP COMMAND...: CLEANUP is a function. Reports how many calls were tried.
kill_everywhere() {
	local cleanup=$1 n=1 status killed=0
	shift
	quick_snapshot >"$BATS_TEST_TMPDIR/before"
	while :; do
		status=0
		strace -qqq -o /dev/null -e trace=all -e "inject=all:signal=KILL:when=$n" "$@" \
			</dev/null >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- || status=$?
		$cleanup >"$BATS_TEST_TMPDIR/cleanup" 2>&1 || { echo "cleanup after call $n failed:"; cat "$BATS_TEST_TMPDIR/cleanup"; return 1; }
		assert_quick_clean $n || return 1
		[ $status = 137 ] || break
		killed=$((killed + 1)) n=$((n + STEP))
	done
	[ $status = 0 ] || { echo "the command that was not killed ended with $status:"; cat "$BATS_TEST_TMPDIR/out"; return 1; }
	echo "killed at $killed calls" >&3
	[ $killed -gt 20 ]
}

delete_container() {
	nsrun delete --force kill-test
	"$NETSETUP" gc
}

# Everything that nsrun makes on the host: a pinned namespace, an attachment, a cgroup.
make_full_bundle() {
	make_bundle
	cat >"$BUNDLE/eth0.conflist" <<-'JSON'
	{"cniVersion": "1.1.0", "name": "killnet", "plugins": [
	  {"type": "bridge", "bridge": "kill0", "isGateway": true, "ipMasq": true,
	   "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.99.0.0/24"}]]}},
	  {"type": "portmap", "capabilities": {"portMappings": true}}]}
	JSON
	config '.annotations = {"org.nsrun.netns": "kill-test", "org.nsrun.net.eth0": "eth0.conflist"}
		| .linux.cgroupsPath = "/kill-test" | .linux.resources = {"pids": {"limit": 50}}'
	config_args "$@"
}

# The bridge is the network's, not the container's: it stays after the first use, and so do the base rules.
warm_up() {
	nsrun create -b "$BUNDLE" kill-test 3>&-
	nsrun delete --force kill-test
}

tear_network_down() {
	ip link del kill0 2>/dev/null || true
	nft delete table inet netsetup 2>/dev/null || true
	find "$NETSETUP_ROOT" -mindepth 1 -delete
}

@test "nsrun create, killed at every system call" {
	make_full_bundle sleep 100
	warm_up
	kill_everywhere delete_container "$NSRUN" --root "$ROOT" create -b "$BUNDLE" kill-test
	tear_network_down
}

@test "nsrun run, killed at every system call" {
	make_full_bundle true
	warm_up
	kill_everywhere delete_container "$NSRUN" --root "$ROOT" run -b "$BUNDLE" kill-test
	tear_network_down
}

@test "nsrun delete, killed at every system call, is finished by delete --force" {
	make_full_bundle sleep 100
	warm_up
	quick_snapshot >"$BATS_TEST_TMPDIR/before"
	local n=1 status
	while :; do
		nsrun create -b "$BUNDLE" kill-test 3>&-
		status=0
		strace -qqq -o /dev/null -e trace=all -e "inject=all:signal=KILL:when=$n" \
			"$NSRUN" --root "$ROOT" delete --force kill-test 3>&- || status=$?
		delete_container
		assert_quick_clean $n
		[ $status = 137 ] || break
		n=$((n + STEP))
	done
	[ $status = 0 ]
	[ $n -gt 20 ]
	tear_network_down
}

add_with_environment() {
	CNI_COMMAND=ADD CNI_CONTAINERID=kill-test CNI_NETNS=/run/netns/kill-ns CNI_IFNAME=eth0 CNI_PATH=/nowhere \
		"$@" <"$BATS_TEST_TMPDIR/net.conf"
}

# The runtime calls DEL after a failed ADD; netsetup gc finds what nobody asks for any more.
delete_attachment() {
	CNI_COMMAND=DEL CNI_CONTAINERID=kill-test CNI_NETNS=/run/netns/kill-ns CNI_IFNAME=eth0 CNI_PATH=/nowhere \
		"$NETSETUP" <"$BATS_TEST_TMPDIR/net.conf"
}

@test "netsetup ADD, killed at every system call, is undone by DEL" {
	local n=1 status
	ip netns add kill-ns
	cat >"$BATS_TEST_TMPDIR/net.conf" <<-'JSON'
	{"cniVersion": "1.0.0", "name": "killnet", "type": "bridge", "bridge": "kill0", "isGateway": true, "ipMasq": true,
	 "ipam": {"type": "host-local", "subnet": "10.99.0.0/24"}}
	JSON
	add_with_environment "$NETSETUP"
	delete_attachment
	quick_snapshot >"$BATS_TEST_TMPDIR/before"
	while :; do
		status=0
		add_with_environment strace -qqq -o /dev/null -e trace=all -e "inject=all:signal=KILL:when=$n" "$NETSETUP" 3>&- || status=$?
		delete_attachment
		assert_quick_clean $n
		[ -z "$(ip -n kill-ns -o link show eth0 2>/dev/null)" ]
		[ $status = 137 ] || break
		n=$((n + STEP))
	done
	[ $status = 0 ]
	[ $n -gt 20 ]
	ip netns del kill-ns
	tear_network_down
}

@test "netsetup ADD, killed at every system call, is undone by netsetup gc once the namespace is gone" {
	local n=1 status
	cat >"$BATS_TEST_TMPDIR/net.conf" <<-'JSON'
	{"cniVersion": "1.0.0", "name": "killnet", "type": "bridge", "bridge": "kill0", "isGateway": true, "ipMasq": true,
	 "ipam": {"type": "host-local", "subnet": "10.99.0.0/24"}}
	JSON
	ip netns add kill-ns
	add_with_environment "$NETSETUP"
	delete_attachment
	ip netns del kill-ns
	quick_snapshot >"$BATS_TEST_TMPDIR/before"
	while :; do
		status=0
		ip netns add kill-ns
		add_with_environment strace -qqq -o /dev/null -e trace=all -e "inject=all:signal=KILL:when=$n" "$NETSETUP" 3>&- || status=$?
		ip netns del kill-ns
		"$NETSETUP" gc
		assert_quick_clean $n
		[ $status = 137 ] || break
		n=$((n + STEP))
	done
	[ $status = 0 ]
	[ $n -gt 20 ]
	tear_network_down
}
