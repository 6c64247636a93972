#!/usr/bin/env bats
# The root file system: devices, masked and read-only paths, kernel parameters, and the ways into it.

load helpers

run_sh() {
	config_args sh -c "$1"
	sane_run nsrun run -b "$BUNDLE" t
}

# The container's process may do what root may.
all_capabilities() {
	config '.process.capabilities = ([.process.capabilities | to_entries[] | .value += ["CAP_SYS_ADMIN", "CAP_MKNOD", "CAP_DAC_OVERRIDE", "CAP_CHOWN"]] | from_entries)'
}

setup() {
	common_setup
	make_bundle
}

# --- devices ------------------------------------------------------------------------------------------------------

# bats test_tags=vm:userns
@test "default devices and links" {
	run_sh 'cd /dev; stat -c "%n %F %t:%T %a" null zero full random urandom tty; for l in fd stdin stdout stderr ptmx; do echo $l $(readlink $l); done
		head -c 4 zero | wc -c; echo x >null; echo y >stdout; test -c ptmx'
	[ "$status" -eq 0 ]
	[ "$output" = "null character special file 1:3 666
zero character special file 1:5 666
full character special file 1:7 666
random character special file 1:8 666
urandom character special file 1:9 666
tty character special file 5:0 666
fd /proc/self/fd
stdin /proc/self/fd/0
stdout /proc/self/fd/1
stderr /proc/self/fd/2
ptmx pts/ptmx
4
y" ]
}

@test "default devices are in the root file system when nothing is mounted on /dev" {
	config 'del(.mounts[] | select(.destination | startswith("/dev")))'
	run_sh 'stat -c %t:%T /dev/null /dev/urandom'
	[ "$output" = $'1:3\n1:9' ]
	# They are there already.
	run_sh 'stat -c %t:%T /dev/null'
	[ "$output" = 1:3 ]
}

@test "listed devices, with mode and owner, and instead of default ones" {
	needs_root "in a user namespace devices are the host's"
	config '.linux.devices = [
		{"type": "c", "path": "/dev/sub/fuse", "major": 10, "minor": 229, "fileMode": 384, "uid": 5, "gid": 6},
		{"type": "u", "path": "/dev/null", "major": 1, "minor": 3, "fileMode": 438, "uid": 9},
		{"type": "b", "path": "/dev/disk", "major": 7, "minor": 1, "fileMode": 432},
		{"type": "p", "path": "/dev/pipe"}]'
	run_sh 'stat -c "%n %F %t:%T %a %u %g" /dev/sub/fuse /dev/null /dev/disk; test -p /dev/pipe'
	[ "$status" -eq 0 ]
	[ "$output" = "/dev/sub/fuse character special file a:e5 600 5 6
/dev/null character special file 1:3 666 9 0
/dev/disk block special file 7:1 660 0 0" ]
}

@test "another file in a listed device's place is an error" {
	config 'del(.mounts[] | select(.destination | startswith("/dev"))) | .linux.devices = [{"type": "c", "path": "/dev/fuse", "major": 10, "minor": 229}]'
	echo text >"$BUNDLE/rootfs/dev/fuse"
	run_sh true
	[ "$status" -eq 1 ]
	[[ "$output" == *"/dev/fuse"*"another file"* ]]
}

@test "devices in a user namespace are the host's, and work" {
	user_namespace
	run_sh 'echo x >/dev/null && head -c 4 /dev/zero | wc -c && stat -c %t:%T /dev/null /dev/full'
	[ "$status" -eq 0 ]
	[ "$output" = $'4\n1:3\n1:7' ]
}

@test "a bind mount on /dev is left as it is" {
	mkdir "$BUNDLE/dev"
	touch "$BUNDLE/dev/mine"
	mkdir "$BUNDLE/dev/pts"
	config '(.mounts[] | select(.destination == "/dev")) |= {"destination": "/dev", "source": "dev", "options": ["rbind"]}'
	run_sh 'ls /dev'
	[ "$output" = $'mine\npts' ]
	[ ! -e "$BUNDLE/dev/null" ]
}

@test "a /dev that is read-only has its devices" {
	config '(.mounts[] | select(.destination == "/dev")).options += ["ro"]'
	run_sh 'echo x >/dev/null && touch /dev/x'
	[ "$status" -ne 0 ]
	[[ "$output" == *"Read-only file system"* ]]
}

@test "the caller's umask does not matter" {
	umask 077
	config '.mounts += [{"destination": "/made/for/it", "type": "tmpfs"}]'
	run_sh 'stat -c %a /dev/null /made/for /made'
	[ "$output" = $'666\n755\n755' ]
}

# --- protection ---------------------------------------------------------------------------------------------------

@test "masked files and directories" {
	mkdir -p "$BUNDLE/rootfs/secrets/sub" "$BUNDLE/rootfs/more"
	echo secret >"$BUNDLE/rootfs/secrets/file"
	echo secret >"$BUNDLE/rootfs/etc/secret"
	ln -s secret "$BUNDLE/rootfs/etc/link"
	config '.linux.maskedPaths = ["/secrets", "/more", "/etc/secret", "/proc/cpuinfo", "/no/such", "/etc/passwd/x"]'
	all_capabilities
	run_sh 'ls /secrets /more | grep -v : ; cat /etc/secret /etc/link /proc/cpuinfo; touch /secrets/x; touch /more/x; echo x >/etc/secret; cat /etc/secret'
	[ "$status" -eq 0 ]
	[[ "$output" != *secret* || "$output" == *"/secrets/x: Read-only"* ]]
	[[ "$output" == *"/secrets/x: Read-only"*"/more/x: Read-only"* ]]
	[ "$(cat "$BUNDLE/rootfs/etc/secret")" = secret ]
}

@test "read-only paths" {
	mkdir -p "$BUNDLE/rootfs/fixed/sub"
	config '.linux.readonlyPaths = ["/fixed", "/proc/sys", "/no/such"]'
	run_sh 'touch /fixed/sub/x; echo 1 >/proc/sys/kernel/domainname; touch /free'
	[ "$status" -eq 0 ]
	[[ "$output" == *"/fixed/sub/x: Read-only file system"*"Read-only file system"* ]]
	[ -e "$BUNDLE/rootfs/free" ]
}

@test "a read-only path keeps the flags of the mount that it is on" {
	config '.mounts += [{"destination": "/mnt", "type": "tmpfs", "options": ["nosuid", "noexec"]}, {"destination": "/mnt/sub", "type": "tmpfs"}] |
		.linux.readonlyPaths = ["/mnt"]'
	run_sh 'awk "\$5 ~ \"^/mnt\" { o[\$5] = \$6 } END { print o[\"/mnt\"]; print o[\"/mnt/sub\"] }" /proc/self/mountinfo'
	[[ "${lines[0]}" == ro,nosuid,noexec* ]]
	[[ "${lines[1]}" == rw* ]]
}

@test "root.readonly" {
	config '.root.readonly = true | .mounts += [{"destination": "/tmp", "type": "tmpfs"}]'
	run_sh 'touch /tmp/x && touch /x'
	[ "$status" -ne 0 ]
	[[ "$output" == *"/x: Read-only file system"* ]]
}

@test "protection in a user namespace" {
	user_namespace
	config '.root.readonly = true | .linux.maskedPaths = ["/proc/keys", "/sys", "/proc/timer_list"] | .linux.readonlyPaths = ["/proc/sys"]'
	run_sh 'ls /sys; cat /proc/timer_list; touch /x /proc/sys/kernel/domainname'
	[ "$status" -ne 0 ]
	[[ "$output" == *"/x: Read-only"*"domainname: Read-only"* ]]
}

@test "rootfsPropagation" {
	local word want
	while read -r word want; do
		config '.linux.rootfsPropagation = $w' --arg w $word
		run_sh 'awk "\$5 == \"/\" { for (i = 7; \$i != \"-\"; i++) o = o \" \" \$i } END { print \"[\" o }" /proc/self/mountinfo'
		[ "$status" -eq 0 ]
		if [ "$want" = none ]; then [ "$output" = "[" ]; else [[ "$output" == *"$want"* ]]; fi
	done <<-END
		shared shared:
		rshared shared:
		slave none
		rslave none
		private none
		rprivate none
		unbindable unbindable
		runbindable unbindable
	END
}

# --- kernel parameters --------------------------------------------------------------------------------------------

# bats test_tags=vm:userns
@test "kernel parameters, with dots and with slashes" {
	config '.linux.sysctl = {"net.ipv4.ip_forward": "1", "net/ipv4/conf/lo/forwarding": "0", "kernel.shmmax": "123456", "kernel.domainname": "example"}'
	run_sh 'cd /proc/sys; cat net/ipv4/ip_forward net/ipv4/conf/lo/forwarding kernel/shmmax kernel/domainname'
	[ "$output" = $'1\n0\n123456\nexample' ]
	[ "$(cat /proc/sys/kernel/shmmax)" != 123456 ]
}

@test "a kernel parameter of a link with a dot in its name" {
	not_as_user "ip netns is root's"
	ip netns add t-sysctl
	ip netns exec t-sysctl ip link add eth0.100 type bridge
	ip netns exec t-sysctl sysctl -qw net/ipv4/conf/eth0.100/forwarding=0
	config '(.linux.namespaces[] | select(.type == "network")).path = "/run/netns/t-sysctl" |
		.linux.sysctl = {"net.ipv4.conf.eth0/100.forwarding": "1"}'
	run_sh 'cat /proc/sys/net/ipv4/conf/eth0.100/forwarding'
	first=$output
	config '.linux.sysctl = {"net/ipv4/conf/eth0.100/forwarding": "0"}'
	run_sh 'cat /proc/sys/net/ipv4/conf/eth0.100/forwarding'
	ip netns del t-sysctl
	[ "$first" = 1 ]
	[ "$output" = 0 ]
}

# bats test_tags=vm:userns
@test "kernel parameters are written though /proc/sys is read-only or missing in the container" {
	config '.linux.sysctl = {"net.ipv4.ip_forward": "1"} | .linux.readonlyPaths = ["/proc/sys"] | .linux.maskedPaths = ["/proc/sys/kernel"]'
	run_sh 'cat /proc/sys/net/ipv4/ip_forward'
	[ "$output" = 1 ]
	# Without a procfs in sight a user namespace may not make one.
	[ "$MODE" != user ] || return 0
	config 'del(.mounts[0])'
	run_sh 'echo fine'
	[ "$output" = fine ]
}

@test "what is wrong with a kernel parameter is told" {
	config '.linux.sysctl = {"net.ipv4.nosuch": "1"}'
	run_sh true
	[ "$status" -eq 1 ]
	[[ "$output" == *net.ipv4.nosuch*"there is none"* ]]
	config '.linux.sysctl = {"net.ipv4.ip_forward": "maybe"}'
	run_sh true
	[ "$status" -eq 1 ]
	[[ "$output" == *net.ipv4.ip_forward*maybe*"Invalid argument"* ]]
}

# --- ways in ------------------------------------------------------------------------------------------------------

@test "nothing of the host's tree is left behind the root" {
	all_capabilities
	run_sh 'awk "{ print \$5 }" /proc/self/mountinfo | sort -u; umount /; ls /'
	[ "$status" -eq 0 ]
	# In a user namespace devices are mounts.
	[ "$(sed '/umount/,$d' <<<"$output" | grep -vxE '/dev/(full|null|random|tty|urandom|zero)')" = $'/\n/dev\n/dev/pts\n/proc' ]
	[[ "$output" == *$'\nbin\n'* ]]
}

@test "createContainer hooks may mount beneath the root's path" {
	cat >"$BUNDLE/hook" <<-END
		#!/bin/sh
		test -c $BUNDLE/rootfs/dev/null && mount -t tmpfs t-hook $BUNDLE/rootfs/tmp && touch $BUNDLE/rootfs/tmp/from-hook
	END
	chmod 755 "$BUNDLE/hook"
	config '.hooks.createContainer = [{"path": $p, "env": ["PATH=/bin:/usr/bin"]}]' --arg p "$BUNDLE/hook"
	run_sh 'ls /tmp'
	[ "$output" = from-hook ]
	[ ! -e "$BUNDLE/rootfs/tmp/from-hook" ]
}

@test "--no-pivot: the root is changed, and no other procfs is in reach" {
	config_args sh -c 'ls /; grep -c " - proc " /proc/self/mountinfo; touch /made'
	sane_run nsrun run --no-pivot -b "$BUNDLE" t
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = bin ]
	[ "${lines[-1]}" = 1 ]
	[ -e "$BUNDLE/rootfs/made" ]
}

@test "root / with a mount namespace: the host's tree, with private mounts over it" {
	mkdir -p "$BUNDLE/volume"
	echo own >"$BUNDLE/volume/resolv.conf"
	config '.root.path = "/" | .mounts = [
		{"destination": "/run", "type": "tmpfs", "options": ["mode=755"]},
		{"destination": "/run/volume/deep", "source": "volume", "options": ["bind"]},
		{"destination": "/etc/hosts", "source": "volume/resolv.conf", "options": ["bind", "ro"]}]'
	before=$(cat /etc/hosts)
	run_sh 'cat /etc/hosts /run/volume/deep/resolv.conf; touch /run/inside; cat /etc/hostname >/dev/null'
	[ "$status" -eq 0 ]
	[ "$output" = $'own\nown' ]
	[ ! -e /run/inside ]
	[ ! -e /run/volume ]
	[ "$(cat /etc/hosts)" = "$before" ]
}

@test "root /: the host's /dev is not touched, and a /dev of its own has devices" {
	local before
	before=$(ls -la --time-style=full-iso /dev)
	config '.root.path = "/" | .mounts = []'
	run_sh 'echo x >/dev/null'
	[ "$status" -eq 0 ]
	[ "$(ls -la --time-style=full-iso /dev)" = "$before" ]
	config '.linux.devices = [{"type": "c", "path": "/dev/t-nsrun", "major": 1, "minor": 3}]'
	run_sh true
	[ "$status" -eq 1 ]
	[[ "$output" == *"/dev/t-nsrun"*"mount a tmpfs on /dev"* ]]
	config '.mounts = [{"destination": "/dev", "type": "tmpfs"}]'
	[ "$MODE" = root ] || config '.linux.devices = []'
	run_sh 'ls /dev; ls /dev/t-nsrun'
	[[ "$output" == *null*zero* ]]
	[ "$status" -eq 0 ] || [ "$MODE" != root ]
	[ "$(ls -la --time-style=full-iso /dev)" = "$before" ]
}

@test "root /: a missing target is not made on the host" {
	config '.root.path = "/" | .mounts = [{"destination": "/t-nsrun-missing/sub", "type": "tmpfs"}]'
	run_sh true
	[ "$status" -eq 1 ]
	[[ "$output" == *"/t-nsrun-missing/sub is missing"* ]]
	[ ! -e /t-nsrun-missing ]
}

@test "root / read-only: only the container's view is" {
	config '.root = {"path": "/", "readonly": true} | .mounts = [{"destination": "/tmp", "type": "tmpfs"}]'
	run_sh 'touch /tmp/x && touch /t-nsrun-x'
	[ "$status" -ne 0 ]
	[[ "$output" == *"/t-nsrun-x"*"Read-only file system"* ]]
	[[ "$(awk '$5 == "/" { o = $6 } END { print o }' /proc/self/mountinfo)" == rw* ]]
}

@test "without a mount namespace: chroot, or nothing for /" {
	config 'del(.linux.namespaces[] | select(.type == "mount")) | .mounts = []'
	run_sh 'ls /; touch /made'
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = bin ]
	[ -e "$BUNDLE/rootfs/made" ]
	[ ! -e "$BUNDLE/rootfs/dev/null" ]
	config '.root.path = "/"'
	run_sh "cat $BUNDLE/config.json | head -1"
	[ "$output" = "{" ]
}

@test "a mount namespace that is joined by path is not changed" {
	not_as_user "only root has a mount namespace to join that is not a container's"
	unshare -m --propagation private sleep 100 3>&- &
	local holder=$!
	wait_for 5 sh -c "[ \$(readlink /proc/$holder/ns/mnt) != \$(readlink /proc/self/ns/mnt) ]"
	config '(.linux.namespaces[] | select(.type == "mount")).path = $p' --arg p "/proc/$holder/ns/mnt"
	run_sh true
	refused=$status text=$output
	config '.mounts = []'
	cp /proc/$holder/mountinfo "$BATS_TEST_TMPDIR/before"
	run_sh 'ls /'
	cmp /proc/$holder/mountinfo "$BATS_TEST_TMPDIR/before"
	kill $holder
	wait $holder || true
	[ "$refused" -eq 1 ]
	[[ "$text" == *"joined by path"* ]]
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = bin ]
}

@test "the root file system may be shared with the host in every way" {
	not_as_user "only root mounts on the host"
	local how
	for how in shared private slave; do
		mount -t tmpfs t-root "$BUNDLE/rootfs/var"
		mount --make-$how "$BUNDLE/rootfs/var"
		config '.mounts[3] = {"destination": "/var/inner", "type": "tmpfs"}'
		run_sh 'grep -c /var/inner /proc/self/mountinfo'
		[ "$output" = 1 ]
		config '.linux.rootfsPropagation = "rshared"'
		run_sh 'grep -c /var/inner /proc/self/mountinfo'
		[ "$output" = 1 ]
		not grep var/inner /proc/self/mountinfo
		umount "$BUNDLE/rootfs/var"
	done
}

@test "without openat2 nothing is done" {
	command -v strace >/dev/null || skip "strace is not installed"
	config_args true
	# A program that is traced does not become root, newuidmap neither.
	config '.linux |= if .uidMappings then .uidMappings |= .[:1] | .gidMappings |= .[:1] else . end'
	sane_run strace -f -o "$BATS_TEST_TMPDIR/trace" -e inject=openat2:error=ENOSYS "$NSRUN" --root "$ROOT" run -b "$BUNDLE" t
	[ "$status" -eq 1 ]
	[[ "$output" == *"openat2"*"Linux 5.6"* ]]
}
