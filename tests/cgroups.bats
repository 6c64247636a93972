#!/usr/bin/env bats
# bats file_tags=vm,root
# Control groups: where a container sits, its limits and device rules, killing and removal. The same tests run on a
# version 1 (or hybrid) host and on a version 2 one; what only one of them can show says so. By the name cgroups_v2.bats
# they run with the unified hierarchy at /sys/fs/cgroup, whatever the host has there; if its controllers are bound to
# version 1, that is for placement, device rules, freezing, killing and removal only.

load helpers

setup_file() {
	SAME=
	if [[ $BATS_TEST_FILENAME == */cgroups_v2.bats ]]; then
		[ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ] || SAME=1
		[ "$SAME" ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup
	fi
	export SAME
}

# Skips the test unless the host has the controllers.
needs() {
	local controller
	for controller; do
		if [ "$V2" ]; then
			grep -qw "$controller" /sys/fs/cgroup/cgroup.controllers || skip "the $controller controller is not on version 2 here"
		else
			[ -e "/sys/fs/cgroup/$controller/cgroup.procs" ] || skip "the $controller controller is not mounted here"
		fi
	done
}

setup() {
	[ ! "$SAME" ] || skip "cgroups.bats has seen version 2 already"
	common_setup
	make_bundle
	cd "$BUNDLE"
	V2=
	[ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ] || V2=1
	NAME=nsrun-test-$BASHPID
}

teardown() {
	local rc=0
	common_teardown || rc=1
	# Directories that a failed test made itself.
	[ "${BATS_TEST_COMPLETED:-}" = 1 ] || find /sys/fs/cgroup -depth -path "*/$NAME*" -type d -exec rmdir {} + || true
	return $rc
}

# The container's own directory of a controller: dir pids, with cgroupsPath or the default path.
dir() {
	[ "$V2" ] && echo "/sys/fs/cgroup/${2:-$NAME}" || echo "/sys/fs/cgroup/$1/${2:-$NAME}"
}

# In which cgroup of a controller the process is: path_of PID pids
path_of() {
	if [ "$V2" ]; then
		sed -n 's/^0:://p' "/proc/$1/cgroup"
	else
		sed -nE "s/^[0-9]+:([^:]*,)?$2(,[^:]*)?://p" "/proc/$1/cgroup"
	fi
}

pid_of() {
	nsrun state "$1" | jq .pid
}

@test "nothing is made for a container that asks for nothing" {
	config_args sleep 1000
	nsrun run -d "$NAME"
	[ -z "$(find /sys/fs/cgroup -name "$NAME")" ]
	[ "$(path_of "$(pid_of "$NAME")" pids)" = "$(path_of $BASHPID pids)" ]
	nsrun delete --force "$NAME"
}

@test "device rules alone need one directory, named like the container" {
	config '.linux.resources.devices = [{allow: false, access: "rwm"}]'
	config_args sleep 1000
	nsrun run -d "$NAME"
	[ "$(find /sys/fs/cgroup -name "$NAME" | wc -l)" = 1 ]
	[ "$(path_of "$(pid_of "$NAME")" devices)" = "/$NAME" ]
	nsrun delete --force "$NAME"
}

@test "limits are written to the files, and to those controllers only" {
	needs pids memory cpu
	config '.linux.resources = {pids: {limit: 17}, memory: {limit: 50000000, reservation: 40000000},
		cpu: {shares: 512, quota: 20000, period: 50000}}'
	config_args sleep 1000
	nsrun run -d "$NAME"
	[ "$(cat "$(dir pids)/pids.max")" = 17 ]
	if [ "$V2" ]; then
		[ "$(cat "$(dir)/memory.max")" = 49999872 ]
		[ "$(cat "$(dir)/cpu.weight")" = 59 ]
		[ "$(cat "$(dir)/cpu.max")" = "20000 50000" ]
	else
		[ "$(cat "$(dir memory)/memory.limit_in_bytes")" = 49999872 ]
		[ "$(cat "$(dir memory)/memory.soft_limit_in_bytes")" = 39997440 ]
		[ "$(cat "$(dir cpu)/cpu.shares")" = 512 ]
		[ "$(cat "$(dir cpu)/cpu.cfs_quota_us")" = 20000 ]
		[ "$(cat "$(dir cpu)/cpu.cfs_period_us")" = 50000 ]
		[ "$(find /sys/fs/cgroup -name "$NAME" | wc -l)" = 3 ]
	fi
	nsrun delete --force "$NAME"
}

@test "a limit of pids holds, also for exec" {
	needs pids
	config '.linux.resources.pids.limit = 3'
	config_args sleep 1000
	nsrun run -d "$NAME"
	sane_run nsrun exec "$NAME" sh -c 'for i in 1 2 3 4 5; do sleep 5 & done; wait'
	[[ $output == *"can't fork"* ]]
	nsrun delete --force "$NAME"
}

@test "a limit of memory holds" {
	needs memory
	config '.linux.resources.memory.limit = 8000000'
	config_args sh -c 'head -c 30000000 /dev/zero | tail -c 30000000 | wc -c'
	sane_run nsrun run "$NAME"
	[[ $output != *30000000* ]]
}

@test "cgroupsPath: all controllers that clients read, at that path, and none of its parents is left" {
	config '.linux.cgroupsPath = $p' --arg p "/$NAME/sub/x"
	config_args sleep 1000
	nsrun create "$NAME"
	local pid controller path
	pid=$(pid_of "$NAME")
	for controller in pids memory cpu devices; do
		[ "$(path_of "$pid" $controller)" = "/$NAME/sub/x" ]
	done
	nsrun start "$NAME"
	nsrun exec -d "$NAME" sleep 1000
	[ "$(wc -l <"$(dir pids "$NAME/sub/x")/cgroup.procs")" = 2 ]
	for path in $(find /sys/fs/cgroup -path "*/$NAME/sub/x"); do mkdir "$path/y"; done
	if [ ! "$V2" ]; then # a cpuset takes nobody before it has cpus
		cat /sys/fs/cgroup/cpuset/cpuset.cpus >"/sys/fs/cgroup/cpuset/$NAME/sub/x/y/cpuset.cpus"
		cat /sys/fs/cgroup/cpuset/cpuset.mems >"/sys/fs/cgroup/cpuset/$NAME/sub/x/y/cpuset.mems"
	fi
	sane_run nsrun exec --cgroup y "$NAME" cat /proc/self/cgroup
	[ "$status" = 0 ]
	[[ $output == *":/$NAME/sub/x/y"* ]]
	nsrun delete --force "$NAME"
	[ -z "$(find /sys/fs/cgroup -path "*$NAME*")" ]
}

@test "a parent that others use stays" {
	config '.linux.cgroupsPath = $p' --arg p "/$NAME/a"
	config_args sleep 1000
	nsrun run -d a
	config '.linux.cgroupsPath = $p' --arg p "/$NAME/b"
	nsrun run -d b
	mkdir "$(dir pids)/mine"
	nsrun delete --force a
	[ -d "$(dir pids)/b" ]
	[ ! -d "$(dir pids)/a" ]
	nsrun delete --force b
	[ -d "$(dir pids)/mine" ]
	rmdir "$(dir pids)/mine" $(find /sys/fs/cgroup -maxdepth 2 -name "$NAME")
}

@test "a relative cgroupsPath is below the caller's own cgroup" {
	[ -z "$V2" ] || skip "version 2 puts it beside the caller's own, as runc does"
	local own=/sys/fs/cgroup/pids/$NAME
	mkdir "$own"
	config '.linux.cgroupsPath = "rel/x"'
	config_args sleep 1000
	bash -c 'echo $$ >"$1/cgroup.procs"; exec "$2" --root "$ROOT" run -d "$3"' - "$own" "$NSRUN" "$NAME"
	[ "$(path_of "$(pid_of "$NAME")" pids)" = "/$NAME/rel/x" ]
	nsrun delete --force "$NAME"
	rmdir "$own"
}

@test "a cgroup that is in use is refused, and left alone" {
	local inside
	inside=$(dir pids)
	mkdir "$inside"
	sleep 1000 3>&- &
	echo $! >"$inside/cgroup.procs"
	config '.linux.cgroupsPath = $p' --arg p "/$NAME"
	sane_run nsrun run t
	[ "$status" = 1 ]
	[[ $output == *"container's cgroup is not empty"* ]]
	[ "$(cat "$inside/cgroup.procs")" = $! ]
	[ "$(nsrun list -q)" = "" ]
	kill $!
	wait $! || true
	rmdir "$inside"
}

@test "a frozen cgroup is refused" {
	local inside file=freezer.state value=FROZEN
	inside=$(dir freezer)
	[ ! "$V2" ] || file=cgroup.freeze value=1
	mkdir "$inside"
	echo $value >"$inside/$file"
	config '.linux.cgroupsPath = $p' --arg p "/$NAME"
	sane_run nsrun run t
	[ "$status" = 1 ]
	[[ $output == *"container's cgroup unexpectedly frozen"* ]]
	rmdir "$inside"
}

@test "refused: a path that leads out, the root, unknown drivers" {
	config '.linux.cgroupsPath = "/a/../../b"'
	sane_run nsrun run t
	[ "$status" = 1 ]
	[[ $output == *cgroupsPath*".."* ]]
	config '.linux.cgroupsPath = "/"'
	sane_run nsrun run t
	[ "$status" = 1 ]
	[[ $output == *"is the root"* ]]
	config '.linux.cgroupsPath = "/x"'
	sane_run nsrun --cgroup-manager other run t
	[ "$status" = 1 ]
	[[ $output == *"unknown cgroup manager"* ]]
}

@test "the systemd driver without systemd is refused with the remedy" {
	[ ! -d /run/systemd/system ] || skip "systemd runs here"
	config '.linux.cgroupsPath = "system.slice:nsrun:x"'
	for option in --systemd-cgroup "--cgroup-manager=systemd"; do
		sane_run nsrun $option run t
		[ "$status" = 1 ]
		[[ $output == *"cannot reach systemd"*"--cgroup-manager cgroupfs"* ]]
		[ "$(nsrun list -q)" = "" ]
	done
}

@test "--cgroup-manager disabled makes none" {
	config '.linux.cgroupsPath = "/x" | .linux.resources.pids.limit = 5'
	config_args sleep 1000
	nsrun --cgroup-manager disabled run -d "$NAME"
	[ "$(path_of "$(pid_of "$NAME")" pids)" = "$(path_of $BASHPID pids)" ]
	nsrun delete --force "$NAME"
}

@test "devices: denied unless allowed, whatever the list starts with (GHSA-g54h-m393-cpwq)" {
	config '.process.capabilities |= map_values(. + ["CAP_MKNOD", "CAP_SYSLOG"])
		| .linux.resources.devices = [{allow: true, type: "c", major: 1, minor: 11, access: "r"}]'
	config_args sh -c 'mknod /k c 1 11; mknod /m c 1 1; mknod /b b 7 0
		head -c 0 </k && echo kmsg can be read
		true >/k || echo kmsg cannot be written
		true </m || echo mem cannot be read
		true </b || echo loop cannot be read
		head -c 1 /dev/urandom | wc -c; echo x >/dev/null && echo null'
	sane_run nsrun run t
	[ "$status" = 0 ]
	[[ $output == *"kmsg can be read"* ]]
	[[ $output == *"kmsg cannot be written"* ]]
	[[ $output == *"mem cannot be read"* ]]
	[[ $output == *"loop cannot be read"* ]]
	[[ $output == *1*null ]]
}

@test "delete --force kills everything in the cgroup, in sub-cgroups too, and removes them" {
	config '.linux.cgroupsPath = $p | .linux.namespaces |= map(select(.type != "pid"))' --arg p "/$NAME"
	config_args sh -c 'for i in 1 2 3; do sleep 1000 & done; (setsid sleep 1000 &) ; exec sleep 1000'
	nsrun run -d "$NAME"
	wait_for 5 eval '[ "$(wc -l <"$(dir pids)/cgroup.procs")" = 5 ]'
	mkdir -p "$(dir pids)/made/by/container"
	head -n 1 "$(dir pids)/cgroup.procs" >"$(dir pids)/made/by/container/cgroup.procs"
	nsrun delete --force "$NAME"
	[ -z "$(find /sys/fs/cgroup -path "*$NAME*")" ]
}

@test "a cgroup namespace begins at the container's own cgroup" {
	config '.linux.namespaces += [{type: "cgroup"}] | .linux.cgroupsPath = $p' --arg p "/$NAME"
	config_args cat /proc/self/cgroup
	sane_run nsrun run "$NAME"
	[ "$status" = 0 ]
	[[ $output != *"$NAME"* ]]
	[[ $output == *":/"* ]]
}

@test "a user namespace's container is in its cgroup, with its limits" {
	needs pids
	config '.linux.namespaces += [{type: "user"}] | .linux.cgroupsPath = $p | .linux.resources.pids.limit = 20
		| .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}] | .linux.gidMappings = .linux.uidMappings' \
		--arg p "/$NAME"
	config_args sleep 1000
	chown -R 100000:100000 rootfs
	chmod -R a+rX "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR"
	nsrun run -d "$NAME"
	[ "$(path_of "$(pid_of "$NAME")" pids)" = "/$NAME" ]
	[ "$(cat "$(dir pids)/pids.max")" = 20 ]
	nsrun delete --force "$NAME"
}

@test "a limit that cannot be set names the property, the file and the value, and nothing is left" {
	needs cpuset
	config '.linux.resources.cpu.cpus = "0-4000"'
	sane_run nsrun run "$NAME"
	[ "$status" = 1 ]
	[[ $output == *"linux.resources.cpu.cpus"*"0-4000"*"cpuset.cpus"* ]]
	[ -z "$(find /sys/fs/cgroup -name "$NAME")" ]
}

@test "a controller that is not there is an error that names it" {
	[ "$V2" ] || skip "needs the unified hierarchy"
	! grep -qw pids /sys/fs/cgroup/cgroup.controllers || skip "the unified hierarchy has all controllers here"
	config '.linux.resources.pids.limit = 5'
	sane_run nsrun run "$NAME"
	[ "$status" = 1 ]
	[[ $output == *"controller pids is not available"* ]]
	[ -z "$(find /sys/fs/cgroup -name "$NAME")" ]
}

@test "a parent that has processes is refused with the remedy, and not made threaded" {
	[ "$V2" ] || skip "needs the unified hierarchy"
	needs memory pids
	mkdir "$(dir)"
	sleep 1000 3>&- &
	echo $! >"$(dir)/cgroup.procs"
	config '.linux.cgroupsPath = $p | .linux.resources.pids.limit = 5' --arg p "/$NAME/c"
	sane_run nsrun run t
	[ "$status" = 1 ]
	[[ $output == *"/sys/fs/cgroup/$NAME: it has processes of its own"*"another linux.cgroupsPath"* ]]
	[ "$(cat "$(dir)/cgroup.type")" = domain ]
	[ ! -e "$(dir)/c" ]
	kill $!
	wait $! || true
	rmdir "$(dir)"
}

@test "exec follows init into a sub-cgroup when the container gave its controllers away" {
	[ "$V2" ] || skip "needs the unified hierarchy"
	needs memory pids
	config '.linux.cgroupsPath = $p' --arg p "/$NAME"
	config_args sleep 1000
	nsrun run -d "$NAME"
	mkdir "$(dir)/in" "$(dir)/other"
	pid_of "$NAME" >"$(dir)/in/cgroup.procs"
	echo +memory >"$(dir)/cgroup.subtree_control"
	nsrun exec "$NAME" cat /proc/self/cgroup | grep -qx "0::/$NAME/in"
	nsrun exec --cgroup other "$NAME" cat /proc/self/cgroup | grep -qx "0::/$NAME/other"
	echo +memory >"$(dir)/other/cgroup.subtree_control"
	sane_run nsrun exec --cgroup other "$NAME" true
	[ "$status" = 255 ]
	[[ $output == *"controllers enabled for sub-cgroups"*--cgroup* ]]
	nsrun delete --force "$NAME"
	[ ! -e "$(dir)" ]
}

@test "unified: files by name, and one that is not there names the controller" {
	[ "$V2" ] || skip "needs the unified hierarchy"
	config '.linux.resources.unified = {"cgroup.max.depth": "7"}'
	config_args sleep 1000
	nsrun run -d "$NAME"
	[ "$(cat "/sys/fs/cgroup/$NAME/cgroup.max.depth")" = 7 ]
	nsrun delete --force "$NAME"
	config '.linux.resources.unified = {"nonsense.max": "7"}'
	sane_run nsrun run "$NAME"
	[ "$status" = 1 ]
	[[ $output == *"nonsense.max"*"controller nonsense is not available"* ]]
	config '.linux.resources.unified = {"../x": "7"}'
	sane_run nsrun run "$NAME"
	[ "$status" = 1 ]
	[[ $output == *unified*"../x"* ]]
}

@test "unified is refused where version 1 has the controllers" {
	[ -z "$V2" ] || skip "this host is on version 2"
	config '.linux.resources.unified = {"pids.max": "5"}'
	sane_run nsrun run t
	[ "$status" = 1 ]
	[[ $output == *"unified"*"cgroup v2"* ]]
}
