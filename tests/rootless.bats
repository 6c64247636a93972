#!/usr/bin/env bats
# What is special about an ordinary user: mappings, what is missing for them, what cannot be had, and where things lie.
# bats file_tags=vm:user

load helpers

setup() {
	[ "$MODE" = user ] || skip "for an ordinary user: tests/run -m user"
	common_setup
	make_bundle
}

# As `nsrun spec --rootless` has it: the user for root, and nobody else.
own_id_only() {
	config '.linux.uidMappings |= .[:1] | .linux.gidMappings |= .[:1]'
}

# nsrun_without PROGRAM ARGS...: with a PATH in which all other programs are.
nsrun_without() {
	local dir=$BATS_TEST_TMPDIR/path
	mkdir -p "$dir"
	ln -sf /usr/bin/* /bin/* "$dir/" 2>/dev/null || true
	rm -f "$dir/$1"
	sane_run env PATH="$dir" "$NSRUN" --root "$ROOT" "${@:2}"
}

@test "spec --rootless runs as it is" {
	rm "$BUNDLE/config.json"
	"$NSRUN" spec --rootless -b "$BUNDLE"
	jq '.process.terminal = false | .process.args = ["sh", "-c", $s]' "$BUNDLE/config.json" --arg s \
		'id -u; cat /proc/self/uid_map; hostname; for d in null zero full random urandom tty; do test -c /dev/$d || echo $d; done; ls -d /sys/class /dev/pts/ptmx /dev/shm /dev/mqueue' \
		>"$BUNDLE/new"
	mv "$BUNDLE/new" "$BUNDLE/config.json"
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = 0 ]
	[ "$(tr -s ' ' <<<"${lines[1]}")" = " 0 $UID 1" ]
	[ "${lines[2]}" = nsrun ]
	[ "${lines[*]:3}" = "/dev/mqueue /dev/pts/ptmx /dev/shm /sys/class" ]
}

@test "the own id alone needs no helper, and groups cannot be set" {
	own_id_only
	config '.process.user.additionalGids = [0]'
	config_args sh -c 'cat /proc/self/gid_map /proc/self/setgroups'
	nsrun_without newuidmap run -b "$BUNDLE" c
	[ "$status" -eq 0 ]
	[[ "$output" == *"additional groups are left out"* ]]
	[[ "$(tr -s ' ' <<<"$output")" == *" 0 $(id -g) 1"*deny* ]]
}

@test "subordinate ids: seen from inside and from outside" {
	config '.process.user = {"uid": 1000, "gid": 1001, "additionalGids": [1002]}'
	config_args sh -c 'id -u; id -g; id -G; exec sleep 100'
	nsrun run -d -b "$BUNDLE" --pid-file "$BATS_TEST_TMPDIR/pid" c >"$BATS_TEST_TMPDIR/out"
	wait_for 10 grep -q 1002 "$BATS_TEST_TMPDIR/out"
	[ "$(cat "$BATS_TEST_TMPDIR/out")" = "1000
1001
1001 1002" ]
	local pid
	pid=$(cat "$BATS_TEST_TMPDIR/pid")
	[ "$(stat -c %u:%g "/proc/$pid")" = "$((HOST_ID + 999)):$(($(subid /etc/subgid) + 1000))" ]
	# The file stays the user's, though the program is another.
	[ -O "$BATS_TEST_TMPDIR/out" ]
	[ "$(nsrun exec -u 5:6 c sh -c 'id -u; id -g')" = "5
6" ]
	nsrun kill c KILL
	wait_for 10 status_is c stopped
	nsrun delete c
}

@test "ids that are not the user's, and no program to map them" {
	config '.linux.uidMappings[1].hostID = 1'
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -eq 1 ]
	[ "${#lines[@]}" -eq 1 ]
	[[ "$output" == *linux.uidMappings*newuidmap*/etc/subuid*usermod* ]]
	make_bundle "$BATS_TEST_TMPDIR/other"
	nsrun_without newuidmap run -b "$BUNDLE" c
	[ "$status" -eq 1 ]
	[ "${#lines[@]}" -eq 1 ]
	[[ "$output" == *linux.uidMappings*"newuidmap, which is not there"*"package uidmap"* ]]
	nsrun_without newgidmap run -b "$BUNDLE" c
	[ "$status" -eq 1 ]
	[[ "$output" == *linux.gidMappings*"newgidmap, which is not there"* ]]
	[ -z "$(nsrun list -q)" ]
}

@test "without a user namespace there is one error with the remedy" {
	jq '.linux.namespaces |= map(select(.type != "user")) | del(.linux.uidMappings, .linux.gidMappings)' "$BUNDLE/config.json" \
		>"$BUNDLE/new"
	mv "$BUNDLE/new" "$BUNDLE/config.json"
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -eq 1 ]
	[ "${#lines[@]}" -eq 1 ]
	[[ "$output" == *"needs a user namespace"*"nsrun spec --rootless"* ]]
}

@test "a root file system that the user cannot reach" {
	config '.root.path = "/root/rootfs"'
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -eq 1 ]
	[ "${#lines[@]}" -eq 1 ]
	[[ "$output" == *"/root/rootfs"*"permission denied"*"open to who runs nsrun"* ]]
}

@test "links, netDevices and names of namespaces need root" {
	local change
	for change in '.annotations["org.nsrun.net.eth0"] = "x.conflist"' '.linux.netDevices.eth7 = {}' \
		'.annotations["org.nsrun.netns"] = "x"'; do
		make_bundle "$BATS_TEST_TMPDIR/bundle-$((++n))"
		config "$change"
		sane_run nsrun run -b "$BUNDLE" c
		[ "$status" -eq 1 ]
		[ "${#lines[@]}" -eq 1 ]
		[[ "$output" == *"needs rights over the host's network"*"as root"* ]]
	done
}

@test "netsetup says in one error that it has no rights, and leaves nothing" {
	local config='{"cniVersion": "1.1.0", "name": "x", "type": "bridge", "bridge": "br-x", "ipam": {"type": "host-local", "subnet": "10.9.0.0/24"}}'
	config_args sleep 100
	nsrun run -d -b "$BUNDLE" c
	run env CNI_COMMAND=ADD CNI_CONTAINERID=x CNI_IFNAME=eth0 CNI_NETNS="/proc/$(nsrun state c | jq .pid)/ns/net" CNI_PATH=/nowhere "$NETSETUP" <<<"$config"
	echo "$output"
	[ "$status" -ne 0 ]
	[ "$(jq -r '.code > 0 and (.msg | length > 0)' <<<"$output")" = true ]
	[[ "$output" == *"belongs to a user namespace in which the caller has no rights"* ]]
	nsrun delete --force c
	not ip link show br-x
	[ -z "$(find "$NETSETUP_ROOT" -type f ! -name '*lock' -size +0)" ]
}

@test "state lies below XDG_RUNTIME_DIR, or where --root and --rootless say" {
	config_args sleep 100
	"$NSRUN" run -d -b "$BUNDLE" c
	[ -f "$XDG_RUNTIME_DIR/nsrun/c/state.json" ]
	[ -k "$XDG_RUNTIME_DIR/nsrun" ]
	[ "$("$NSRUN" list -q)" = c ]
	[ -z "$(nsrun list -q)" ]
	[ "$("$NSRUN" --rootless true list -q)" = c ]
	"$NSRUN" delete --force c
	sane_run "$NSRUN" --rootless maybe list
	[ "$status" -eq 1 ]
	[[ "$output" == *"true, false or auto"* ]]
	rmdir "$XDG_RUNTIME_DIR/nsrun"
}

@test "a cgroup that cannot be made is done without, unless limits ask for it" {
	config '.linux.cgroupsPath = "/nsrun-not-for-users"'
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -eq 0 ]
	[[ "$output" == *"may not make"* ]]
	config '.linux.resources = {"devices": [{"allow": false, "access": "rwm"}]}'
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -eq 0 ]
	config '.linux.resources = {"pids": {"limit": 10}}'
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -eq 1 ]
	[[ "$output" == *"limits need a cgroup"* ]]
	sane_run nsrun --rootless false run -b "$BUNDLE" c
	[ "$status" -eq 1 ]
	[[ "$output" != *"limits need a cgroup"* ]]
}

@test "oom_score_adj: raised when asked, a warning when it cannot be lowered" {
	config '.process.oomScoreAdj = 500'
	config_args sh -c 'cat /proc/self/oom_score_adj; exec sleep 100'
	nsrun run -d -b "$BUNDLE" c >"$BATS_TEST_TMPDIR/out"
	wait_for 10 grep -qx 500 "$BATS_TEST_TMPDIR/out"
	[ "$(nsrun exec c cat /proc/self/oom_score_adj)" = 500 ]
	nsrun delete --force c
	config '.process.oomScoreAdj = -500'
	config_args true
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -eq 0 ]
	[[ "$output" == *"cannot set oom_score_adj to -500"* ]]
}

@test "a supervised service, and exec beside it" {
	config '.annotations = {"org.nsrun.services": "services.json"}'
	echo '{"services": [{"name": "a", "process": {"args": ["sleep", "1000"]}}]}' >"$BUNDLE/services.json"
	nsrun run -d -b "$BUNDLE" c
	[ "$(nsrun exec c hostname)" = test ]
	service_runs() { [ "$(nsrun services -f json c | jq -r '.[0].state')" = running ]; }
	wait_for 10 service_runs
	nsrun delete --force c
	# Where a service may trace others, it must not be able to trace its supervisor.
	config '.process.capabilities.bounding += ["CAP_SYS_PTRACE"]'
	nsrun run -d -b "$BUNDLE" c
	[ "$(stat -c %u "/proc/$(nsrun state c | jq .pid)/fd" 2>/dev/null)" != "$UID" ]
	nsrun delete --force c
}

# The cgroup of this process when the user may make others beside it: in a user manager's delegated scope.
delegated() {
	DELEGATED=$(sed -n 's/^0:://p' /proc/self/cgroup)
	[ -w "/sys/fs/cgroup${DELEGATED%/*}/cgroup.procs" ]
}

@test "in a delegated cgroup: limits, pause, kill and delete" {
	delegated || skip "not in a delegated cgroup of version 2"
	config '.linux.cgroupsPath = "nsrun-t" | .linux.resources = {"pids": {"limit": 20}}'
	config_args sleep 1000
	nsrun run -d -b "$BUNDLE" c
	local dir=/sys/fs/cgroup${DELEGATED%/*}/nsrun-t
	[ "$(cat "$dir/pids.max")" = 20 ]
	[ "$(cat "$dir/cgroup.procs")" = "$(nsrun state c | jq .pid)" ]
	nsrun exec c cat /proc/self/cgroup | grep -q '/nsrun-t$'
	nsrun pause c
	status_is c paused
	nsrun resume c
	nsrun update --pids-limit 30 c
	[ "$(cat "$dir/pids.max")" = 30 ]
	nsrun kill --all c KILL
	wait_for 10 status_is c stopped
	nsrun delete c
	[ ! -e "$dir" ]
}
