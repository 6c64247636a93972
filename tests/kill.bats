#!/usr/bin/env bats
# kill -9 at every system call: whatever a killed nsrun or netsetup left is gone after `delete --force`, DEL or
# `netsetup gc`.
#
# The command is traced once; then it is run again for every call of that trace and killed as it enters the call (strace
# counts the calls of each name, so the third openat is "openat, when=3"). A sanitizer build makes many more calls at its
# start, so there only every STEP-th is tried.
# bats file_tags=net

load helpers

setup() {
	common_setup
	STEP=1
	[ -z "${SANITIZED:-}" ] || STEP=17
}

# The parts of the snapshot that a killed command could leave, quickly. Processes of netsetup are waited for once, at the
# end: a child that ends the nftables table half a second later is nothing left behind.
quick_snapshot() {
	ip -o link | cut -d: -f2
	ls /run/netns
	find "$ROOT" "$NETSETUP_ROOT" -mindepth 1 ! -name lock ! -name '.lock' | sort
	find /sys/fs/cgroup -mindepth 2 -type d -path "*$CGROUP*" 2>/dev/null || true
	nft list ruleset
	wc -l </proc/self/mountinfo
	ps -eo comm= | grep -xE 'nsrun|sleep' || true
}

take_before() {
	wait_for 5 settled
	quick_snapshot >"$BATS_TEST_TMPDIR/before"
}

assert_quick_clean() {
	local tries=100
	until quick_snapshot >"$BATS_TEST_TMPDIR/now" &&
		diff "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/now" >"$BATS_TEST_TMPDIR/diff"; do
		if ((tries-- == 0)); then
			echo "after a kill at $1 (> is left behind):"
			cat "$BATS_TEST_TMPDIR/diff"
			return 1
		fi
		sleep 0.03
	done
}

# kill_everywhere BEFORE AFTER COMMAND...: BEFORE and AFTER are functions that run around every try. (What fails in them must
# return: bash does not end a function at its first failure where its status is asked for.)
kill_everywhere() {
	local before=$1 after=$2 call when status tried=0 killed=0 line=0
	shift 2
	take_before
	$before
	strace -qqq -o "$BATS_TEST_TMPDIR/trace" "$@" </dev/null >/dev/null 3>&-
	$after
	awk 'match($0, /^[a-z0-9_]+\(/) { name = substr($0, 1, RLENGTH - 1); print name, ++seen[name] }' \
		"$BATS_TEST_TMPDIR/trace" >"$BATS_TEST_TMPDIR/calls"
	while read -r call when <&4; do
		((line++ % STEP == 0)) || continue
		$before || return 1
		status=0
		strace -qqq -o /dev/null -e trace="$call" -e "inject=$call:signal=KILL:when=$when" "$@" \
			</dev/null >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- || status=$?
		$after >"$BATS_TEST_TMPDIR/after" 2>&1 || {
			echo "cleaning up after $call $when failed:"
			cat "$BATS_TEST_TMPDIR/after"
			return 1
		}
		assert_quick_clean "$call, when=$when" || return 1
		tried=$((tried + 1))
		[ $status != 137 ] || killed=$((killed + 1))
	done 4<"$BATS_TEST_TMPDIR/calls" 2>/dev/null
	echo "killed at $killed of $tried calls"
	wait_for 5 settled
	assert_quick_clean "all calls" || return 1
	# The very first execve is strace's own; a poll more or less is a matter of timing.
	((killed >= 20 && killed * 100 >= tried * 85))
}

nothing() {
	:
}

# --- nsrun -----------------------------------------------------------------------------------------------------

# Everything that nsrun makes on the host: a pinned namespace, an attachment, a cgroup.
make_full_bundle() {
	CGROUP=kill-test-$BATS_ROOT_PID-$$
	make_bundle
	cat >"$BUNDLE/eth0.conflist" <<-'JSON'
	{"cniVersion": "1.1.0", "name": "killnet", "plugins": [
	  {"type": "bridge", "bridge": "kill0", "isGateway": true, "ipMasq": true,
	   "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.99.0.0/24"}]]}},
	  {"type": "portmap", "runtimeConfig": {"portMappings": [{"hostPort": 8099, "containerPort": 80, "protocol": "tcp"}]}}]}
	JSON
	config '.annotations = {"org.nsrun.netns": "kill-test", "org.nsrun.net.eth0": "eth0.conflist"}
		| .linux.cgroupsPath = "/" + $cgroup | .linux.resources = {"pids": {"limit": 50}}' --arg cgroup "$CGROUP"
	[ "$MODE" = root ] || config 'del(.linux.cgroupsPath, .linux.resources)' # not ours to make everywhere
	config_args "$@"
}

make_container() {
	nsrun create -b "$BUNDLE" kill-test 3>&-
}

delete_container() {
	nsrun delete --force kill-test || return
	"$NETSETUP" gc
}

@test "nsrun create, killed at every system call" {
	make_full_bundle sleep 100
	kill_everywhere nothing delete_container "$NSRUN" --root "$ROOT" create -b "$BUNDLE" kill-test
}

@test "nsrun run, killed at every system call" {
	make_full_bundle true
	kill_everywhere nothing delete_container "$NSRUN" --root "$ROOT" run -b "$BUNDLE" kill-test
}

@test "nsrun delete, killed at every system call, is finished by delete --force" {
	make_full_bundle sleep 100
	kill_everywhere make_container delete_container "$NSRUN" --root "$ROOT" delete --force kill-test
}

# --- netsetup --------------------------------------------------------------------------------------------------

make_namespace() {
	ip netns add kill-ns
	export CNI_CONTAINERID=kill-test CNI_NETNS=/run/netns/kill-ns CNI_IFNAME=eth0 CNI_PATH=/nowhere
}

write_netconf() {
	CGROUP=kill-test
	cat >"$BATS_TEST_TMPDIR/net.conf" <<-'JSON'
	{"cniVersion": "1.0.0", "name": "killnet", "type": "bridge", "bridge": "kill0", "isGateway": true, "ipMasq": true,
	 "ipam": {"type": "host-local", "subnet": "10.99.0.0/24"}}
	JSON
	# strace's command reads no standard input, so the plugin gets it from a shell's.
	cat >"$BATS_TEST_TMPDIR/plugin" <<-END
	#!/bin/sh
	exec "$NETSETUP" <"$BATS_TEST_TMPDIR/net.conf"
	END
	chmod +x "$BATS_TEST_TMPDIR/plugin"
}

# DEL as the runtime calls it after an ADD that failed; then the namespace must be empty again.
undo_by_del() {
	CNI_COMMAND=DEL "$BATS_TEST_TMPDIR/plugin" || return
	not ip -n kill-ns link show eth0 2>/dev/null || return
	ip netns del kill-ns || return
	"$NETSETUP" gc # the bridge, which is the network's, goes with its last port
}

undo_by_gc() {
	ip netns del kill-ns || return
	"$NETSETUP" gc
}

@test "netsetup ADD, killed at every system call, is undone by DEL" {
	write_netconf
	export CNI_COMMAND=ADD
	kill_everywhere make_namespace undo_by_del "$BATS_TEST_TMPDIR/plugin"
}

@test "netsetup ADD, killed at every system call, is undone by gc once the namespace is gone" {
	write_netconf
	export CNI_COMMAND=ADD
	kill_everywhere make_namespace undo_by_gc "$BATS_TEST_TMPDIR/plugin"
}
