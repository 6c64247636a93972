#!/usr/bin/env bats
# What the container's process may do: capabilities, no_new_privs, seccomp, and the ids it has.

load helpers

setup() {
	common_setup
	make_bundle
}

# The capability sets of the process as a line: "CapInh 0 CapPrm 20 ..."
caps_of() {
	sed -n 's/^\(Cap[A-Za-z]*\):\t0*\([0-9a-f]\)/\1 \2/p' <<<"$1" | tr '\n' ' '
}

set_caps() { # BOUNDING EFFECTIVE PERMITTED INHERITABLE AMBIENT, as JSON
	config ".process.capabilities = {bounding: $1, effective: $2, permitted: $3, inheritable: $4, ambient: $5}"
}

@test "the capability sets are the configured ones, in run and in exec" {
	# KILL is 1 << 5, NET_BIND_SERVICE 1 << 10, NET_ADMIN 1 << 12
	set_caps '["CAP_KILL", "CAP_NET_BIND_SERVICE"]' '["CAP_KILL"]' '["CAP_KILL", "CAP_NET_BIND_SERVICE"]' '[]' '[]'
	config_args cat /proc/self/status
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -eq 0 ]
	# Executing as root makes everything in the bounding set permitted and effective; inheritable stays empty.
	[ "$(caps_of "$output")" = "CapInh 0 CapPrm 420 CapEff 420 CapBnd 420 CapAmb 0 " ]

	config_args sleep 100
	nsrun run -d -b "$BUNDLE" c
	sane_run nsrun exec c cat /proc/self/status
	[ "$(caps_of "$output")" = "CapInh 0 CapPrm 420 CapEff 420 CapBnd 420 CapAmb 0 " ]
	sane_run nsrun exec --cap CAP_NET_ADMIN c cat /proc/self/status
	grep -q '^CapInh:.0*$' <<<"$output"
	nsrun delete --force c
}

@test "without capabilities there are none" {
	config 'del(.process.capabilities)'
	config_args cat /proc/self/status
	sane_run nsrun run -b "$BUNDLE" c
	[ "$(caps_of "$output")" = "CapInh 0 CapPrm 0 CapEff 0 CapBnd 0 CapAmb 0 " ]
}

@test "a user other than root has what is ambient" {
	config '.process.user = {uid: 1000, gid: 1000}'
	config_args cat /proc/self/status
	set_caps '["CAP_KILL", "CAP_NET_ADMIN"]' '["CAP_KILL", "CAP_NET_ADMIN"]' '["CAP_KILL", "CAP_NET_ADMIN"]' '["CAP_NET_ADMIN"]' '["CAP_NET_ADMIN"]'
	sane_run nsrun run -b "$BUNDLE" c
	[ "$(caps_of "$output")" = "CapInh 1000 CapPrm 1000 CapEff 1000 CapBnd 1020 CapAmb 1000 " ]

	set_caps '["CAP_KILL"]' '["CAP_KILL"]' '["CAP_KILL"]' '[]' '[]'
	sane_run nsrun run -b "$BUNDLE" c
	[ "$(caps_of "$output")" = "CapInh 0 CapPrm 0 CapEff 0 CapBnd 20 CapAmb 0 " ]
}

@test "an ambient capability that is not inheritable is a warning" {
	config_args cat /proc/self/status
	set_caps '["CAP_CHOWN"]' '["CAP_CHOWN"]' '["CAP_CHOWN"]' '[]' '["CAP_CHOWN"]'
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -eq 0 ]
	[[ "$output" == *"can't raise ambient capability CAP_CHOWN: "* ]]
	[ "$(caps_of "$output")" = "CapInh 0 CapPrm 1 CapEff 1 CapBnd 1 CapAmb 0 " ]
}

@test "an unknown capability is a warning" {
	config_args cat /proc/self/status
	set_caps '["CAP_KILL", "CAP_FROM_THE_FUTURE"]' '["CAP_KILL", "CAP_FROM_THE_FUTURE"]' '["CAP_KILL"]' '[]' '[]'
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -eq 0 ]
	[[ "$output" == *"ignoring unknown or unavailable capabilities: CAP_FROM_THE_FUTURE"* ]]
	[ "$(caps_of "$output")" = "CapInh 0 CapPrm 20 CapEff 20 CapBnd 20 CapAmb 0 " ]
}

@test "a capability that nsrun lacks itself is a warning" {
	not_as_user "all capabilities come with the user namespace"
	config_args cat /proc/self/status
	set_caps '["CAP_KILL", "CAP_SYS_TIME"]' '["CAP_KILL", "CAP_SYS_TIME"]' '["CAP_KILL", "CAP_SYS_TIME"]' '[]' '[]'
	command -v capsh >/dev/null || skip "capsh is not installed"
	sane_run capsh --drop=cap_sys_time -- -c "'$NSRUN' --root '$ROOT' run -b '$BUNDLE' c"
	[ "$status" -eq 0 ]
	[[ "$output" == *"ignoring capabilities that nsrun lacks itself: CAP_SYS_TIME"* ]]
	[ "$(caps_of "$output")" = "CapInh 0 CapPrm 20 CapEff 20 CapBnd 20 CapAmb 0 " ]
}

@test "noNewPrivileges is what is configured" {
	config_args grep NoNewPrivs /proc/self/status
	for value in true false; do
		config ".process.noNewPrivileges = $value"
		sane_run nsrun run -b "$BUNDLE" c
		[ "$status" -eq 0 ]
		[ "${output##*	}" = "$([ $value = true ] && echo 1 || echo 0)" ]
	done
}

@test "a user's name in the container's passwd is not a number for us (CVE-2016-3697)" {
	echo '1000::0:0:x:/:/bin/sh' >"$BATS_TEST_TMPDIR/passwd"
	rm "$BUNDLE/rootfs/etc/passwd"
	cp "$BATS_TEST_TMPDIR/passwd" "$BUNDLE/rootfs/etc/passwd"
	config '.process.user = {uid: 1000, gid: 1000, additionalGids: [7]}'
	config_args cat /proc/self/status
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -eq 0 ]
	grep -q '^Uid:.1000.1000.1000.1000$' <<<"$output"
	grep -q '^Gid:.1000.1000.1000.1000$' <<<"$output"
	grep -q '^Groups:.7 *$' <<<"$output"
}

# --- seccomp -----------------------------------------------------------------------------------------------------

set_rule() { # SYSCALLS (JSON) ACTION [EXTRA (JSON)], with everything else allowed
	config ".linux.seccomp = {defaultAction: \"SCMP_ACT_ALLOW\", syscalls: [{names: $1, action: \"$2\"} + ${3:-{\}}]}"
}

@test "seccomp: a system call fails with the errno asked for" {
	config_args sh -c 'grep ^Seccomp: /proc/self/status; mkdir /tmp/d'
	for nnp in true false; do
		config ".process.noNewPrivileges = $nnp"
		set_rule '["mkdir", "mkdirat", "no_such_call"]' SCMP_ACT_ERRNO
		sane_run nsrun run -b "$BUNDLE" c
		[ "$status" -eq 1 ]
		grep -q '^Seccomp:.2$' <<<"$output"
		[[ "$output" == *"Operation not permitted"* ]]

		set_rule '["mkdir", "mkdirat"]' SCMP_ACT_ERRNO '{errnoRet: 28}'
		sane_run nsrun run -b "$BUNDLE" c
		[[ "$output" == *"No space left on device"* ]]
	done
}

@test "seccomp: as a user other than root, with and without no_new_privs" {
	config '.process.user = {uid: 1000, gid: 1000}'
	config_args mkdir /tmp/d
	set_rule '["mkdir", "mkdirat"]' SCMP_ACT_ERRNO '{errnoRet: 28}'
	for nnp in true false; do
		config ".process.noNewPrivileges = $nnp"
		sane_run nsrun run -b "$BUNDLE" c
		[ "$status" -eq 1 ]
		[[ "$output" == *"No space left on device"* ]]
	done
}

@test "seccomp: arguments are compared" {
	config_args sh -c 'kill -0 $$ && echo zero; kill -28 $$ && echo winch; kill -18 $$ && echo cont'
	set_rule '["kill"]' SCMP_ACT_ERRNO '{args: [{index: 1, value: 28, op: "SCMP_CMP_EQ"}]}'
	sane_run nsrun run -b "$BUNDLE" c
	[[ "$output" == *zero* && "$output" != *winch* && "$output" == *cont* ]]

	set_rule '["kill"]' SCMP_ACT_ERRNO '{args: [{index: 1, value: 16, valueTwo: 16, op: "SCMP_CMP_MASKED_EQ"}]}'
	sane_run nsrun run -b "$BUNDLE" c
	[[ "$output" == *zero* && "$output" != *winch* && "$output" != *cont* ]]
}

@test "seccomp: killing is seen in the exit status" {
	config_args mkdir /tmp/d
	set_rule '["mkdir", "mkdirat"]' SCMP_ACT_KILL_PROCESS
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -eq 159 ] # 128 + SIGSYS
}

@test "seccomp: a filter that forbids what init itself must do still lets it start the program" {
	# What a static busybox needs for `true`, and execve; nothing of what nsrun does before.
	config_args true
	config '.linux.seccomp = {defaultAction: "SCMP_ACT_ERRNO", syscalls: [{action: "SCMP_ACT_ALLOW", names:
		["execve", "brk", "arch_prctl", "set_tid_address", "set_robust_list", "rseq", "prlimit64", "readlink", "readlinkat",
		 "getrandom", "mprotect", "exit_group", "exit", "uname", "getuid", "getgid", "geteuid", "getegid", "prctl", "mmap", "munmap"]}]}'
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -eq 0 ]
}

@test "seccomp: exec is under the filter too" {
	config_args sleep 100
	set_rule '["mkdir", "mkdirat"]' SCMP_ACT_ERRNO '{errnoRet: 28}'
	nsrun run -d -b "$BUNDLE" c
	sane_run nsrun exec c mkdir /tmp/d
	[ "$status" -eq 1 ]
	[[ "$output" == *"No space left on device"* ]]
	nsrun delete --force c
}

@test "seccomp: flags" {
	config_args true
	for flag in '["SECCOMP_FILTER_FLAG_LOG"]' '["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]' '["SECCOMP_FILTER_FLAG_TSYNC"]' \
		'["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]' '[]'; do
		set_rule '["mkdir"]' SCMP_ACT_ERRNO
		config ".linux.seccomp.flags = $flag"
		sane_run nsrun run -b "$BUNDLE" c
		[ "$status" -eq 0 ]
	done
}

@test "seccomp: the listener is given to the agent with the container's state" {
	command -v python3 >/dev/null || skip "python3 is not installed"
	config_args mkdir /tmp/d
	set_rule '["mkdir", "mkdirat"]' SCMP_ACT_NOTIFY
	config '.linux.seccomp += {listenerPath: $path, listenerMetadata: "who"}' --arg path "$BATS_TEST_TMPDIR/agent"
	# Answers the first notification with ENOSPC (struct seccomp_notif is 80 bytes, _resp 24).
	python3 - "$BATS_TEST_TMPDIR/agent" "$BATS_TEST_TMPDIR/state" 3>&- <<-'EOF' &
	import fcntl, socket, struct, sys
	listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
	listener.settimeout(10)
	listener.bind(sys.argv[1])
	listener.listen(1)
	connection = listener.accept()[0]
	state, fds, _, _ = socket.recv_fds(connection, 65536, 1)
	open(sys.argv[2], "wb").write(state)
	notification = bytearray(80)
	fcntl.ioctl(fds[0], 0xc0502100, notification)
	number = struct.unpack_from("=Q", notification)[0]
	fcntl.ioctl(fds[0], 0xc0182101, bytearray(struct.pack("=QqiI", number, 0, -28, 0)))
	EOF
	agent=$!
	wait_for 5 test -S "$BATS_TEST_TMPDIR/agent"
	sane_run nsrun run -b "$BUNDLE" c
	wait $agent
	[ "$status" -eq 1 ]
	[[ "$output" == *"No space left on device"* ]]
	jq -e '.fds == ["seccompFd"] and .pid > 0 and .metadata == "who" and .state.id == "c" and .ociVersion == "1.3.0"' "$BATS_TEST_TMPDIR/state"
}

@test "seccomp: an agent that is not there fails the container" {
	config_args true
	set_rule '["mkdir"]' SCMP_ACT_NOTIFY
	config '.linux.seccomp.listenerPath = "/no/such/agent"'
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -eq 1 ]
	[[ "$output" == *"seccomp agent"* ]]
}
