#!/usr/bin/env bats
# User namespaces: nsrun started inside one, containers with one of their own, and both at once.
# bats file_tags=vm,root

load helpers

setup() {
	not_as_user "it makes user namespaces by hand"
	common_setup
	make_bundle
	mkdir "$BUNDLE/volume"
	VOLUME=$BUNDLE/volume
}

teardown() {
	[ -z "${HOLDER:-}" ] || kill "$HOLDER" || :
	common_teardown
}

run_sh() {
	config_args sh -c "$1"
	sane_run nsrun run -b "$BUNDLE" t
}

other_namespace() {
	[ "$(readlink "/proc/$1/ns/$2")" != "$(readlink "/proc/self/ns/$2")" ]
}

# A user namespace with the ids from $HOST_ID on, kept by the process $HOLDER.
make_userns() {
	unshare --user sleep 1000 3>&- &
	HOLDER=$!
	wait_for 5 other_namespace $HOLDER user
	echo "0 $HOST_ID 60000" >/proc/$HOLDER/uid_map
	echo "0 $HOST_ID 60000" >/proc/$HOLDER/gid_map
	chmod -R go+rX "$BATS_RUN_TMPDIR" "$BUNDLE"
	chown -R "$HOST_ID:$HOST_ID" "$BUNDLE"
}

# inside NAMESPACES COMMAND: runs it as root of that user namespace, with further namespaces: inside "--net --pid" COMMAND
inside() {
	# shellcheck disable=SC2086
	nsenter -t "$HOLDER" -U -S 0 -G 0 unshare --mount --propagation private $1 --fork --kill-child \
		sh -c 'mount -t tmpfs -o mode=755 tmpfs /run && exec "$@"' sh "${@:2}"
}

# Runs the current bundle there.
run_inside() {
	config_args sh -c "$2"
	sane_run inside "$1" "$NSRUN" --root /run/nsrun run -b "$BUNDLE" t
}

@test "in a user namespace: a container with one of its own, whose ids are relative" {
	make_userns
	config '.linux.namespaces += [{"type": "user"}] |
		.linux.uidMappings = [{"containerID": 0, "hostID": 1000, "size": 3000}] | .linux.gidMappings = .linux.uidMappings'
	chmod -R go+rX "$BUNDLE"
	run_inside "--net --pid --mount-proc" 'cat /proc/self/uid_map; echo x >/dev/null; touch /dev/x; stat -c "%u %t:%T" /dev/x /dev/full'
	[ "$status" -eq 0 ]
	[[ "${lines[0]}" =~ ^\ +0\ +1000\ +3000$ ]]
	[ "${lines[1]}" = "0 0:0" ]
	[[ "${lines[2]}" == *" 1:7" ]]
}

@test "in a user namespace: flags that a source came with are kept, and clearing them is refused by name" {
	make_userns
	mount -t tmpfs -o ro,nosuid,nodev,noexec t-source "$VOLUME"
	config '.mounts += [{"destination": "/tmp", "source": "volume", "options": ["bind", "ro"]}]'
	run_inside "--net --pid --mount-proc" 'awk "\$5 == \"/tmp\" { print \$6 }" /proc/self/mountinfo'
	locked=$output
	config '.mounts[-1].options = ["bind", "rw"]'
	run_inside "--net --pid --mount-proc" true
	umount "$VOLUME"
	[[ "$locked" == ro,nosuid,nodev,noexec* ]]
	[ "$status" -eq 1 ]
	[[ "$output" == *"the mount at /tmp"*"are locked"* ]]
}

@test "in a user namespace: a listed device is the host's, and what the host has not is named" {
	make_userns
	config '.linux.devices = [{"type": "c", "path": "/dev/kmsg", "major": 1, "minor": 11}]'
	run_inside "--net --pid --mount-proc" 'stat -c %t:%T /dev/kmsg'
	[ "$status" -eq 0 ]
	[ "$output" = 1:b ]
	config '.linux.devices[0].path = "/dev/t-nsrun"'
	run_inside "--net --pid --mount-proc" true
	[ "$status" -eq 1 ]
	[[ "$output" == *"/dev/t-nsrun"*"user namespace"* ]]
}

@test "in a user namespace: a copy of /etc is root's, without what root there may not read" {
	make_userns
	mkdir "$BUNDLE/rootfs/copied"
	echo open >"$BUNDLE/rootfs/copied/open"
	echo secret >"$BUNDLE/rootfs/copied/secret"
	chmod 600 "$BUNDLE/rootfs/copied/secret"
	chown -R 0:0 "$BUNDLE/rootfs/copied" # not mapped
	config '.mounts += [{"destination": "/copied", "type": "tmpfs", "options": ["tmpcopyup"]}]'
	run_inside "--net --pid --mount-proc" 'cd /copied; ls; cat open; echo more >>open && stat -c %u . open'
	[ "$status" -eq 0 ]
	[ "$output" = $'open\nopen\n0\n0' ]
}

@test "CVE-2023-25809: the host's /sys in place of a sysfs has no cgroups to write to" {
	needs_root "the caller's cgroup is made by root"
	make_userns
	local cgroup=/sys/fs/cgroup/t-userns
	[ ! -d /sys/fs/cgroup/pids ] || cgroup=/sys/fs/cgroup/pids/t-userns
	mkdir $cgroup
	chown -R "$HOST_ID" $cgroup
	# The network namespace is the host's, so a sysfs of the user namespace's own is refused.
	config 'del(.linux.namespaces[] | select(.type == "network")) | .mounts += [{"destination": "/sys", "type": "sysfs"}]'
	run_inside "--pid --mount-proc" "test -d $cgroup && mkdir $cgroup/escaped"
	first=$output
	inside "--pid --mount-proc" mkdir $cgroup/may # what the container may not, its caller may
	rmdir $cgroup/may $cgroup
	[ "$status" -ne 0 ]
	[[ "$first" == *"Read-only file system"* ]]
}

@test "a network namespace of another user namespace: its parameters are refused by name" {
	unshare --net sleep 1000 3>&- &
	HOLDER=$!
	wait_for 5 other_namespace $HOLDER net
	user_namespace
	config '(.linux.namespaces[] | select(.type == "network")).path = $p | .linux.sysctl = {"net.ipv4.ip_forward": "1"}' \
		--arg p "/proc/$HOLDER/ns/net"
	run_sh true
	[ "$status" -eq 1 ]
	[[ "$output" == *"net.ipv4.ip_forward"*"user namespace"*"joined by path"* ]]
}

@test "a network namespace of another user namespace: netsetup says so" {
	make_userns
	echo '{"cniVersion": "1.0.0", "name": "x", "type": "loopback"}' >"$BUNDLE/lo.conf"
	# Without a network namespace of its own: the one there is the host's.
	sane_run inside "" env CNI_PATH=/nowhere CNI_COMMAND=ADD CNI_CONTAINERID=t CNI_IFNAME=lo CNI_NETNS=/proc/self/ns/net \
		CNI_NETNS_OVERRIDE=1 bash -c 'exec -a loopback "$0" <"$1"' "$NETSETUP" "$BUNDLE/lo.conf"
	[ "$status" -ne 0 ]
	[[ "$output" == *"network namespace"*"user namespace"* ]]
}

# --- cgroups ------------------------------------------------------------------------------------------------------

delegated_bundle() {
	needs_root "the container's cgroup is made by root"
	[ -e /sys/fs/cgroup/cgroup.procs ] || skip "cgroups of version 1 are not delegated"
	user_namespace
	config '.linux.namespaces += [{"type": "cgroup"}] | .linux.cgroupsPath = "/t-userns" | .linux.resources.pids.limit = 50 |
		.mounts += [{"destination": "/sys", "type": "sysfs", "source": "sysfs"},
			{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": $o}]' --argjson o "$1"
}

@test "a container may make sub-cgroups in its own cgroup, but not widen its limits" {
	delegated_bundle '["nosuid", "nodev", "noexec", "rw"]'
	run_sh 'cd /sys/fs/cgroup; mkdir sub && echo $$ >sub/cgroup.procs && cat /proc/self/cgroup
		echo +pids >cgroup.subtree_control && echo 10 >sub/pids.max && cat sub/pids.max
		echo 1000 >pids.max; cat pids.max'
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = 0::/sub ]
	[ "${lines[1]}" = 10 ]
	[[ "${lines[2]}" == *"pids.max"*"Permission denied"* ]]
	[ "${lines[3]}" = 50 ]
	[ ! -e /sys/fs/cgroup/t-userns ]
}

@test "the files that are handed to the container's user are those of the kernel's list" {
	delegated_bundle '["nosuid", "nodev", "noexec"]'
	nsrun create -b "$BUNDLE" t
	owners=$(cd /sys/fs/cgroup/t-userns; stat -c '%u %n' . cgroup.procs cgroup.subtree_control cgroup.threads pids.max cgroup.type)
	nsrun delete -f t
	[ "$owners" = "$HOST_ID .
$HOST_ID cgroup.procs
$HOST_ID cgroup.subtree_control
$HOST_ID cgroup.threads
0 pids.max
0 cgroup.type" ]
}

@test "a cgroup that is shown read-only stays root's" {
	delegated_bundle '["ro"]'
	nsrun create -b "$BUNDLE" t
	owner=$(stat -c %u /sys/fs/cgroup/t-userns /sys/fs/cgroup/t-userns/cgroup.procs)
	nsrun delete -f t
	[ "$owner" = $'0\n0' ]
}
