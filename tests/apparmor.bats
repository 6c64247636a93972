#!/usr/bin/env bats
# bats file_tags=vm,root
# AppArmor: the profile is set for every way a program can start in a container, and it is enforced. The profiles allow
# everything but writing to one file, which nothing else forbids.

load helpers

# Loads the profile nsrun-test-NAME, which denies writing /tmp/NAME.
load_profile() {
	apparmor_parser --replace --skip-cache --quiet <<-EOF
	profile nsrun-test-$1 flags=(attach_disconnected, mediate_deleted) {
	  capability, network, file, mount, umount, signal, ptrace, unix,
	  deny /tmp/$1 w,
	}
	EOF
	LOADED+=("nsrun-test-$1")
}

needs_apparmor() {
	needs_root "AppArmor profiles are loaded by root"
	[ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ] || skip "AppArmor is not enabled in this kernel"
	load_profile one
}

setup() {
	LOADED=()
	common_setup
	make_bundle
	mkdir -p "$BUNDLE/rootfs/tmp"
	T=$BUNDLE/rootfs/tmp
}

teardown() {
	common_teardown
	for profile in "${LOADED[@]}"; do
		echo "profile $profile {}" | apparmor_parser --remove --quiet
	done
}

confine() {
	config '.process.apparmorProfile = $p' --arg p "nsrun-test-$1"
}

# What a confined program says and tries: its label, and whether it gets to write each of the files.
try_script() {
	echo 'cat /proc/self/attr/current; for f in one two; do echo x 2>/dev/null >/tmp/$f && echo wrote $f; done; true'
}

wrote() {
	printf '%s\n' "nsrun-test-$1 (enforce)" "${@:2}"
}

start_confined() {
	confine one
	config_args sleep 1000
	nsrun run -d -b "$BUNDLE" "$@" c 3>&-
}

@test "run: the program is confined, and only it" {
	needs_apparmor
	confine one
	config_args sh -c "$(try_script)"
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -eq 0 ]
	[ "$output" = "$(wrote one "wrote two")" ]
	[ ! -e "$T/one" ]
	[ -e "$T/two" ]

	config 'del(.process.apparmorProfile)'
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -eq 0 ]
	[ "$output" = $'unconfined\nwrote one\nwrote two' ]
}

@test "run: as a user without capabilities, without no_new_privs, with a hook that is not confined" {
	needs_apparmor
	confine one
	config '.process.user = {"uid": 1000, "gid": 1000} | .process.noNewPrivileges = false
		| .hooks.startContainer = [{"path": "/bin/sh", "args": ["sh", "-c", "cat /proc/self/attr/current >/tmp/hook"]}]'
	chmod 1777 "$T"
	config_args sh -c "$(try_script)"
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -eq 0 ]
	[ "$output" = "$(wrote one "wrote two")" ]
	[ "$(cat "$T/hook")" = unconfined ]
}

@test "create and start: confined when the program is started" {
	needs_apparmor
	confine one
	config_args sh -c "{ $(try_script); } >/tmp/out"
	nsrun create -b "$BUNDLE" c 3>&-
	nsrun start c
	wait_for 5 status_is c stopped
	[ "$(cat "$T/out")" = "$(wrote one "wrote two")" ]
	nsrun delete c
}

@test "exec: the container's profile, another one by --apparmor, one of a process file" {
	needs_apparmor
	load_profile two
	start_confined
	sane_run nsrun exec c sh -c "$(try_script)"
	[ "$output" = "$(wrote one "wrote two")" ]
	sane_run nsrun exec --apparmor nsrun-test-two c sh -c "$(try_script)"
	[ "$output" = "$(wrote two "wrote one")" ]

	jq --arg s "$(try_script)" '.process | .args = ["sh", "-c", $s]' "$BUNDLE/config.json" >"$BATS_TEST_TMPDIR/process.json"
	sane_run nsrun exec --process "$BATS_TEST_TMPDIR/process.json" c
	[ "$output" = "$(wrote one "wrote two")" ]
	jq '.apparmorProfile = "nsrun-test-two"' "$BATS_TEST_TMPDIR/process.json" >"$BATS_TEST_TMPDIR/two.json"
	sane_run nsrun exec --process "$BATS_TEST_TMPDIR/two.json" c
	[ "$output" = "$(wrote two "wrote one")" ]
	# A file that names none is no way out.
	jq 'del(.apparmorProfile)' "$BATS_TEST_TMPDIR/process.json" >"$BATS_TEST_TMPDIR/none.json"
	sane_run nsrun exec --process "$BATS_TEST_TMPDIR/none.json" c
	[ "$output" = "$(wrote one "wrote two")" ]
	nsrun delete --force c
}

@test "CVE-2019-16884, CVE-2025-52881: a false /proc does not swallow the profile" {
	needs_apparmor
	config '.process.capabilities |= map_values(. + ["CAP_SYS_ADMIN"])'
	start_confined
	# Covered by files that take everything; the program's own task is among them, since all are.
	nsrun exec c sh -c 'mount -t tmpfs none /proc && mkdir -p /proc/self/attr/apparmor && cd /proc/self/attr &&
		touch current exec apparmor/current apparmor/exec && ln -s self /proc/thread-self'
	sane_run nsrun exec c sh -c 'echo x 2>/dev/null >/tmp/one || echo denied; cat /proc/self/attr/exec /proc/self/attr/apparmor/exec'
	[ "$output" = denied ]
	[ ! -e "$T/one" ]
	nsrun delete --force c
}

both_have_written() {
	grep -q wrote "$T/a" && grep -q wrote "$T/b"
} 2>/dev/null

@test "services: each under its own profile" {
	needs_apparmor
	load_profile two
	config '.annotations["org.nsrun.services"] = "services.json"'
	jq -n --arg s "$(try_script)" '{services: [
		{name: "a", process: {args: ["sh", "-c", ("{ \($s); } >/tmp/a; exec sleep 1000")], apparmorProfile: "nsrun-test-one"}},
		{name: "b", process: {args: ["sh", "-c", ("{ \($s); } >/tmp/b; exec sleep 1000")], apparmorProfile: "nsrun-test-two"}, needs: ["a"]},
		{name: "bad", process: {args: ["sleep", "1000"], apparmorProfile: "nsrun-test-none"}, optional: true}]}' >"$BUNDLE/services.json"
	nsrun run -d -b "$BUNDLE" c 3>&-
	wait_for 10 both_have_written
	[ "$(cat "$T/a")" = "$(wrote one "wrote two")" ]
	[ "$(cat "$T/b")" = "$(wrote two "wrote one")" ]
	sane_run nsrun services c
	[[ "$output" == *"no profile of that name is loaded"* ]]
	nsrun delete --force c
}

@test "a profile that is not loaded is an error of run, create and exec, and leaves nothing" {
	needs_apparmor
	confine none
	for verb in run create; do
		sane_run nsrun $verb -b "$BUNDLE" c
		[ "$status" -eq 1 ]
		[[ "$output" == *"cannot set the AppArmor profile nsrun-test-none: no profile of that name is loaded: load it with apparmor_parser(8)"* ]]
		[ -z "$(nsrun list -q)" ]
	done
	start_confined
	sane_run nsrun exec --apparmor nsrun-test-none c touch /tmp/ran
	[ "$status" -ne 0 ]
	[[ "$output" == *"no profile of that name is loaded"* ]]
	[ ! -e "$T/ran" ]
	nsrun delete --force c
}

@test "without AppArmor a profile is an error that says so; unconfined is none" {
	[ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" != Y ] || skip "AppArmor is enabled in this kernel"
	confine one
	for verb in run create; do
		sane_run nsrun $verb -b "$BUNDLE" c
		[ "$status" -eq 1 ]
		[[ "$output" == *"cannot set the AppArmor profile nsrun-test-one: AppArmor is not enabled on this host: leave process.apparmorProfile out"* ]]
		[ -z "$(nsrun list -q)" ]
	done
	config '.process.apparmorProfile = "unconfined"'
	config_args sleep 1000
	nsrun run -d -b "$BUNDLE" c 3>&-
	nsrun exec c true
	sane_run nsrun exec --apparmor nsrun-test-one c touch /tmp/ran
	[ "$status" -ne 0 ]
	[[ "$output" == *"AppArmor is not enabled on this host"* ]]
	[ ! -e "$T/ran" ]
	nsrun delete --force c
}
