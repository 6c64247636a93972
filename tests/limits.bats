#!/usr/bin/env bats
# bats file_tags=vm,root
# Limits seen in effect, on cgroup version 1 and 2: what happens inside when a container meets one. Which files say so is
# tests/cgroups.bats and tests/update.bats.

load helpers

setup() {
	needs_root "the machine's control groups are its own"
	common_setup
	make_bundle
	V2=
	[ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ] || V2=1
	NAME=nsrun-limits-$BASHPID
	config '.linux.cgroupsPath = $p' --arg p "/$NAME"
	config_args sleep 1000
	LOOP=
}

teardown() {
	local rc=0
	common_teardown || rc=1
	[ ! "$LOOP" ] || losetup -d "$LOOP"
	return $rc
}

# The container's directory of a controller of version 1.
dir() {
	[ "$V2" ] && echo "/sys/fs/cgroup/$NAME" || echo "/sys/fs/cgroup/$1/$NAME"
}

# The number behind a word in one of its files: value cpu cpu.stat nr_throttled
value() {
	awk -v word="$3" '$1 == word { print $2 }' "$(dir "$1")/$2"
}

needs_v1() {
	[ ! "$V2" ] || skip "version 2 has no $1"
}

needs_v2() {
	[ "$V2" ] || skip "$1"
}

start() {
	nsrun run -d --bundle "$BUNDLE" c
}

# Reads so many million bytes into memory, in a process of the container's own; prints them if it is let.
eats() {
	sane_run nsrun exec c sh -c "x=\$(head -c $1000000 /dev/zero | tr '\\0' x); echo \${#x}"
}

@test "memory: who takes too much is killed, the container lives, and a raised limit is enough" {
	config '.linux.resources.memory = {limit: 25000000}'
	start
	eats 40
	[[ $output != *40000000* ]]
	[ "$status" != 0 ]
	status_is c running
	[ ! "$V2" ] || [ "$(value memory memory.events oom_kill)" -gt 0 ]
	[ "$V2" ] || [ "$(value memory memory.oom_control oom_kill)" -gt 0 ]
	eats 1
	[[ $output == *1000000* ]]
	nsrun update --memory 300M c
	eats 40
	[[ $output == *40000000* ]]
	nsrun delete --force c
}

@test "memory: an update below what is used kills on version 2, as runc's does" {
	needs_v2 "version 1 refuses it (tests/update.bats)"
	config '.linux.resources.memory = {limit: 100000000}'
	config_args sh -c 'x=$(head -c 20000000 /dev/zero | tr "\0" x); echo ready >/tmp/ready; sleep 1000; echo $x'
	start
	wait_for 30 test -e "$BUNDLE/rootfs/tmp/ready"
	sane_run nsrun update -r - c <<<'{"memory": {"limit": 4000000, "checkBeforeUpdate": true}}'
	[ "$status" = 1 ]
	[[ $output == *"rejecting memory limit"* ]]
	status_is c running
	nsrun update --memory 4000000 c || true
	wait_for 20 status_is c stopped
	nsrun delete c
}

@test "pids: 0 leaves init alone, -1 is no limit, and an update is felt at once" {
	config '.linux.resources.pids = {limit: 0}'
	config_args sh -c 'while :; do (echo forked >/tmp/forked) 2>/dev/null; sleep 1000 || read x </tmp/never; done'
	mkfifo "$BUNDLE/rootfs/tmp/never"
	start
	sleep 0.3
	[ ! -e "$BUNDLE/rootfs/tmp/forked" ]
	nsrun delete --force c
	config '.linux.resources.pids = {limit: -1}'
	config_args sleep 1000
	start
	nsrun exec c sh -c 'for i in 1 2 3 4 5 6; do sleep 0.1 & done; wait'
	nsrun update --pids-limit 3 c
	sane_run nsrun exec c sh -c 'for i in 1 2 3 4 5 6; do sleep 0.1 & done; wait'
	[[ $output == *"can't fork"* ]]
	nsrun update --pids-limit -1 c
	nsrun exec c sh -c 'for i in 1 2 3 4 5 6; do sleep 0.1 & done; wait'
	nsrun delete --force c
}

@test "cpu: a quota throttles, and without one nothing does" {
	config '.linux.resources.cpu = {quota: 10000, period: 100000}'
	config_args sh -c 'while :; do :; done'
	start
	local from used throttled
	wait_for 10 eval '[ "$(value cpu cpu.stat nr_throttled)" -gt 2 ]'
	from=$(date +%s%N)
	used=$(cpu_time)
	sleep 2
	used=$(($(cpu_time) - used)) from=$(($(date +%s%N) - from))
	echo "used $used of $from ns"
	[ $((used * 4)) -lt $from ]
	nsrun update --cpu-quota -1 c
	sleep 0.3
	throttled=$(value cpu cpu.stat nr_throttled)
	sleep 0.7
	[ "$(value cpu cpu.stat nr_throttled)" = "$throttled" ]
	nsrun delete --force c
}

# Of the container, in nanoseconds.
cpu_time() {
	if [ "$V2" ]; then
		echo "$(value cpu cpu.stat usage_usec)000"
	else
		cat "$(dir cpuacct)/cpuacct.usage"
	fi
}

@test "cpuset: the processes see and use only their CPUs, also those that run already" {
	[ "$(nproc)" -gt 1 ] || skip "one CPU only"
	config '.linux.resources.cpu = {cpus: "1", mems: "0"}'
	start
	[ "$(nsrun exec c nproc)" = 1 ]
	[ "$(nsrun exec c sed -n 's/^Cpus_allowed_list:\t//p' /proc/1/status)" = 1 ]
	nsrun update --cpuset-cpus 0 c
	[ "$(nsrun exec c sed -n 's/^Cpus_allowed_list:\t//p' /proc/1/status)" = 0 ]
	nsrun update --cpuset-cpus 0-1 c
	[ "$(nsrun exec c nproc)" = 2 ]
	nsrun delete --force c
}

# A block device of 8 MB of its own, and the container may read it: $LOOP, $MAJOR, $MINOR
make_disk() {
	modprobe -q loop 2>/dev/null || true
	truncate -s 8M "$BATS_TEST_TMPDIR/disk"
	LOOP=$(losetup --find --show "$BATS_TEST_TMPDIR/disk") || skip "no loop devices here"
	MAJOR=$((0x$(stat -c %t "$LOOP"))) MINOR=$((0x$(stat -c %T "$LOOP")))
	config '.linux.devices = [{type: "b", path: "/dev/disk", major: $a, minor: $b}] |
		.linux.resources.devices = [{allow: true, type: "b", major: $a, minor: $b, access: "rw"}]' \
		--argjson a "$MAJOR" --argjson b "$MINOR"
}

# Milliseconds that a command takes.
ms() {
	local from
	from=$(date +%s%N)
	"$@" >/dev/null 2>&1
	echo $((($(date +%s%N) - from) / 1000000))
}

@test "blockIO: reading is held to its rate, writing to its operations, and an update lifts them" {
	local t
	[ "$V2" ] || [ -e /sys/fs/cgroup/blkio/blkio.throttle.read_bps_device ] || skip "no throttling in this kernel"
	make_disk
	config '.linux.resources.blockIO.throttleReadBpsDevice = [{major: $a, minor: $b, rate: 500000}]' \
		--argjson a "$MAJOR" --argjson b "$MINOR"
	start
	t=$(ms nsrun exec c dd if=/dev/disk of=/dev/null bs=64k count=20) # 1.3 MB
	echo "reading took $t ms"
	[ "$t" -ge 1500 ]
	nsrun update -r - c <<<"{\"blockIO\": {\"throttleReadBpsDevice\": [{\"major\": $MAJOR, \"minor\": $MINOR, \"rate\": 0}],
		\"throttleWriteIOPSDevice\": [{\"major\": $MAJOR, \"minor\": $MINOR, \"rate\": 5}]}}"
	if [ "$V2" ]; then
		[ "$(cat "$(dir)/io.max")" = "$MAJOR:$MINOR rbps=max wbps=max riops=max wiops=5" ]
	else
		[ -z "$(cat "$(dir blkio)/blkio.throttle.read_bps_device")" ]
	fi
	t=$(ms nsrun exec c sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do dd if=/dev/zero of=/dev/disk bs=4k count=1 seek=$((i * 100)) conv=fsync; done')
	echo "writing took $t ms"
	[ "$t" -ge 1000 ]
	nsrun delete --force c
}

@test "blockIO: a weight, and what is no disk" {
	local file=io.weight want="default 4950"
	[ "$V2" ] || file=blkio.weight want=500
	config '.linux.resources.blockIO = {weight: 500}'
	start
	[ -e "$(dir blkio)/$file" ] || file=blkio.bfq.weight
	[ ! -e "$(dir io)/io.bfq.weight" ] || file=io.bfq.weight want="default 500"
	[ "$(head -n 1 "$(dir blkio)/$file")" = "$want" ]
	nsrun update --blkio-weight 1000 c
	[[ "$(head -n 1 "$(dir blkio)/$file")" == *1000* ]]
	sane_run nsrun update -r - c <<<'{"blockIO": {"throttleReadBpsDevice": [{"major": 254, "minor": 250, "rate": 5}]}}'
	[ "$status" = 1 ]
	[[ $output == *"blockIO.throttleReadBpsDevice"*"254:250"*"lsblk"* ]]
	nsrun delete --force c
}

@test "hugepageLimits: no page more than allowed" {
	local before
	needs_v2 "the hugetlb controller is not mounted here"
	before=$(cat /proc/sys/vm/nr_hugepages)
	echo $((before + 6)) >/proc/sys/vm/nr_hugepages
	[ "$(cat /proc/sys/vm/nr_hugepages)" = $((before + 6)) ] || skip "no huge pages to be had"
	config '.linux.resources.hugepageLimits = [{pageSize: "2MB", limit: 4194304}]
		| .mounts += [{destination: "/huge", type: "hugetlbfs", source: "hugetlbfs", options: ["pagesize=2M"]}]'
	start
	nsrun exec c fallocate -l 4194304 /huge/a
	sane_run nsrun exec c fallocate -l 2097152 /huge/b
	[ "$status" != 0 ]
	[ "$(value hugetlb hugetlb.2MB.events max)" -gt 0 ]
	nsrun update -r - c <<<'{"hugepageLimits": [{"pageSize": "2MB", "limit": 8388608}]}'
	nsrun exec c fallocate -l 2097152 /huge/c
	sane_run nsrun update -r - c <<<'{"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]}'
	[ "$status" = 1 ]
	[[ $output == *"hugetlb.3MB.max"*"/sys/kernel/mm/hugepages"* ]]
	nsrun delete --force c
	echo "$before" >/proc/sys/vm/nr_hugepages
}

@test "unified: a setting that config.json has no word for, felt" {
	needs_v2 "unified is for version 2"
	config '.linux.resources.unified = {"pids.max": "2", "memory.high": "50000000", "misc.max": "", "cgroup.max.descendants": "0"}'
	start
	sane_run nsrun exec c sh -c 'for i in 1 2 3; do sleep 0.1 & done; wait'
	[[ $output == *"can't fork"* ]]
	[ "$(cat "$(dir)/memory.high")" = 49999872 ]
	not mkdir "$(dir)/below"
	nsrun update -r - c <<<'{"unified": {"pids.max": "max"}}'
	nsrun exec c sh -c 'for i in 1 2 3; do sleep 0.1 & done; wait'
	nsrun delete --force c
}

@test "rdma: a device that is not there is named" {
	needs_v2 "the rdma controller is not mounted here"
	config '.linux.resources.rdma = {mlx5_1: {hcaHandles: 3, hcaObjects: 100}}'
	sane_run nsrun run --bundle "$BUNDLE" c
	[ "$status" = 1 ]
	[[ $output == *"linux.resources.rdma"*"mlx5_1 hca_handle=3 hca_object=100"*"/sys/class/infiniband"* ]]
	[ ! -e "$(dir)" ]
}

@test "version 2 refuses what only version 1 has" {
	needs_v2 "this is version 1"
	local resources
	while read -r resources; do
		config ".linux.resources = $resources"
		sane_run nsrun run --bundle "$BUNDLE" c
		[ "$status" = 1 ]
		[[ $output == *"cgroup v2 has no such limit; leave it out"* ]]
		[ ! -e "$(dir)" ]
	done <<-'LINES'
	{"network": {"classID": 7}}
	{"network": {"priorities": [{"name": "lo", "priority": 7}]}}
	{"cpu": {"realtimeRuntime": 7000}}
	{"memory": {"swappiness": 7}}
	{"blockIO": {"leafWeight": 100}}
	LINES
}

@test "cpu: realtime only with a share of it" {
	needs_v1 "realtime groups"
	[ -e /sys/fs/cgroup/cpu/cpu.rt_runtime_us ] || skip "no realtime groups in this kernel"
	start
	local pid
	pid=$(nsrun state c | jq .pid)
	sane_run chrt --fifo --pid 10 "$pid"
	[ "$status" != 0 ]
	nsrun update --cpu-rt-runtime 5000 --cpu-rt-period 1000000 c
	chrt --fifo --pid 10 "$pid"
	# The new period alone would be below the runtime that there is.
	nsrun update --cpu-rt-runtime 2000 --cpu-rt-period 4000 c
	[ "$(cat "$(dir cpu)/cpu.rt_period_us") $(cat "$(dir cpu)/cpu.rt_runtime_us")" = "4000 2000" ]
	nsrun delete --force c
}

# A disk of its own as swap; nothing of the machine is swapped to it.
@test "memory and swap: what does not fit into memory goes to swap as far as allowed" {
	needs_v2 "swap is switched on in the second kernel only"
	local file=$BATS_TEST_TMPDIR/swap
	[ -e "$(dir)/memory.swap.max" ] || modprobe -q loop 2>/dev/null || true
	truncate -s 96M "$file"
	LOOP=$(losetup --find --show "$file") || skip "no loop devices here"
	mkswap -q "$LOOP"
	swapon "$LOOP"
	config '.linux.resources.memory = {limit: 25000000, swap: 25000000}'
	start
	eats 40
	[[ $output != *40000000* ]]
	nsrun update --memory 25000000 --memory-swap 150000000 c
	eats 40
	[[ $output == *40000000* ]]
	nsrun delete --force c
	swapoff "$LOOP"
}
