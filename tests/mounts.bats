#!/usr/bin/env bats
# The mounts of config.json: option words, bind mounts, file systems, id mapping, what is refused.

load helpers

# Appends a mount: add_mount '{"destination": "/d", "type": "tmpfs"}'
add_mount() {
	config '.mounts += [$m]' --argjson m "$1"
}

# Runs the current bundle with a shell command line as its program.
run_sh() {
	config_args sh -c "$1"
	sane_run nsrun run -b "$BUNDLE" t
}

# The options of the last mount on a path, as the container sees them: mount's, then the file system's.
options_of() {
	run_sh "awk '\$5 == \"$1\" { o = \$6; for (i = 7; \$i != \"-\"; i++) o = o \" \" \$i; o = o \" | \" \$(i + 3) } END { print o }' /proc/self/mountinfo"
	[ "$status" -eq 0 ]
}

setup() {
	common_setup
	make_bundle
	mkdir -p "$BUNDLE/volume/sub"
	echo hello >"$BUNDLE/volume/file"
	VOLUME=$BUNDLE/volume
}

# In a user namespace: the volume on a file system that belongs to it. On others access times are locked, and ids cannot
# be mapped. The test unmounts it.
own_volume() {
	[ "$MODE" = userns ] || return 0
	mount -t tmpfs -o mode=755 t-volume "$VOLUME"
	mkdir "$VOLUME/sub"
	echo hello >"$VOLUME/file"
}

drop_volume() {
	[ "$MODE" != userns ] || umount -R "$VOLUME"
}

# --- file systems -------------------------------------------------------------------------------------------------

@test "a tmpfs gets flags and data" {
	add_mount '{"destination": "/mnt/deep/er", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "noexec", "noatime", "mode=700", "size=64k"]}'
	options_of /mnt/deep/er
	[[ "$output" == "rw,nosuid,nodev,noexec,noatime"* ]]
	[[ "$output" == *size=64k* && "$output" == *mode=700* ]]
}

@test "one option word may hold several for the file system" {
	add_mount '{"destination": "/mnt", "type": "tmpfs", "options": ["mode=711,size=64k"]}'
	options_of /mnt
	[[ "$output" == *size=64k* && "$output" == *mode=711* ]]
}

# bats test_tags=vm:userns
@test "the usual file systems of a container" {
	config '.mounts += [
		{"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
		{"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
		{"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}]'
	run_sh 'awk "{ print \$5, \$6 }" /proc/self/mountinfo; ls /sys/class/net; echo $(stat -c %a /dev/shm)'
	[ "$status" -eq 0 ]
	[[ "$output" == *"/dev/shm rw,nosuid,nodev,noexec"* ]]
	[[ "$output" == *"/dev/mqueue rw,nosuid,nodev,noexec"* ]]
	[[ "$output" == *"/sys ro,nosuid,nodev,noexec"* ]]
	[[ "$output" == *"lo"*"1777" ]]
}

@test "read-only is the mount's flag, so that a sysfs of the same network namespace stays writable" {
	not_as_user "ip netns is root's"
	ip netns add t-mounts
	config '(.linux.namespaces[] | select(.type == "network")).path = "/run/netns/t-mounts"'
	add_mount '{"destination": "/sys", "type": "sysfs", "options": ["ro"]}'
	run_sh true
	[ "$status" -eq 0 ]
	run ip netns exec t-mounts awk '$5 == "/sys" { o = $NF } END { print o }' /proc/self/mountinfo
	ip netns del t-mounts
	[ "$output" = rw ]
}

@test "a tmpfs takes the mode of the directory that it covers, unless told otherwise" {
	chmod 1775 "$BUNDLE/rootfs/tmp"
	add_mount '{"destination": "/tmp", "type": "tmpfs"}'
	add_mount '{"destination": "/var", "type": "tmpfs", "options": ["mode=700"]}'
	run_sh 'stat -c %a /tmp /var'
	[ "${lines[0]}" = 1775 ]
	[ "${lines[1]}" = 700 ]
}

@test "targets can be made in a read-only tmpfs" {
	add_mount '{"destination": "/run", "type": "tmpfs", "options": ["ro"]}'
	add_mount "$(jq -n --arg s "$VOLUME" '{destination: "/run/a/b", type: "bind", source: $s, options: ["bind"]}')"
	run_sh 'cat /run/a/b/file; touch /run/x'
	[ "$status" -ne 0 ]
	[[ "$output" == hello*"Read-only file system"* ]]
}

@test "tmpcopyup brings the directory's content" {
	not_as_user "only root gives files away"
	mkdir -p "$BUNDLE/rootfs/data/sub"
	echo one >"$BUNDLE/rootfs/data/sub/file"
	chown 12:34 "$BUNDLE/rootfs/data/sub/file"
	chmod 4766 "$BUNDLE/rootfs/data/sub/file"
	touch -d @1000000000 "$BUNDLE/rootfs/data/sub/file"
	ln -s sub/file "$BUNDLE/rootfs/data/link"
	mkfifo "$BUNDLE/rootfs/data/fifo"
	add_mount '{"destination": "/data", "type": "tmpfs", "options": ["tmpcopyup"]}'
	run_sh 'cat /data/link; stat -c "%a %u %g %Y" /data/sub/file; test -p /data/fifo && echo fifo; echo two >/data/sub/file; cat /data/sub/file'
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = one ]
	[ "${lines[1]}" = "4766 12 34 1000000000" ]
	[ "${lines[2]}" = fifo ]
	[ "${lines[3]}" = two ]
	[ "$(cat "$BUNDLE/rootfs/data/sub/file")" = one ]
}

@test "an overlay whose layers make a long option" {
	local lower= i
	for i in 1 2 3 4 5; do
		mkdir -p "$BUNDLE/layers-with-quite-a-long-name-so-that-the-option-gets-long/number-$i"
		echo "$i" >"$BUNDLE/layers-with-quite-a-long-name-so-that-the-option-gets-long/number-$i/file$i"
		lower+=${lower:+:}$BUNDLE/layers-with-quite-a-long-name-so-that-the-option-gets-long/number-$i
	done
	((${#lower} > 256))
	add_mount "$(jq -n --arg l "lowerdir=$lower" '{destination: "/mnt", type: "overlay", source: "overlay", options: [$l, "nosuid"]}')"
	run_sh 'cat /mnt/file1 /mnt/file5; grep -c " /mnt .*nosuid" /proc/self/mountinfo'
	[ "$status" -eq 0 ]
	[ "$output" = $'1\n5\n1' ]
}

@test "later mounts lie over earlier ones" {
	add_mount '{"destination": "/mnt", "type": "tmpfs"}'
	add_mount "$(jq -n --arg s "$VOLUME" '{destination: "/mnt/v", type: "bind", source: $s, options: ["bind"]}')"
	add_mount '{"destination": "/mnt/v/sub", "type": "tmpfs", "options": ["mode=701"]}'
	run_sh 'cat /mnt/v/file; stat -c %a /mnt/v/sub'
	[ "$output" = $'hello\n701' ]
}

@test "an unknown option is told with the kernel's words" {
	add_mount '{"destination": "/mnt", "type": "tmpfs", "options": ["bogus=1"]}'
	run_sh true
	[ "$status" -eq 1 ]
	[[ "$output" == *"mounts[3]"*"/mnt"*"bogus"* ]]
}

@test "an unknown type, and none" {
	add_mount '{"destination": "/mnt", "type": "nosuchfs"}'
	run_sh true
	[ "$status" -eq 1 ]
	[[ "$output" == *nosuchfs* ]]
	config '.mounts[3] = {"destination": "/mnt", "source": "/etc"}'
	run_sh true
	[ "$status" -eq 1 ]
	[[ "$output" == *"no type"* ]]
}

# --- bind mounts --------------------------------------------------------------------------------------------------

@test "directories and files, made where they are missing, sources relative to the bundle" {
	add_mount '{"destination": "/new/dir", "type": "bind", "source": "volume", "options": ["rbind"]}'
	add_mount '{"destination": "/etc/new/file", "source": "volume/file", "options": ["bind", "ro"]}'
	cd /
	run_sh 'cat /new/dir/file /etc/new/file; echo x >/etc/new/file'
	[ "$status" -ne 0 ]
	[[ "$output" == $'hello\nhello\n'*"Read-only file system"* ]]
	[ -f "$BUNDLE/rootfs/etc/new/file" ]
}

@test "a link that leads nowhere yet is followed inside the root" {
	ln -s /run/resolve/stub.conf "$BUNDLE/rootfs/etc/resolv.conf"
	add_mount '{"destination": "/etc/resolv.conf", "source": "volume/file", "options": ["bind"]}'
	run_sh 'cat /run/resolve/stub.conf'
	[ "$output" = hello ]
	[ -f "$BUNDLE/rootfs/run/resolve/stub.conf" ]
}

@test "a file over a directory is refused in plain words" {
	add_mount '{"destination": "/etc", "source": "volume/file", "options": ["bind"]}'
	run_sh true
	[ "$status" -eq 1 ]
	[[ "$output" == *"cannot mount a file on /etc, which is a directory"* ]]
}

@test "a missing source is named" {
	add_mount '{"destination": "/mnt", "source": "/no/such/source", "options": ["bind"]}'
	run_sh true
	[ "$status" -eq 1 ]
	[[ "$output" == *"/no/such/source"*"No such file or directory"* ]]
}

@test "data for a bind mount is refused" {
	add_mount '{"destination": "/mnt", "source": "volume", "options": ["bind", "size=1k"]}'
	run_sh true
	[ "$status" -eq 1 ]
	[[ "$output" == *filesystem-specific* ]]
}

@test "without flags those of the source stay, with flags they are replaced" {
	not_as_user "only root mounts on the host"
	mount -t tmpfs -o nosuid,nodev,noexec,ro t-source "$VOLUME/sub"
	add_mount '{"destination": "/mnt", "source": "volume/sub", "options": ["bind"]}'
	options_of /mnt
	[[ "$output" == "ro,nosuid,nodev,noexec,relatime"* ]]
	config '.mounts[3].options = ["bind", "rw"]'
	options_of /mnt
	[[ "$output" == "rw,relatime"* ]]
	config '.mounts[3].options = ["bind", "nosuid", "exec"]'
	options_of /mnt
	[[ "$output" == "rw,nosuid,relatime"* ]]
	umount "$VOLUME/sub"
}

# bats test_tags=vm:userns
@test "every flag, and its opposite" {
	own_volume
	local option options="ro nosuid nodev noexec nosymfollow nodiratime noatime"
	[ "$MODE" != user ] || options="ro nosuid nodev noexec nosymfollow"
	for option in $options; do
		config '.mounts[3] = {"destination": "/mnt", "source": "volume", "options": ["bind", $o]}' --arg o $option
		options_of /mnt
		[[ ",${output%% *}," == *,$option,* ]]
		config '.mounts[3].options = ["bind", $o, $n]' --arg o $option \
			--arg n "$(sed 's/^ro$/rw/; s/^no//' <<<$option)"
		options_of /mnt
		[[ ",${output%% *}," != *,$option,* ]]
	done
	if [ "$MODE" = user ]; then
		# The host's mount has relatime, and a user namespace keeps that.
		config '.mounts[3].options = ["bind", "noatime"]'
		run_sh true
		[ "$status" -eq 1 ]
		[[ "$output" == *"kind of atime"* ]]
		return
	fi
	config '.mounts[3].options = ["bind", "strictatime"]'
	options_of /mnt
	[[ "$output" != *atime* ]]
	drop_volume
}

@test "recursive flags reach the mounts below, others do not" {
	not_as_user "only root mounts on the host"
	own_volume
	mount -t tmpfs t-source "$VOLUME/sub"
	add_mount '{"destination": "/mnt", "source": "volume", "options": ["rbind", "rro", "rnosuid", "rnoatime"]}'
	options_of /mnt/sub
	[[ "$output" == "ro,nosuid,noatime"* ]]
	config '.mounts[3].options = ["rbind", "ro", "nosuid"]'
	options_of /mnt/sub
	[[ "$output" == "rw,relatime"* ]]
	config '.mounts[3].options = ["bind"]'
	run_sh 'grep -c " /mnt/sub " /proc/self/mountinfo'
	[ "$output" = 0 ]
	umount "$VOLUME/sub"
	drop_volume
}

@test "propagation words" {
	local word want
	while read -r word want; do
		config '.mounts[3] = {"destination": "/mnt", "source": "volume", "options": ["rbind", $o]}' --arg o $word
		options_of /mnt
		[[ "$output" == *"$want"* ]] || { [ "$want" = none ] && [[ "$output" != *shared* && "$output" != *master* && "$output" != *unbindable* ]]; }
	done <<-END
		shared shared:
		rshared shared:
		private none
		rprivate none
		unbindable unbindable
		runbindable unbindable
	END
}

@test "a slave volume sees the host's mounts, a private one does not, and the host never the container's" {
	not_as_user "only root mounts on the host"
	mount --bind "$VOLUME" "$VOLUME"
	mount --make-shared "$VOLUME"
	config '.mounts += [{"destination": "/slave", "source": "volume", "options": ["rbind", "rslave"]},
		{"destination": "/private", "source": "volume", "options": ["rbind", "rprivate"]}]'
	config_args sh -c 'while [ ! -e /slave/sub/arrived ]; do sleep 0.05; done; ls /slave/sub /private/sub'
	nsrun run -b "$BUNDLE" t >"$BATS_TEST_TMPDIR/out" 3>&- &
	wait_for 5 status_is t running
	mount -t tmpfs t-later "$VOLUME/sub"
	touch "$VOLUME/sub/arrived"
	wait $!
	sane_run cat "$BATS_TEST_TMPDIR/out"
	[ "$output" = $'/private/sub:\n\n/slave/sub:\narrived' ] || [ "$output" = $'/slave/sub:\narrived\n\n/private/sub:' ]
	umount "$VOLUME/sub" "$VOLUME"
}

@test "with rootfsPropagation shared, a shared volume carries the container's mounts to the host" {
	not_as_user "only root mounts on the host"
	local shared
	config '.linux.rootfsPropagation = "shared" |
		.mounts += [{"destination": "/mnt", "source": "volume", "options": ["rbind", "rshared"]}] |
		.process.capabilities = ([.process.capabilities | to_entries[] | .value += ["CAP_SYS_ADMIN"]] | from_entries)'
	# A mount of its own, and the mount that the root is on, too.
	for shared in "$VOLUME" "$BUNDLE"; do
		mount --bind "$shared" "$shared"
		mount --make-shared "$shared"
		run_sh 'mount -t tmpfs t-inner /mnt/sub && touch /mnt/sub/inner'
		[ "$status" -eq 0 ]
		[ -e "$VOLUME/sub/inner" ]
		[ "$(grep -c "$BUNDLE" /proc/self/mountinfo)" -eq 2 ]
		umount "$VOLUME/sub" "$shared"
	done
}

@test "remount changes the flags of what is there" {
	config '.mounts += [{"destination": "/mnt", "source": "volume", "options": ["bind"]},
		{"destination": "/mnt", "type": "none", "source": "none", "options": ["remount", "bind", "ro"]}]'
	run_sh 'touch /mnt/x'
	[ "$status" -ne 0 ]
	[[ "$output" == *"Read-only file system"* ]]
}

@test "mounting over the root itself is refused" {
	add_mount '{"destination": "/.", "type": "tmpfs"}'
	run_sh true
	[ "$status" -eq 1 ]
	[[ "$output" == *"over the root itself"* ]]
}

# --- id mapping ---------------------------------------------------------------------------------------------------

@test "idmap with the mount's mappings" {
	not_as_user "only root gives files away"
	own_volume
	chown 1000:1001 "$VOLUME/file"
	config '.mounts += [{"destination": "/mnt", "source": "volume", "options": ["rbind", "idmap"],
		"uidMappings": [{"containerID": 1000, "hostID": 5000, "size": 1}],
		"gidMappings": [{"containerID": 1001, "hostID": 5001, "size": 1}]}]'
	run_sh 'stat -c "%u %g" /mnt/file'
	[ "$output" = "5000 5001" ]
	drop_volume
}

@test "idmap with the container's mappings, which make the host's owners its own" {
	not_as_user "only root gives files away"
	own_volume
	user_namespace
	mkdir "$BUNDLE/rootfs/mnt" "$BUNDLE/rootfs/plain"
	chown 7:8 "$VOLUME/file"
	config '.mounts += [{"destination": "/mnt", "source": "volume", "options": ["rbind", "idmap"]},
		{"destination": "/plain", "source": "volume", "options": ["rbind"]}]'
	run_sh 'stat -c "%u %g" /mnt/file /plain/file'
	[ "${lines[0]}" = "7 8" ]
	[ "${lines[1]}" = "65534 65534" ]
	drop_volume
}

@test "idmap maps the top, ridmap the tree" {
	not_as_user "only root mounts on the host"
	own_volume
	mount -t tmpfs t-source "$VOLUME/sub"
	touch "$VOLUME/sub/inner"
	local word want
	while read -r word want; do
		config '.mounts[3] = {"destination": "/mnt", "source": "volume", "options": ["rbind", $o],
			"uidMappings": [{"containerID": 0, "hostID": 5000, "size": 1}],
			"gidMappings": [{"containerID": 0, "hostID": 5000, "size": 1}]}' --arg o $word
		run_sh 'stat -c %u /mnt/file /mnt/sub/inner'
		[ "$output" = $'5000\n'"$want" ]
	done <<-END
		idmap 0
		ridmap 5000
	END
	umount "$VOLUME/sub"
	drop_volume
}

# --- user namespaces ----------------------------------------------------------------------------------------------

@test "a user namespace can show what its root cannot reach" {
	user_namespace
	mkdir -p "$BATS_TEST_TMPDIR/locked/inner"
	echo secret >"$BATS_TEST_TMPDIR/locked/inner/file"
	chmod 700 "$BATS_TEST_TMPDIR/locked"
	add_mount "$(jq -n --arg s "$BATS_TEST_TMPDIR/locked/inner" '{destination: "/tmp", type: "bind", source: $s, options: ["bind"]}')"
	run_sh 'cat /tmp/file'
	[ "$output" = secret ]
}

@test "a source with flags of its own, in a user namespace" {
	not_as_user "only root mounts on the host"
	user_namespace
	mount -t tmpfs -o nosuid,nodev,mode=755 t-source "$VOLUME/sub"
	add_mount '{"destination": "/tmp", "source": "volume/sub", "options": ["bind", "ro"]}'
	options_of /tmp
	[[ "$output" == ro,* ]]
	umount "$VOLUME/sub"
}

@test "sysfs and devpts in a user namespace that does not own what they show" {
	user_namespace
	config 'del(.linux.namespaces[] | select(.type == "network")) | .linux.uidMappings[0].size = 1 | .linux.gidMappings[0].size = 1'
	add_mount '{"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}'
	run_sh 'test -d /sys/class/net/lo && test -c /dev/ptmx && awk "\$5 == \"/sys\" { print \$6 }" /proc/self/mountinfo'
	[ "$status" -eq 0 ]
	[[ "$output" == ro,* ]]
}

# --- cgroups ------------------------------------------------------------------------------------------------------

add_cgroup() {
	add_mount '{"destination": "/sys", "type": "sysfs", "options": ["ro"]}'
	add_mount "$(jq -n --argjson o "$1" '{destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: $o}')"
}

@test "a cgroup mount shows the container's own cgroup" {
	needs_root "cgroups of version 1 are root's"
	[ -d /sys/fs/cgroup/pids ] || skip "the pids controller is not on a version 1 hierarchy"
	add_cgroup '["nosuid", "noexec", "nodev"]'
	config '.linux.cgroupsPath = "/t-mounts" | .linux.resources.pids.limit = 77'
	run_sh 'cat /sys/fs/cgroup/pids/pids.max; grep -c . /sys/fs/cgroup/pids/cgroup.procs; awk "\$5 == \"/sys/fs/cgroup/pids\" { print \$6 }" /proc/self/mountinfo'
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = 77 ]
	[[ "${lines[2]}" == rw,* ]]
}

@test "hierarchies in which the container has no cgroup are read-only" {
	[ -d /sys/fs/cgroup/pids ] || skip "the pids controller is not on a version 1 hierarchy"
	add_cgroup '[]'
	run_sh 'mkdir /sys/fs/cgroup/pids/t-escape'
	[ "$status" -ne 0 ]
	[[ "$output" == *"Read-only file system"* ]]
	[ ! -e /sys/fs/cgroup/pids/t-escape ]
}

@test "ro makes all of a cgroup mount read-only" {
	needs_root "cgroups of version 1 are root's"
	[ -d /sys/fs/cgroup/pids ] || skip "the pids controller is not on a version 1 hierarchy"
	add_cgroup '["ro"]'
	config '.linux.cgroupsPath = "/t-mounts" | .linux.resources.pids.limit = 77'
	run_sh 'mkdir /sys/fs/cgroup/pids/x; mkdir /sys/fs/cgroup/x; grep -c " /sys/fs/cgroup.* rw," /proc/self/mountinfo'
	[[ "$output" == *"Read-only file system"*"Read-only file system"*0 ]]
}

@test "with a cgroup namespace the container's cgroup is the root" {
	needs_root "cgroups of version 1 are root's"
	[ -d /sys/fs/cgroup/pids ] || skip "the pids controller is not on a version 1 hierarchy"
	add_cgroup '["ro"]'
	config '.linux.cgroupsPath = "/t-mounts" | .linux.resources.pids.limit = 77 | .linux.namespaces += [{"type": "cgroup"}]'
	run_sh 'cat /sys/fs/cgroup/pids/pids.max; awk "\$5 == \"/sys/fs/cgroup/pids\" { print \$4 }" /proc/self/mountinfo; grep :pids: /proc/self/cgroup'
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = 77 ]
	[ "${lines[1]}" = / ]
	[[ "${lines[2]}" == *:/ ]]
}
