#!/usr/bin/env bats
# The systemd cgroup driver: what systemd knows of a container's scope, what the kernel does about it, and that nothing is
# left of it.

# bats file_tags=vm:systemd,root
load helpers

setup() {
	[ -d /run/systemd/system ] && [ "$(cat /proc/1/comm)" = systemd ] || skip "systemd is not process 1 here"
	needs_root "the system's manager serves root only"
	common_setup
	make_bundle
	cd "$BUNDLE"
	config_args sleep 1000
	NAME=t$BASHPID
	UNIT=nsrun-$NAME.scope
	DIR=/sys/fs/cgroup/system.slice/$UNIT
}

teardown() {
	local rc=0
	common_teardown || rc=1
	[ "${BATS_TEST_COMPLETED:-}" = 1 ] || systemctl stop "*$NAME*" || true
	return $rc
}

sd() {
	nsrun --systemd-cgroup "$@"
}

# The container's unit has the properties: shows TasksMax=3 CPUWeight=59. One question, as a process costs a lot in the guest.
shows() {
	systemctl show "$UNIT" $(printf -- "-p %s " "${@%%=*}") | sort >"$BATS_TEST_TMPDIR/shown"
	printf '%s\n' "$@" | sort | diff - "$BATS_TEST_TMPDIR/shown"
}

pid_of() {
	nsrun state "$NAME" | jq .pid
}

path_of() {
	sed -n 's/^0:://p' "/proc/$(pid_of)/cgroup"
}

# systemd has forgotten the unit, and there is no trace of it.
no_unit() {
	[ "$(systemctl show --value -p LoadState "${1:-$UNIT}")" = not-found ] || return
	[ -z "$(find /sys/fs/cgroup /run/systemd/transient /run/systemd/system.control -name "${1:-$UNIT}*" 2>/dev/null)" ]
}

@test "a container is in a scope of its own in system.slice, exec too, and nothing is left of it" {
	sd create "$NAME"
	[ "$(path_of)" = "/system.slice/$UNIT" ]
	[ "$(cat "$DIR/cgroup.procs")" = "$(pid_of)" ]
	[ "$(nsrun state "$NAME" | jq -r '."systemd-scope"')" = "$UNIT" ]
	shows Slice=system.slice Delegate=yes ActiveState=active
	nsrun start "$NAME"
	nsrun exec -d "$NAME" sleep 1000
	[ "$(wc -l <"$DIR/cgroup.procs")" = 2 ]
	nsrun delete --force "$NAME"
	no_unit
}

@test "cgroupsPath names slice, prefix and scope; the slice of a-b.slice is a.slice" {
	config '.linux.cgroupsPath = "\($n)-in.slice:web:1" | .linux.namespaces += [{type: "cgroup"}]' --arg n "$NAME"
	sd run -d "$NAME"
	[ "$(path_of)" = "/$NAME.slice/$NAME-in.slice/web-1.scope" ]
	nsrun exec "$NAME" cat /proc/self/cgroup | grep -qx 0::/
	nsrun delete --force "$NAME"
	no_unit web-1.scope
	config '.linux.cgroupsPath = "\($n)-in.slice:x:\($n)-own.slice"' --arg n "$NAME"
	sd run -d "$NAME"
	[ "$(path_of)" = "/$NAME.slice/$NAME-own.slice" ]
	nsrun delete --force "$NAME"
	[ "$(systemctl is-active "$NAME-own.slice")" = inactive ]
	[ -z "$(find /sys/fs/cgroup /run/systemd/transient -name "$NAME-own.slice")" ]
	systemctl stop "$NAME.slice"
}

@test "limits are systemd's properties, hold, and outlive a daemon-reload" {
	config '.linux.resources = {pids: {limit: 3}, memory: {limit: 50000000, reservation: 40000000, swap: 60000000},
		cpu: {shares: 512, quota: 20500, period: 50000, cpus: "0", mems: "0"}}
		| .linux.resources.unified = {"memory.high": "45000000", "cgroup.max.depth": "7"}'
	sd run -d "$NAME"
	shows TasksMax=3 MemoryMax=50000000 MemoryLow=40000000 MemoryHigh=45000000 MemorySwapMax=10000000 CPUWeight=59 \
		CPUQuotaPerSecUSec=410ms CPUQuotaPeriodUSec=50ms AllowedCPUs=0 AllowedMemoryNodes=0
	systemctl daemon-reload
	(cd "$DIR" && cat pids.max memory.max memory.high cpu.weight cpu.max cpuset.cpus cgroup.max.depth) |
		diff - <(printf '%s\n' 3 49999872 44998656 59 "20500 50000" 0 7)
	sane_run nsrun exec "$NAME" sh -c 'for i in 1 2 3 4 5; do sleep 1 & done; wait'
	[[ $output == *"can't fork"* ]]
	nsrun delete --force "$NAME"
	no_unit
}

@test "a limit of one process leaves room for init" {
	config '.linux.resources.pids.limit = 1'
	sd run -d "$NAME"
	[ "$(cat "$DIR/pids.max")" = 1 ]
	shows TasksMax=1
	sane_run nsrun exec "$NAME" true
	[ "$status" != 0 ]
	nsrun delete --force "$NAME"
	no_unit
}

@test "device rules hold, also after a daemon-reload" {
	config '.process.capabilities |= map_values(. + ["CAP_MKNOD"])
		| .linux.resources.devices = [{allow: false, access: "rwm"}]'
	sd run -d "$NAME"
	systemctl daemon-reload
	sane_run nsrun exec "$NAME" sh -c 'mknod /m c 1 1; true </m || echo denied; head -c 1 /dev/urandom | wc -c'
	[ "$status" = 0 ]
	[[ $output == *denied*1 ]]
	nsrun delete --force "$NAME"
	no_unit
}

@test "annotations are properties" {
	config '.annotations = {"org.systemd.property.Description": "\u0027of the test\u0027",
		"org.systemd.property.TimeoutStopSec": "7", "org.systemd.property.TasksMax": "uint64 50",
		"org.systemd.property.Wants": "[\u0027system.slice\u0027]", "org.systemd.property.SendSIGHUP": "true"}'
	sd run -d "$NAME"
	shows "Description=of the test" TimeoutStopUSec=7s TasksMax=50 Wants=system.slice SendSIGHUP=yes
	nsrun delete --force "$NAME"
	no_unit
}

@test "annotations that make no sense to us or to systemd say so, and leave nothing" {
	config '.annotations = {"org.systemd.property.TasksMax": "[1"}'
	sane_run sd run "$NAME"
	[ "$status" = 1 ]
	[[ $output == *"org.systemd.property.TasksMax"*"was expected"* ]]
	config '.annotations = {"org.systemd.property.NoSuchThing": "true"}'
	sane_run sd run "$NAME"
	[ "$status" = 1 ]
	[[ $output == *"cannot make the unit $UNIT"*NoSuchThing* ]]
	no_unit
}

@test "pause, update, kill; the scope ends with its processes, and is there again for the next of that name" {
	sd run -d "$NAME"
	nsrun pause "$NAME"
	[ "$(cat "$DIR/cgroup.freeze")" = 1 ]
	nsrun update --pids-limit 5 --cpu-quota 20000 --cpu-period 50000 "$NAME"
	shows TasksMax=5 CPUQuotaPerSecUSec=400ms
	nsrun resume "$NAME"
	systemctl daemon-reload
	[ "$(cat "$DIR/pids.max" "$DIR/cpu.max")" = $'5\n20000 50000' ]
	nsrun kill "$NAME" KILL
	wait_for 10 no_unit
	nsrun delete "$NAME"
	config_args cat /proc/self/cgroup
	for _ in 1 2; do
		sane_run sd run "$NAME"
		[ "$status" = 0 ]
		[[ $output == *"$UNIT"* ]]
	done
	no_unit
}

@test "a container that ran out of memory leaves no failed unit" {
	config '.linux.resources.memory = {limit: 8000000, swap: 8000000}'
	config_args tail -c 30000000 /dev/zero
	sane_run sd run "$NAME"
	[ "$status" = 137 ]
	no_unit
}

@test "a unit of that name that is somebody else's is left alone" {
	systemd-run --scope --unit="$UNIT" sleep 1000 3>&- &
	wait_for 10 grep -q . "$DIR/cgroup.procs"
	sane_run sd run "$NAME"
	[ "$status" = 1 ]
	[[ $output == *"is not empty"* ]]
	shows ActiveState=active
	# Elsewhere, where no directory is in the way.
	config '.linux.cgroupsPath = "\($n)-other.slice:nsrun:\($n)"' --arg n "$NAME"
	sane_run sd run "$NAME"
	[ "$status" = 1 ]
	[[ $output == *"there is one already"* ]]
	shows ActiveState=active
	[ "$(nsrun list -q)" = "" ]
	systemctl stop "$UNIT"
	wait
}

@test "a create that fails later stops the unit" {
	config '.process.args = ["/no/such/program"]'
	sane_run sd run "$NAME"
	[ "$status" = 1 ]
	no_unit
	config '.linux.resources.unified = {"nonsense.max": "7"}'
	sane_run sd run "$NAME"
	[ "$status" = 1 ]
	[[ $output == *"nonsense.max"* ]]
	no_unit
	[ "$(nsrun list -q)" = "" ]
}

@test "delegation: a container divides its own cgroup; in a user namespace it owns what it needs for that" {
	local owner
	config '.linux.namespaces += [{type: "cgroup"}] | .mounts += [{destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup"}]'
	config_args sh -c 'cd /sys/fs/cgroup; mkdir a b; echo 1 >a/cgroup.procs; for p in $(cat cgroup.procs); do echo $p >a/cgroup.procs 2>/dev/null; done
		echo +pids >cgroup.subtree_control; echo 5 >b/pids.max; cat b/pids.max'
	sane_run sd run "$NAME"
	[ "$output" = 5 ]
	user_namespace
	sane_run sd run "$NAME"
	[ "$output" = 5 ]
	config_args sleep 1000
	sd run -d "$NAME"
	owner=$(jq '.linux.uidMappings[] | select(.containerID == 0) | .hostID' config.json)
	[ "$(stat -c %u "$DIR")" = "$owner" ]
	[ "$(stat -c %u "$DIR/cgroup.procs")" = "$owner" ]
	[ "$(stat -c %u "$DIR/pids.max")" = 0 ]
	nsrun delete --force "$NAME"
	no_unit
}

@test "without a bus systemd is spoken to directly" {
	DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nowhere sd run -d "$NAME"
	shows ActiveState=active
	DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nowhere nsrun delete --force "$NAME"
	no_unit
}

@test "refused: malformed paths; another pid namespace than systemd's" {
	local path
	for path in /a/b a:b a:b:c :: a.slice:x: a--b.slice:x:y a.slice:x:y/z system.slice:a:b:c; do
		config '.linux.cgroupsPath = $p' --arg p "$path"
		sane_run sd run "$NAME"
		[ "$status" = 1 ]
		[[ $output == *"linux.cgroupsPath: "* ]]
	done
	config 'del(.linux.cgroupsPath)'
	sane_run unshare --pid --fork --mount-proc "$NSRUN" --root "$ROOT" --systemd-cgroup run "$NAME"
	[ "$status" = 1 ]
	[[ $output == *"another pid namespace"*cgroupfs* ]]
	[ "$(nsrun list -q)" = "" ]
}

@test "nsrun killed while it creates leaves no unit" {
	local call status
	# As it saves what it plans, makes the placeholder, asks for the unit, makes init, ends the placeholder, is nearly done.
	for call in renameat:1 clone:1 sendto:5 clone3:1 kill:1 renameat:2; do
		status=0
		strace -qqq -o /dev/null -e "trace=${call%:*}" -e "inject=${call%:*}:signal=KILL:when=${call#*:}" \
			"$NSRUN" --root "$ROOT" --systemd-cgroup create "$NAME" 3>&- >/dev/null 2>&1 || status=$?
		[ $status = 137 ]
		wait_for 10 no_unit
		nsrun delete --force "$NAME"
		no_unit
	done
}
