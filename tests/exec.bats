#!/usr/bin/env bats
# exec: what runs, as whom, where, what it can reach, and how it fails.

load helpers

setup() {
	common_setup
	make_bundle
	config_args sleep 1000
}

teardown() {
	[ -n "${KEEP_CONTAINER:-}" ] || nsrun delete --force c 2>/dev/null
	common_teardown
}

start() {
	nsrun run -d -b "$BUNDLE" "$@" c
	P=$(nsrun state c | jq .pid)
}

# bats test_tags=vm:user
@test "the program runs in all namespaces of the container" {
	start
	local ns
	for ns in net uts mnt pid ipc; do
		[ "$(nsrun exec c readlink /proc/self/ns/$ns)" = "$(readlink "/proc/$P/ns/$ns")" ]
	done
	[ "$(nsrun exec c hostname)" = test ]
	[ "$(nsrun exec c sh -c 'echo $$')" -gt 1 ]
}

@test "exit status of the program, and 255 when there is none" {
	start
	run nsrun exec c sh -c 'exit 9'
	[ "$status" -eq 9 ]
	run nsrun exec c sh -c 'kill -TERM $$'
	[ "$status" -eq 143 ]
	sane_run nsrun exec c /nope
	[ "$status" -eq 255 ]
	[[ "$output" == *"exec /nope: no such file or directory"* ]]
	sane_run nsrun exec c nope
	[ "$status" -eq 255 ]
	[[ "$output" == *'exec nope: executable file not found in $PATH'* ]]
	sane_run nsrun exec c
	[ "$status" -eq 255 ]
	sane_run nsrun exec --pid-file /nowhere/pid c true
	[ "$status" -eq 255 ]
	nsrun kill c KILL
	wait_for 10 status_is c stopped
	sane_run nsrun exec c true
	[ "$status" -eq 255 ]
	[[ "$output" == *"cannot exec in a stopped container"* ]]
}

@test "--user takes numbers and nothing else" {
	echo '1000::0:0:::/bin/sh' >>"$BUNDLE/rootfs/etc/passwd.mine"
	start
	local form
	[ "$(nsrun exec -u 1000 c id -u)" = 1000 ]
	[ "$(nsrun exec -u 1000 c id -g)" = 0 ]
	[ "$(nsrun exec -u 1000:2000 -g 3000 -g 3001 c id -G)" = "2000 3000 3001" ]
	[ "$(nsrun exec --user=0:0 c id -u)" = 0 ]
	for form in root 1x x1 '' ' 1' '1 ' -1 +1 1: :1 1:x 0x1 1:2:3 4294967295 4294967296 1.0; do
		sane_run nsrun exec --user "$form" c id
		[ "$status" -eq 255 ]
		[[ "$output" == *"needs UID or UID:GID"* ]]
	done
}

@test "environment, working directory, no_new_privs" {
	start
	[ "$(nsrun exec -e A=1 --env A=2 -e TERM=dumb --cwd /tmp c sh -c 'echo $A $TERM $PWD')" = "2 dumb /tmp" ]
	[ "$(nsrun exec c sh -c 'env | grep -c ^PATH=')" = 1 ]
	sane_run nsrun exec -e nonsense c true
	[ "$status" -eq 255 ]
	sane_run nsrun exec --cwd relative c true
	[ "$status" -eq 255 ]
	sane_run nsrun exec --cwd /nope c true
	[ "$status" -eq 255 ]
	[ "$(nsrun exec --no-new-privs c grep NoNewPrivs /proc/self/status | tr -dc 0-9)" = 1 ]
}

@test "capabilities: those of the container, and --cap" {
	start
	[ "$(nsrun exec c grep CapEff /proc/self/status)" = "CapEff:	0000000020000420" ]
	[ "$(nsrun exec --cap CAP_NET_RAW -c CAP_SETUID c grep CapEff /proc/self/status)" = "CapEff:	00000000200024a0" ]
	[ "$(nsrun exec --cap CAP_NET_RAW c grep CapInh /proc/self/status)" = "CapInh:	0000000000000000" ]
	[ "$(nsrun exec -u 5 c grep CapEff /proc/self/status)" = "CapEff:	0000000000000000" ]
}

@test "--process" {
	start
	cat >"$BATS_TEST_TMPDIR/process.json" <<-'JSON'
	{"terminal": false, "user": {"uid": 7, "gid": 8, "additionalGids": [9]}, "cwd": "/tmp", "env": ["PATH=/bin", "X=y"],
	 "args": ["sh", "-c", "id -u; id -G; pwd; echo $X; ulimit -n; umask"], "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 100}]}
	JSON
	sane_run nsrun exec --process "$BATS_TEST_TMPDIR/process.json" c
	[ "$status" -eq 0 ]
	[ "${lines[*]}" = "7 8 9 /tmp y 99 0022" ]
	echo '{"args": 5}' >"$BATS_TEST_TMPDIR/process.json"
	sane_run nsrun exec -p "$BATS_TEST_TMPDIR/process.json" c
	[ "$status" -eq 255 ]
	[[ "$output" == *args* ]]
}

@test "--detach and --pid-file" {
	start
	nsrun exec -d --pid-file "$BATS_TEST_TMPDIR/pid" c sleep 500
	[ "$(cat /proc/"$(cat "$BATS_TEST_TMPDIR/pid")"/comm)" = sleep ]
	[ "$(nsrun ps -f json c | jq length)" = 2 ]
	[ "$(pgrep -xc nsrun)" = 0 ]
	rm "$BATS_TEST_TMPDIR/pid"
	sane_run nsrun exec -d --pid-file "$BATS_TEST_TMPDIR/pid" c /nope
	[ "$status" -eq 255 ]
	[ ! -e "$BATS_TEST_TMPDIR/pid" ]
}

@test "signals are forwarded" {
	start
	"$NSRUN" --root "$ROOT" exec c sh -c 'trap "exit 6" TERM; echo up; while :; do sleep 0.05; done' >"$BATS_TEST_TMPDIR/out" 3>&- &
	wait_for 10 grep -q up "$BATS_TEST_TMPDIR/out"
	kill $!
	status=0
	wait $! || status=$?
	[ "$status" -eq 6 ]
}

@test "a terminal" {
	start
	[ "$(nsrun exec -t c tty </dev/null | tr -d '\r')" = /dev/pts/0 ]
	run nsrun exec -t c sh -c 'exit 4' </dev/null
	[ "$status" -eq 4 ]
	sane_run nsrun exec -t -d c true
	[ "$status" -eq 255 ]
	[[ "$output" == *"console socket"* ]]
}

@test "descriptors: three, and those preserved" {
	start
	run nsrun exec c sh -c 'for f in /proc/$$/fd/*; do [ -e $f ] && echo ${f##*/}; done' 5</etc/hostname 9</etc/hostname
	[ "${lines[*]}" = "0 1 2" ]
	run nsrun exec --preserve-fds 1 c sh -c 'for f in /proc/$$/fd/*; do [ -e $f ] && echo ${f##*/}; done' 3</etc/hostname 5</etc/hostname
	[ "${lines[*]}" = "0 1 2 3" ]
	run nsrun exec --preserve-fds 3 c true 3</etc/hostname 4<&- 5<&-
	[ "$status" -eq 255 ]
}

@test "no working directory outside of the container (CVE-2024-21626)" {
	start
	local n
	for n in $(seq 3 20); do
		sane_run nsrun exec --cwd /proc/self/fd/$n c ls ../../../etc/hostname
		[ "$status" -eq 255 ]
	done
}

@test "what joins cannot be looked into from inside (CVE-2016-9962)" {
	config '.process.capabilities = (["CAP_SYS_PTRACE", "CAP_KILL"] | {bounding: ., effective: ., permitted: .})'
	config_args sh -c 'while :; do for p in /proc/[0-9]*; do
		[ "$(readlink $p/exe)" = /bin/busybox ] || for f in $p/fd/*; do [ -d $f/ ] && readlink $f; done; done; done >/tmp/seen 2>/dev/null'
	rm -f "$BUNDLE/rootfs/tmp/seen"
	start
	local n
	for n in $(seq 40); do
		nsrun exec c true
	done
	nsrun delete -f c
	# With CAP_SYS_PTRACE over the host everything may be looked at; so there must be nothing: no directory at all.
	cat "$BUNDLE/rootfs/tmp/seen"
	[ ! -s "$BUNDLE/rootfs/tmp/seen" ]
}

@test "a user namespace" {
	user_namespace 3000
	start
	[ "$(nsrun exec c id -u)" = 0 ]
	[ "$(nsrun exec c readlink /proc/self/ns/user)" = "$(readlink "/proc/$P/ns/user")" ]
	[ "$(nsrun exec -u 1000:1000 c id -u)" = 1000 ]
	nsrun exec -d --pid-file "$BATS_TEST_TMPDIR/pid" -u 1000 c sleep 500
	[ "$(stat -c %u /proc/"$(cat "$BATS_TEST_TMPDIR/pid")")" = $((HOST_ID + 1000)) ]
	sane_run nsrun exec -u 5000 c true
	[ "$status" -eq 255 ]
	[[ "$output" == *"mapped"* ]]
}

@test "without a mount namespace the program gets the container's root" {
	config '.linux.namespaces = [{"type": "uts"}] | .mounts = []'
	start
	[ "$(nsrun exec c pwd)" = / ]
	nsrun exec c test -e /bin/busybox
	not nsrun exec c test -e "$BUNDLE/config.json"
}

@test "a seccomp filter holds for exec, too" {
	config '.linux.seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 3}]}'
	start
	sane_run nsrun exec c mkdir /tmp/x
	[ "$status" -ne 0 ]
	[[ "$output" == *"No such process"* ]]
}

@test "exec joins the container's cgroup; --cgroup goes below it" {
	needs_root "cgroups of version 1 are root's"
	[ -d /sys/fs/cgroup/pids ] || skip "no pids controller of cgroup version 1 here"
	local cgroup=nsrun-exec-test-$RANDOM
	config '.linux.cgroupsPath = "/" + $c | .linux.resources = {"pids": {"limit": 40}}' --arg c $cgroup
	start
	mkdir /sys/fs/cgroup/pids/$cgroup/sub
	nsrun exec c cat /proc/self/cgroup | grep -q "pids:/$cgroup\$"
	nsrun exec --cgroup pids:sub c cat /proc/self/cgroup | grep -q "pids:/$cgroup/sub\$"
	sane_run nsrun exec --cgroup nothing:sub c true
	[[ "$output" == *"unknown controller "* ]]
	sane_run nsrun exec --cgroup pids:../x c true
	[[ "$output" == *"bad sub cgroup path"* ]]
}

@test "a created container can be entered" {
	nsrun create -b "$BUNDLE" c
	[ "$(nsrun exec c hostname)" = test ]
}
