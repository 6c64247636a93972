#!/usr/bin/env bats
# A test for every published hole of a container runtime that nsrun could have had, too. Each plays the attack and looks
# at what it was after; specs/rootfs.md says what stands in its way.

load helpers

run_sh() {
	config_args sh -c "$1"
	sane_run nsrun run -b "$BUNDLE" t
}

# Every capability that helps an attacker inside.
all_capabilities() {
	config '.process.noNewPrivileges = false | .process.capabilities = ([.process.capabilities | to_entries[] | .value += ["CAP_SYS_ADMIN",
		"CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_SYS_CHROOT", "CAP_MKNOD"]] | from_entries)'
}

# Exchanges two names as fast as it can, until killed: $EXCHANGER.
exchange_forever() {
	local number=316
	[ "$(uname -m)" = x86_64 ] || number=276
	perl -e "while (1) { syscall($number, -100, \$ARGV[0], -100, \$ARGV[1], 2) }" "$1" "$2" 3>&- &
	EXCHANGER=$!
}

stop_exchanging() {
	kill "$EXCHANGER"
	wait "$EXCHANGER" 2>/dev/null || true
}

setup() {
	common_setup
	make_bundle
	HOST=$BATS_TEST_TMPDIR/host # what an attack would reach
	mkdir -p "$HOST/target"
	echo host >"$HOST/file"
}

host_is_untouched() {
	[ "$(cd "$HOST" && find . | sort | tr '\n' ' ')" = ". ./file ./target " ]
	[ "$(cat "$HOST/file")" = host ]
}

# --- mounts and links ---------------------------------------------------------------------------------------------

@test "CVE-2019-16884: nothing may be mounted over /proc" {
	local mount
	mkdir -p "$BUNDLE/fake/self/attr"
	for mount in '{"destination": "/proc", "type": "tmpfs"}' \
		'{"destination": "/proc", "source": "fake", "options": ["bind"]}' \
		'{"destination": "/x/../proc/.", "source": "fake", "options": ["bind"]}' \
		'{"destination": "/proc/self/attr", "source": "fake", "options": ["bind"]}' \
		'{"destination": "/proc/sys/kernel/core_pattern", "source": "config.json", "options": ["bind"]}' \
		'{"destination": "/proc/sys", "type": "tmpfs"}'; do
		config '.mounts[3] = $m' --argjson m "$mount"
		run_sh true
		[ "$status" -eq 1 ]
		[[ "$output" == *"is not of type proc"* || "$output" == *"inside /proc"* ]]
	done
}

@test "CVE-2019-16884: nor by a link that leads there" {
	ln -s /proc/self/attr "$BUNDLE/rootfs/attr"
	ln -s ../proc/sys "$BUNDLE/rootfs/etc/sys"
	mkdir "$BUNDLE/fake"
	local target
	for target in /attr /etc/sys /etc/sys/kernel; do
		config '.mounts[3] = {"destination": $t, "source": "fake", "options": ["bind"]}' --arg t $target
		run_sh true
		[ "$status" -eq 1 ]
	done
}

@test "CVE-2019-16884: what emulates a file of /proc may still be mounted" {
	echo 12345.00 1.00 >"$BUNDLE/uptime"
	config '.mounts[3] = {"destination": "/proc/uptime", "source": "uptime", "options": ["bind"]}'
	run_sh 'cat /proc/uptime'
	[ "$output" = "12345.00 1.00" ]
}

@test "CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2025-54867: /proc and /sys must be ordinary directories" {
	local dir
	for dir in proc sys; do
		mkdir "$BUNDLE/rootfs/evil-$dir"
		rmdir "$BUNDLE/rootfs/$dir"
		ln -s "evil-$dir" "$BUNDLE/rootfs/$dir"
		config '.mounts = [{"destination": $d, "type": $t}]' --arg d /$dir --arg t "$([ $dir = sys ] && echo sysfs || echo proc)"
		run_sh true
		[ "$status" -eq 1 ]
		[[ "$output" == *"must be mounted on ordinary directory"* ]]
		rm "$BUNDLE/rootfs/$dir"
		mkdir "$BUNDLE/rootfs/$dir"
	done
}

@test "CVE-2019-18837: links at every depth of a target stay inside the root" {
	mkdir -p "$BUNDLE/volume" "$BUNDLE/rootfs/d"
	ln -s "$HOST" "$BUNDLE/rootfs/absolute"
	ln -s "../../../../../../../../../..$HOST" "$BUNDLE/rootfs/d/relative"
	ln -s /proc/1/root "$BUNDLE/rootfs/d/magic"
	local target
	for target in /absolute /absolute/target /absolute/new /d/relative /d/relative/target /d/relative/new/deep; do
		config '.mounts = [{"destination": "/proc", "type": "proc"}, {"destination": $t, "source": "volume", "options": ["bind"]}]' --arg t $target
		run_sh 'echo inside >'$target'/made'
		# A link's missing target is either made inside or refused.
		[ "$status" -eq 0 ] || [[ "$output" == *"inside the container's root"* ]]
		host_is_untouched
		rm -f "$BUNDLE/volume/made"
	done
	config '.mounts[1].destination = "/d/magic/tmp"'
	run_sh true
	[ "$status" -eq 1 ]
}

@test "CVE-2021-30465: mount targets exchanged for links while they are mounted on" {
	command -v perl >/dev/null || skip "perl is not installed"
	mkdir -p "$BUNDLE/volume/a/target" "$BUNDLE/inner"
	ln -s "$HOST" "$BUNDLE/volume/link"
	config '.mounts += [{"destination": "/volume", "source": "volume", "options": ["rbind"]},
		{"destination": "/volume/a/target", "source": "inner", "options": ["bind"]},
		{"destination": "/volume/a/target/new", "type": "tmpfs"}]'
	config_args sh -c 'awk "{ print \$5 }" /proc/self/mountinfo'
	exchange_forever "$BUNDLE/volume/a" "$BUNDLE/volume/link"
	local end=$((SECONDS + 5)) good=0 bad=0
	while ((SECONDS < end)); do
		if nsrun run -b "$BUNDLE" t >"$BATS_TEST_TMPDIR/mounts" 2>"$BATS_TEST_TMPDIR/errors"; then
			good=$((good + 1))
		else
			bad=$((bad + 1))
		fi
		# Inside the root, where the link says, is fine: that is the root's own directory of that name.
		not grep -vE "^(/|/proc|/dev|/dev/(pts|null|zero|full|random|urandom|tty)|/volume(/.*)?|$HOST(/.*)?)\$" "$BATS_TEST_TMPDIR/mounts"
		host_is_untouched
	done
	stop_exchanging
	echo "$good containers ran, $bad were refused"
	((good > 0))
}

@test "CVE-2024-45310: missing targets are not made outside the root" {
	command -v perl >/dev/null || skip "perl is not installed"
	mkdir -p "$BUNDLE/volume/a"
	echo inner >"$BUNDLE/inner"
	ln -s "$HOST" "$BUNDLE/volume/link"
	config '.mounts += [{"destination": "/volume", "source": "volume", "options": ["rbind"]},
		{"destination": "/volume/a/x/y/dir", "type": "tmpfs"},
		{"destination": "/volume/a/x/z/file", "source": "inner", "options": ["bind"]}]'
	config_args true
	exchange_forever "$BUNDLE/volume/a" "$BUNDLE/volume/link"
	local end=$((SECONDS + 5)) tries=0
	while ((SECONDS < end)); do
		nsrun run -b "$BUNDLE" t >/dev/null 2>&1 || true
		rm -rf "$BUNDLE/volume/a/x" "$BUNDLE/rootfs$HOST/x" 2>/dev/null || true
		tries=$((tries + 1))
		host_is_untouched
	done
	stop_exchanging
	echo "$tries tries"
}

# --- devices and masks --------------------------------------------------------------------------------------------

@test "CVE-2025-31133: a /dev/null that is a link does not become what masks" {
	config 'del(.mounts[] | select(.destination | startswith("/dev"))) | .linux.maskedPaths = ["/proc/keys", "/proc/timer_list"]'
	before=$(cat /proc/sys/kernel/core_pattern)
	for fake in /proc/sys/kernel/core_pattern /etc/passwd; do
		ln -sfn $fake "$BUNDLE/rootfs/dev/null"
		run_sh 'echo pwned >/proc/keys'
		[ "$status" -eq 1 ]
		[[ "$output" == *"/dev/null"* ]]
		[ "$(cat /proc/sys/kernel/core_pattern)" = "$before" ]
	done
	rm "$BUNDLE/rootfs/dev/null"
	echo plain >"$BUNDLE/rootfs/dev/null"
	run_sh 'cat /proc/keys'
	[ "$status" -eq 1 ]
	[[ "$output" == *"not the null device"* ]]
}

@test "CVE-2025-52565: /dev/console and /dev/ptmx that are links do not redirect the terminal" {
	config 'del(.mounts[] | select(.destination == "/dev")) | .process.terminal = true'
	ln -s /proc/sys/kernel/core_pattern "$BUNDLE/rootfs/dev/console"
	run_sh 'echo pwned >/dev/console'
	[ "$status" -ne 0 ]
	[[ "$output" == *"/dev/console"* ]]
	rm "$BUNDLE/rootfs/dev/console"
	echo plain >"$BUNDLE/rootfs/fake"
	mkdir "$BUNDLE/dev" "$BUNDLE/dev/pts"
	ln -s /fake "$BUNDLE/dev/ptmx"
	config '.mounts = [{"destination": "/proc", "type": "proc"}, {"destination": "/dev", "source": "dev", "options": ["bind"]}]'
	run_sh true
	[ "$status" -ne 0 ]
	[ "$(cat "$BUNDLE/rootfs/fake")" = plain ]
}

@test "CVE-2026-41579, CVE-2026-47766: a /dev that is a link is not set up" {
	config 'del(.mounts[] | select(.destination | startswith("/dev"))) |
		.linux.devices = [{"type": "c", "path": "/dev/extra", "major": 1, "minor": 3}]'
	rm -rf "$BUNDLE/rootfs/dev"
	local link
	for link in "$HOST" "../../../../../../../../$HOST" /etc; do
		ln -sfn "$link" "$BUNDLE/rootfs/dev"
		run_sh true
		[ "$status" -eq 1 ]
		[[ "$output" == *"/dev"* ]]
		host_is_untouched
		[ ! -e /etc/null ]
	done
}

# --- procfs -------------------------------------------------------------------------------------------------------

@test "CVE-2025-52881: kernel parameters are written to the kernel, whatever the root has in /proc/sys" {
	not_as_user "ip netns is root's"
	ip netns add t-cve
	ip netns exec t-cve sysctl -qw net.ipv4.ip_forward=0
	mkdir -p "$BUNDLE/rootfs/proc/sys/net/ipv4"
	ln -s /etc/passwd "$BUNDLE/rootfs/proc/sys/net/ipv4/ip_forward"
	passwd=$(cat "$BUNDLE/rootfs/etc/passwd")
	config '.mounts = [] | .linux.sysctl = {"net.ipv4.ip_forward": "1"} |
		(.linux.namespaces[] | select(.type == "network")).path = "/run/netns/t-cve"'
	run_sh true
	written=$(ip netns exec t-cve sysctl -n net.ipv4.ip_forward)
	ip netns del t-cve
	rm -rf "$BUNDLE/rootfs/proc/sys"
	[ "$status" -eq 0 ]
	[ "$written" = 1 ]
	[ "$(cat "$BUNDLE/rootfs/etc/passwd")" = "$passwd" ]
}

@test "CVE-2025-52881: a kernel parameter's name cannot climb" {
	local name
	for name in net/../kernel/core_pattern net.ipv4.../kernel net/ipv4/../../kernel/sysrq ../sysrq-trigger; do
		config '.linux.sysctl = {($n): "1"}' --arg n "$name"
		run_sh true
		[ "$status" -eq 1 ]
	done
}

# --- the runtime's own process ------------------------------------------------------------------------------------

@test "CVE-2016-3697: user ids are numbers, not names of the image's passwd" {
	echo '1000::0:0::/:/bin/sh' >>"$BUNDLE/rootfs/etc/passwd"
	config '.process.user = {"uid": 1000, "gid": 1000}'
	run_sh 'grep -E "^(Uid|Gid)" /proc/self/status'
	[ "$output" = $'Uid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000' ]
}

@test "CVE-2016-9962: a process entering the container shows it nothing of the host" {
	all_capabilities
	config_args sh -c 'while [ ! -e /stop ]; do
			for p in /proc/[0-9]*; do
				for f in $p/fd/* $p/cwd; do
					[ ! -e $f/state.json -a ! -e $f/config.json -a ! -e $f/target ] || echo "LEAK $f $(readlink $f)"
				done
				[ ! -e $p/root'"$HOST"' ] || echo "LEAK $p/root"
			done 2>/dev/null
		done'
	nsrun run -b "$BUNDLE" t >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	wait_for 5 status_is t running
	local i
	cd "$HOST"
	for i in $(seq 30); do
		nsrun exec t true
	done
	# And as slowly as a loaded machine would.
	if command -v strace >/dev/null; then
		for i in setns setsid capset close_range; do
			strace -f -qq -o "$BATS_TEST_TMPDIR/trace" -e trace=$i -e inject=$i:delay_enter=200000 \
				"$NSRUN" --root "$ROOT" exec t true
		done
	fi
	touch "$BUNDLE/rootfs/stop"
	wait $!
	sane_run cat "$BATS_TEST_TMPDIR/out"
	[ "$output" = "" ]
}

@test "CVE-2016-9962, CVE-2019-5736: a process waiting for its start cannot be looked into from a shared pid namespace" {
	all_capabilities
	config_args sh -c 'while [ ! -e /stop ]; do sleep 0.05; done'
	local first=$BUNDLE
	nsrun run -b "$first" first 3>&- &
	wait_for 5 status_is first running
	local pid
	pid=$(nsrun state first | jq .pid)
	make_bundle "$BATS_TEST_TMPDIR/second"
	config '(.linux.namespaces[] | select(.type == "pid")).path = $p | (.linux.namespaces[] | select(.type == "user")).path = $u' \
		--arg p "/proc/$pid/ns/pid" --arg u "/proc/$pid/ns/user"
	nsrun create -b "$BUNDLE" second
	sane_run nsrun exec --cap CAP_SYS_PTRACE --cap CAP_DAC_OVERRIDE first sh -c 'for p in /proc/[0-9]*; do readlink $p/root $p/cwd $p/exe; ls $p/fd/; done >/dev/null; ls /proc/*/fd/*/state.json /proc/*/cwd/config.json'
	[[ "$output" != *LEAK* && "$status" -ne 0 ]]
	nsrun delete --force second
	touch "$first/rootfs/stop"
	wait
}

@test "CVE-2019-5736: the program cannot be overwritten by what it runs" {
	all_capabilities
	before=$(sha256sum <"$NSRUN")
	printf '#!/proc/self/exe\n' >"$BUNDLE/rootfs/evil"
	chmod 755 "$BUNDLE/rootfs/evil"
	config_args /evil
	sane_run nsrun run -b "$BUNDLE" t
	[ "$(sha256sum <"$NSRUN")" = "$before" ]
	cat >"$BUNDLE/rootfs/overwrite" <<-'END'
		while [ ! -e /stop ]; do
			for exe in /proc/[0-9]*/exe; do
				[ "$exe" -ef /bin/busybox ] || (echo '#!/bin/sh' >"$exe")
			done
		done 2>/dev/null
		exit 0
	END
	config_args sh /overwrite
	nsrun run -b "$BUNDLE" t >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	wait_for 5 status_is t running
	local i
	for i in $(seq 30); do
		nsrun exec t /evil >/dev/null 2>&1 || true
		nsrun exec t true
	done
	touch "$BUNDLE/rootfs/stop"
	wait $!
	[ "$(sha256sum <"$NSRUN")" = "$before" ]
}

@test "CVE-2022-27650, CVE-2022-29162: the inheritable set is empty unless asked for" {
	run_sh 'grep CapInh /proc/self/status'
	[ "$output" = $'CapInh:\t0000000000000000' ]
	config_args sleep 100
	nsrun run -d -b "$BUNDLE" t
	sane_run nsrun exec --cap CAP_NET_RAW t grep CapInh /proc/self/status
	[ "$output" = $'CapInh:\t0000000000000000' ]
	nsrun delete --force t
}

@test "CVE-2024-21626: the working directory cannot be an inherited descriptor of the host" {
	local n
	# Refused, or the container's own root.
	config_args sh -c 'pwd; ls -d bin; ls -d ../config.json ../../etc/shadow'
	for n in $(seq 3 20); do
		config '.process.cwd = $d' --arg d "/proc/self/fd/$n"
		sane_run nsrun run -b "$BUNDLE" t
		[ "$status" -ne 0 ]
		[[ "$output" != */config.json && "$output" != */etc/shadow ]]
		[ "${#lines[@]}" -eq 1 ] || [ "${lines[0]} ${lines[1]}" = "/ bin" ]
	done
	config_args pwd
	ln -s /proc/self/fd/7/../../.. "$BUNDLE/rootfs/link"
	config '.process.cwd = "/link"'
	sane_run nsrun run -b "$BUNDLE" t
	[ "$status" -ne 0 ] || [[ "$output" == / ]]
	config '.process.cwd = "/"'
	config_args sleep 100
	nsrun run -d -b "$BUNDLE" t
	for n in $(seq 3 20); do
		sane_run nsrun exec --cwd "/proc/self/fd/$n" t pwd
		[ "$status" -ne 0 ]
	done
	nsrun delete --force t
}

@test "CVE-2024-21626: the program has no descriptors but its own" {
	exec 7<"$HOST" 9<"$HOST/file"
	config_args ls /proc/self/fd
	sane_run nsrun run -b "$BUNDLE" t
	# 3 is the directory that ls reads.
	[ "$output" = $'0\n1\n2\n3' ]
	config_args sleep 100
	nsrun run -d -b "$BUNDLE" t
	sane_run nsrun exec t ls /proc/self/fd
	exec 7<&- 9<&-
	[ "$output" = $'0\n1\n2\n3' ]
	nsrun delete --force t
}

@test "CVE-2026-30892: exec -u takes numbers whole, and nothing else" {
	config_args sleep 100
	nsrun run -d -b "$BUNDLE" t
	sane_run nsrun exec -u 1 t id -u
	[ "$output" = 1 ]
	sane_run nsrun exec -u 12:34 t sh -c 'id -u; id -g'
	[ "$output" = $'12\n34' ]
	local user
	for user in 1x x1 '' 1: :1 -1 4294967296 '1 ' 0x1 1:2:3; do
		sane_run nsrun exec -u "$user" t id -u
		[ "$status" -ne 0 ]
	done
	nsrun delete --force t
}

@test "CVE-2021-43784: very long strings are refused or work, and nothing is cut" {
	local long
	long=$(head -c 70000 /dev/zero | tr '\0' a)
	config '.mounts[3] = {"destination": ("/" + $l), "source": "/", "options": ["bind"]}' --arg l "$long"
	run_sh true
	[ "$status" -eq 1 ]
	config '.mounts[3] = {"destination": "/mnt", "type": "tmpfs", "options": ["size=1k,mode=" + $l]}' --arg l "$long"
	run_sh true
	[ "$status" -eq 1 ]
}
