#!/usr/bin/env bats
# bats file_tags=vm,root
# nsrun update: limits of a container that runs, by options and by JSON, on cgroup version 1 and 2. That limits hold is
# tests/limits.bats.

load helpers

setup() {
	needs_root "the machine's control groups are its own"
	common_setup
	make_bundle
	V2=
	[ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ] || V2=1
	NAME=nsrun-update-$BASHPID
	config '.linux.cgroupsPath = $p | .linux.resources = {memory: {limit: 33554432, reservation: 25165824},
		cpu: {shares: 100, quota: 500000, period: 1000000}, pids: {limit: 20}}' --arg p "/$NAME"
	config_args sleep 1000
}

teardown() {
	common_teardown
}

# The container's file: v1's controller and name, v2's name.
file() {
	[ "$V2" ] && echo "/sys/fs/cgroup/$NAME/$3" || echo "/sys/fs/cgroup/$1/$NAME/$2"
}

# is V1-CONTROLLER V1-FILE V2-FILE V1-VALUE [V2-VALUE]
is() {
	local got want=$4
	[ ! "$V2" ] || want=${5-$4}
	got=$(cat "$(file "$1" "$2" "$3")")
	[ "$got" = "$want" ] || { echo "$(file "$1" "$2" "$3"): \"$got\", not \"$want\""; return 1; }
}

memory_is() { is memory memory.limit_in_bytes memory.max "$@"; }
reservation_is() { is memory memory.soft_limit_in_bytes memory.low "$@"; }
swap_is() { is memory memory.memsw.limit_in_bytes memory.swap.max "$@"; }
pids_is() { is pids pids.max pids.max "$@"; }
shares_is() { is cpu cpu.shares cpu.weight "$@"; }

# quota_is QUOTA PERIOD
quota_is() {
	if [ "$V2" ]; then
		is "" "" cpu.max "" "$([ "$1" = -1 ] && echo max || echo "$1") $2"
	else
		is cpu cpu.cfs_quota_us "" "$1"
		is cpu cpu.cfs_period_us "" "$2"
	fi
}

start() {
	nsrun run -d --bundle "$BUNDLE" c
}

@test "one option changes one limit, and the others stay" {
	start
	nsrun update c --memory 64M
	memory_is 67108864
	reservation_is 25165824
	pids_is 20
	shares_is 100 "$([ "$V2" ] && cat "$(file cpu cpu.shares cpu.weight)")"
	quota_is 500000 1000000
	nsrun update --memory-reservation 33554432 c
	reservation_is 33554432
	memory_is 67108864
	nsrun update --pids-limit 10 c
	pids_is 10
	nsrun update --pids-limit -1 c
	pids_is max
	nsrun update --pids-limit=0 c # none but init
	pids_is 1
	nsrun update --cpu-share 512 c
	shares_is 512 59
	nsrun update --memory -1 c
	[ "$V2" ] || memory_is "$(cat /sys/fs/cgroup/memory/memory.limit_in_bytes)"
	[ ! "$V2" ] || memory_is - max
	nsrun update c
	pids_is 1
	nsrun delete --force c
}

@test "quota and period: each alone keeps the other" {
	start
	nsrun update --cpu-period 900000 c
	quota_is 500000 900000
	nsrun update --cpu-quota 600000 c
	quota_is 600000 900000
	nsrun update --cpu-quota -1 c
	quota_is -1 900000
	nsrun update --cpu-quota 20000 --cpu-period 50000 c
	quota_is 20000 50000
	nsrun update --cpu-burst 10000 c
	is cpu cpu.cfs_burst_us cpu.max.burst 10000
	# Neither can be first: the quota must not be below the burst, nor the burst above the quota.
	nsrun update --cpu-quota 8000 --cpu-burst 5000 c
	quota_is 8000 50000
	is cpu cpu.cfs_burst_us cpu.max.burst 5000
	nsrun update --cpu-quota 40000 --cpu-burst 30000 c
	quota_is 40000 50000
	is cpu cpu.cfs_burst_us cpu.max.burst 30000
	nsrun update --cpu-burst 0 c
	is cpu cpu.cfs_burst_us cpu.max.burst 0
	nsrun delete --force c
}

@test "memory and swap: raised, lowered, unlimited, in whichever order the kernel needs" {
	start
	[ -e "$(file memory memory.memsw.limit_in_bytes memory.swap.max)" ] || skip "this kernel does not account swap"
	nsrun update --memory 30M --memory-swap 50M c
	memory_is 31457280
	swap_is 52428800 20971520
	nsrun update --memory 60M --memory-swap 80M c # the new memory is above the old sum
	memory_is 62914560
	swap_is 83886080 20971520
	nsrun update --memory 20M --memory-swap 20M c # the new sum is below the old memory
	memory_is 20971520
	swap_is 20971520 0
	nsrun update --memory-swap 40M c # the sum alone
	memory_is 20971520
	swap_is 41943040 20971520
	nsrun update --memory-swap -1 c
	swap_is "$(cat /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes 2>/dev/null)" max
	nsrun update --memory 30M --memory-swap 50M c
	nsrun update --memory -1 c # unlimited memory leaves no sum to limit
	swap_is "$(cat /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes 2>/dev/null)" max
	nsrun delete --force c
}

@test "JSON: from the standard input and from a file, and only what is in it changes" {
	start
	nsrun update --resources - c <<<'{"memory": {"limit": 67108864}, "pids": {"limit": 30}}'
	memory_is 67108864
	reservation_is 25165824
	pids_is 30
	quota_is 500000 1000000
	echo '{"cpu": {"quota": 20000, "period": 50000, "cpus": "0"}}' >"$BATS_TEST_TMPDIR/r.json"
	nsrun update -r "$BATS_TEST_TMPDIR/r.json" c --memory 5G # other options are ignored
	quota_is 20000 50000
	is cpuset cpuset.cpus cpuset.cpus 0
	memory_is 67108864
	# What docker writes for what nobody chose, and CRI-O and containerd send along.
	nsrun update --resources - c <<<'{"devices": [{"allow": false, "access": "rwm"}], "memory": {"limit": 0, "swap": 0,
		"reservation": 0}, "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": ""}, "blockIO": {"weight": 0},
		"pids": null, "unknown": 7}'
	quota_is 20000 50000
	memory_is 67108864
	pids_is 30
	nsrun delete --force c
}

@test "an idle container takes shares again when it is not idle any more" {
	start
	[ -e "$(file cpu cpu.idle cpu.idle)" ] || skip "this kernel has no idle groups"
	nsrun update --cpu-idle 1 c
	is cpu cpu.idle cpu.idle 1
	nsrun update --cpu-share 300 --cpu-idle 0 c
	is cpu cpu.idle cpu.idle 0
	shares_is 300 39
	nsrun delete --force c
}

@test "a container with the default path, too; a paused and a created one" {
	config 'del(.linux.cgroupsPath) | .linux.resources = {pids: {limit: 20}}'
	nsrun create --bundle "$BUNDLE" "$NAME"
	nsrun update --pids-limit 15 "$NAME"
	pids_is 15
	nsrun delete --force "$NAME"
	config '.linux.cgroupsPath = $p' --arg p "/$NAME"
	start
	nsrun pause c
	nsrun update --pids-limit 16 c
	pids_is 16
	status_is c paused
	nsrun delete --force c
}

@test "a controller that the container lacks: enabled on version 2, told on version 1" {
	config 'del(.linux.cgroupsPath) | .linux.resources = {pids: {limit: 20}}'
	nsrun run -d --bundle "$BUNDLE" "$NAME"
	sane_run nsrun update --memory 64M "$NAME"
	if [ "$V2" ]; then
		[ "$status" = 0 ]
		memory_is - 67108864
	else
		[ "$status" = 1 ]
		[[ $output == *"cannot set linux.resources.memory.limit: the container is in no cgroup of that controller"*cgroupsPath* ]]
	fi
	nsrun delete --force "$NAME"
}

@test "refused with a reason, and nothing changes" {
	local words
	sane_run nsrun update --memory 64M c
	[ "$status" = 1 ]
	[[ $output == *"container c does not exist"* ]]
	start
	while read -r -a words; do
		sane_run nsrun update "${words[@]}" c
		[ "$status" = 1 ]
		[[ $output == *"invalid value for ${words[0]#--}: "* ]]
	done <<-'LINES'
	--memory 64X
	--memory-swap -2
	--cpu-quota much
	--cpu-period -1
	--cpu-share 1.5
	--pids-limit many
	--blkio-weight x
	LINES
	sane_run nsrun update --blkio-weight 5 c
	[ "$status" = 1 ]
	[[ $output == *"blockIO.weight: 5 is not within 10 and 1000"* ]]
	sane_run nsrun update --memory 64M --memory-swap 32M c
	[ "$status" = 1 ]
	[[ $output == *"must not be below memory.limit"* ]]
	sane_run nsrun update --cpuset-cpus 4000 --pids-limit 10 c
	[ "$status" = 1 ]
	[[ $output == *"cpuset.cpus"* ]]
	sane_run nsrun update --l3-cache-schema L3:0=f c
	[ "$status" = 1 ]
	[[ $output == *"--l3-cache-schema: nsrun cannot change Intel RDT"* ]]
	sane_run nsrun update -r - c <<<'{"memory": {"limit": "64M"}}'
	[ "$status" = 1 ]
	[[ $output == *"standard input: memory.limit: expected an integer"* ]]
	sane_run nsrun update -r - c <<<'{"memory": '
	[ "$status" = 1 ]
	[[ $output == *"standard input: "* ]]
	sane_run nsrun update -r /nonexistent c
	[ "$status" = 1 ]
	[[ $output == *"/nonexistent: No such file"* ]]
	memory_is 33554432
	nsrun kill c KILL
	wait_for 10 status_is c stopped
	sane_run nsrun update --memory 64M c
	[ "$status" = 1 ]
	[[ $output == *"container not running"* ]]
	nsrun delete c
}

@test "a container without a cgroup is told how to get one" {
	config 'del(.linux.cgroupsPath, .linux.resources)'
	start
	sane_run nsrun update --memory 64M c
	[ "$status" = 1 ]
	[[ $output == *"cannot update container c: it has no cgroup"*"linux.cgroupsPath"* ]]
	nsrun delete --force c
}

@test "kernel memory is ignored with a warning" {
	start
	sane_run nsrun update --kernel-memory 64M --kernel-memory-tcp 1M --pids-limit 11 c
	[ "$status" = 0 ]
	[[ $output == *"kernelTCP are ignored"* ]]
	pids_is 11
	nsrun delete --force c
}

@test "a memory limit below what is in use: refused when it is to be checked before, with both numbers" {
	config_args sh -c 'head -c 20000000 /dev/zero | tail -c 20000000 >/dev/shm/x 2>/dev/null; head -c 12000000 /dev/zero >/dev/x; sleep 1000'
	config '.linux.resources.memory.limit = 67108864'
	start
	wait_for 20 eval '[ "$(cat "$(file memory memory.usage_in_bytes memory.current)")" -gt 10000000 ]'
	sane_run nsrun update -r - c <<<'{"memory": {"limit": 4096, "checkBeforeUpdate": true}}'
	[ "$status" = 1 ]
	if [ "$V2" ]; then
		[[ $output =~ "rejecting memory limit 4096: the container uses "[0-9]+ ]]
	else
		[[ $output == *"memory.limit"*busy*"the container uses more than that"* ]]
	fi
	status_is c running
	memory_is 67108864
	nsrun delete --force c
}

@test "updates at once, and one that is killed, leave a container that can be updated" {
	start
	local i
	for i in 1 2 3 4 5 6; do
		nsrun update --memory "6${i}M" --memory-swap "9${i}M" --cpu-quota "2${i}000" --cpu-period 50000 --pids-limit "3$i" c 3>&- &
	done
	wait
	i=$(cat "$(file pids pids.max pids.max)")
	memory_is $((6${i#3} * 1048576))
	quota_is "2${i#3}000" 50000
	for i in 1 2 3 4 5 6 7 8; do
		nsrun update --memory "${i}0M" --memory-swap "${i}5M" --cpu-quota 30000 c 3>&- &
		sleep "0.00$i"
		kill -9 $! 2>/dev/null || true
		wait $! || true
	done
	nsrun update --memory 33554432 --memory-swap 50M --cpu-quota 25000 --pids-limit 20 c
	memory_is 33554432
	quota_is 25000 50000
	nsrun delete --force c
}

@test "device rules stay as they were created" {
	config '.process.capabilities |= map_values(. + ["CAP_MKNOD", "CAP_SYSLOG"])
		| .linux.resources.devices = [{allow: true, type: "c", major: 1, minor: 11, access: "rwm"}]'
	start
	nsrun exec c sh -c 'mknod /k c 1 11 && mknod /b b 7 0'
	nsrun update -r - c <<<'{"devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "b", "access": "rwm"}]}'
	nsrun exec c sh -c 'head -c 0 </k'
	sane_run nsrun exec c sh -c 'head -c 0 </b'
	[ "$status" != 0 ]
	[[ $output == *"not permitted"* ]]
	nsrun delete --force c
}
