#!/usr/bin/env bats
# create, start, run, state, kill, delete, list, ps: what they print, how they fail, what they leave.

load helpers

pid_of() {
	nsrun state "$1" | jq .pid
}

# bats test_tags=vm:userns,vm:user
@test "create, start, stop, delete" {
	make_bundle
	config_args sleep 100
	nsrun create -b "$BUNDLE" --pid-file "$BATS_TEST_TMPDIR/pid" c
	status_is c created
	[ "$(cat "$BATS_TEST_TMPDIR/pid")" = "$(pid_of c)" ]
	grep -q nsrun /proc/"$(pid_of c)"/comm
	nsrun start c
	status_is c running
	[ "$(cat /proc/"$(pid_of c)"/comm)" = sleep ]
	sane_run nsrun start c
	[ "$status" -eq 1 ]
	[[ "$output" == *"cannot start an already running container"* ]]
	sane_run nsrun delete c
	[ "$status" -eq 1 ]
	[[ "$output" == *"cannot delete container c that is not stopped: running"* ]]
	nsrun kill c KILL
	wait_for 10 status_is c stopped
	[ "$(nsrun state c | jq .pid)" = 0 ]
	sane_run nsrun start c
	[ "$status" -eq 1 ]
	[[ "$output" == *"cannot start a container that has stopped"* ]]
	nsrun delete c
	[ -z "$(ls "$ROOT")" ]
}

@test "a created container is deleted without force" {
	make_bundle
	nsrun create -b "$BUNDLE" c
	nsrun delete c
}

@test "run passes the exit status on, or 128 and the signal" {
	make_bundle
	config_args sh -c 'exit 7'
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -eq 7 ]
	config_args sh -c 'kill -9 $$'
	config '.linux.namespaces |= map(select(.type != "pid"))'
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -eq 137 ]
}

@test "run forwards signals" {
	make_bundle
	config_args sh -c 'trap "exit 5" USR1; echo up; while :; do sleep 0.05; done'
	"$NSRUN" --root "$ROOT" run -b "$BUNDLE" c >"$BATS_TEST_TMPDIR/out" 3>&- &
	wait_for 10 grep -q up "$BATS_TEST_TMPDIR/out"
	kill -USR1 $!
	status=0
	wait $! || status=$?
	[ "$status" -eq 5 ]
}

@test "signals that the caller ignores are the program's own" {
	make_bundle
	config_args sh -c 'grep SigIgn /proc/self/status; exit 3'
	run bash -c 'trap "" INT PIPE HUP CHLD; exec "$@"' bash "$NSRUN" --root "$ROOT" run -b "$BUNDLE" c
	[ "$status" -eq 3 ]
	[ "$output" = "SigIgn:	0000000000000000" ]
}

@test "run -d leaves no process but the container's" {
	make_bundle
	config_args sleep 100
	nsrun run -d -b "$BUNDLE" --pid-file "$BATS_TEST_TMPDIR/pid" c
	status_is c running
	[ "$(pgrep -xc nsrun)" = 0 ]
	nsrun delete --force c
}

@test "run --keep leaves the stopped container" {
	make_bundle
	nsrun run --keep -b "$BUNDLE" c
	status_is c stopped
	nsrun delete c
}

@test "run DIR takes the directory's name for the id" {
	make_bundle "$BATS_TEST_TMPDIR/my-bundle"
	config_args sleep 100
	cd "$BATS_TEST_TMPDIR"
	nsrun run -d my-bundle
	status_is my-bundle running
	nsrun delete -f my-bundle
	cd my-bundle
	sane_run nsrun run my-bundle/../../nothing
	[ "$status" -eq 1 ]
	[[ "$output" == *"invalid container ID"* ]]
}

@test "an id is used once" {
	make_bundle
	nsrun create -b "$BUNDLE" c
	sane_run nsrun create -b "$BUNDLE" c
	[ "$status" -eq 1 ]
	[[ "$output" == *"container with id exists: c"* ]]
	status_is c created
	nsrun delete c
	for id in '' . .. a/b 'a b' "$(printf 'x%.0s' {1..1100})"; do
		sane_run nsrun create -b "$BUNDLE" "$id"
		[ "$status" -eq 1 ]
	done
}

@test "a container that is not there" {
	for command in state start kill delete "ps"; do
		sane_run nsrun $command nobody
		[ "$status" -eq 1 ]
		[[ "$output" == *"container nobody does not exist"* ]]
	done
	sane_run nsrun exec nobody true
	[ "$status" -eq 255 ]
	nsrun delete --force nobody
	"$NSRUN" --root "$ROOT/missing" delete --force nobody
}

@test "a program that is missing is told by create, one that cannot be executed by run, in one line" {
	make_bundle
	config_args /nope
	sane_run nsrun create -b "$BUNDLE" c
	[ "$status" -eq 1 ]
	[[ "$output" == *"exec /nope: no such file or directory"* ]]
	config_args nope
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -eq 1 ]
	[ "${#lines[@]}" -eq 1 ]
	[[ "$output" == *'exec nope: executable file not found in $PATH'* ]]
	config_args /etc/passwd
	sane_run nsrun run -b "$BUNDLE" c
	[[ "$output" == *"exec /etc/passwd: permission denied"* ]]
}

@test "start hears of an exec that fails" {
	make_bundle
	config_args /etc/passwd
	chmod +x "$BUNDLE/rootfs/etc/passwd"
	nsrun create -b "$BUNDLE" c
	sane_run nsrun start c
	[ "$status" -eq 1 ]
	[[ "$output" == *"exec /etc/passwd: exec format error"* ]]
	wait_for 10 status_is c stopped
	nsrun delete c
	chmod -x "$BUNDLE/rootfs/etc/passwd"
}

@test "an error stands once in the log and once on stderr" {
	make_bundle
	config_args /nope
	run "$NSRUN" --root "$ROOT" --log "$BATS_TEST_TMPDIR/log" --log-format json create -b "$BUNDLE" c
	[ "$status" -eq 1 ]
	[ "${#lines[@]}" -eq 1 ]
	[ "$(wc -l <"$BATS_TEST_TMPDIR/log")" = 1 ]
	[ "$(jq -r .level "$BATS_TEST_TMPDIR/log")" = error ]
	[ "$(jq -r .msg "$BATS_TEST_TMPDIR/log")" = "exec /nope: no such file or directory" ]
	date -d "$(jq -r .time "$BATS_TEST_TMPDIR/log")" >/dev/null
}

@test "state and list, as runc shapes them" {
	make_bundle
	config '.annotations = {"a.b": "c"}'
	config_args sleep 100
	nsrun create -b "$BUNDLE" c
	[ "$(nsrun state c | jq -c keys_unsorted)" = \
		'["ociVersion","id","pid","status","bundle","rootfs","created","annotations","owner"]' ]
	[ "$(nsrun state c | jq -r .bundle,.rootfs,.annotations.\"a.b\")" = "$BUNDLE
$BUNDLE/rootfs
c" ]
	[ "$(nsrun list -q)" = c ]
	local owner=root
	[ $UID = 0 ] || owner="#$UID"
	[ "$(nsrun list | head -1)" = "ID          PID         STATUS      $(printf "%-$((${#BUNDLE} + 3))s" BUNDLE)CREATED                          OWNER" ]
	[ "$(nsrun list | awk 'NR == 2 {print $1, $3, $6}')" = "c created $owner" ]
	[ "$(nsrun list -f json | jq -r '.[0].owner')" = "$owner" ]
	nsrun delete c
	[ "$(nsrun list -f json)" = null ]
	sane_run "$NSRUN" --root "$ROOT/missing" list
	[ "$status" -eq 1 ]
}

@test "ps: json, table, and options for ps" {
	make_bundle
	config_args sh -c 'sleep 100 & sleep 101 & wait'
	nsrun run -d -b "$BUNDLE" c
	three() { [ "$(nsrun ps -f json c | jq length)" = 3 ]; }
	wait_for 10 three
	[ "$(nsrun ps -f json c | jq '.[0]')" = "$(pid_of c)" ]
	[[ "$(nsrun ps c | head -1)" == UID*PID*CMD ]]
	[ "$(nsrun ps c | grep -c sleep)" = 3 ] # the shell names them, too
	[ "$(nsrun ps c -eo pid,args | grep -c '^ *[0-9]* sleep')" = 2 ]
	nsrun delete -f c
}

@test "kill: names, numbers, --all, and a container that does not run" {
	make_bundle
	config_args sh -c 'trap "echo got-usr1" USR1; trap "exit 0" TERM; echo up; while :; do sleep 0.02; done'
	nsrun run -d -b "$BUNDLE" c >"$BATS_TEST_TMPDIR/out" 3>&-
	wait_for 10 grep -q up "$BATS_TEST_TMPDIR/out"
	nsrun kill c SIGUSR1
	wait_for 10 grep -q got-usr1 "$BATS_TEST_TMPDIR/out"
	sane_run nsrun kill c NOSUCH
	[ "$status" -eq 1 ]
	nsrun kill c 15
	wait_for 10 status_is c stopped
	sane_run nsrun kill c
	[ "$status" -eq 1 ]
	[[ "$output" == *"container not running"* ]]
	nsrun kill --all c 9
	nsrun delete c
}

@test "what a container without a pid namespace leaves behind is ended with it" {
	make_bundle
	config '.linux.namespaces |= map(select(.type != "pid")) | .mounts = []'
	config_args sh -c '(sleep 4321 & sleep 4321 &) ; exit 3'
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -eq 3 ]
	[ -z "$(pgrep -f 'sleep 4321')" ]
	config_args sh -c 'sleep 4321 & sleep 4321 & (sleep 4321 &); wait'
	nsrun run -d -b "$BUNDLE" c
	four() { [ "$(nsrun ps -f json c | jq length)" -ge 3 ]; }
	wait_for 10 four
	nsrun delete --force c
	[ -z "$(pgrep -f 'sleep 4321')" ]
}

@test "namespaces joined by path" {
	make_bundle "$BATS_TEST_TMPDIR/one"
	config_args sleep 100
	nsrun run -d -b "$BUNDLE" one
	local p n
	p=$(pid_of one)
	make_bundle "$BATS_TEST_TMPDIR/two"
	config '.linux.namespaces = [{"type": "mount"}, {"type": "pid", "path": $p}, {"type": "network", "path": $n},
		{"type": "ipc", "path": $i}, {"type": "uts", "path": $u}] | del(.hostname)
		| if $mode == "user" then .linux.namespaces += [{"type": "user", "path": $user}] else . end' \
		--arg mode "$MODE" --arg user "/proc/$p/ns/user" \
		--arg p "/proc/$p/ns/pid" --arg n "/proc/$p/ns/net" --arg i "/proc/$p/ns/ipc" --arg u "/proc/$p/ns/uts"
	config_args sh -c 'for n in net ipc uts pid; do readlink /proc/self/ns/$n; done; hostname'
	sane_run nsrun run -b "$BUNDLE" two
	[ "$status" -eq 0 ]
	for n in net ipc uts pid; do
		[[ "$output" == *"$(readlink "/proc/$p/ns/$n")"* ]]
	done
	[ "${lines[-1]}" = test ]
	config '.linux.namespaces[2].path = $p' --arg p "/proc/$p/ns/ipc"
	sane_run nsrun run -b "$BUNDLE" two
	[ "$status" -eq 1 ]
	[[ "$output" == *"is not a network namespace"* ]]
	nsrun delete -f one
}

@test "a joined network namespace keeps its lo as it is, a new one has lo up" {
	not_as_user "ip netns is root's"
	ip netns add lo-test
	make_bundle
	config_args ip link show lo
	[[ "$(nsrun run -b "$BUNDLE" c)" == *"<LOOPBACK,UP,LOWER_UP>"* ]]
	config '.linux.namespaces = [{"type": "mount"}, {"type": "network", "path": "/run/netns/lo-test"}] | del(.hostname)'
	[[ "$(nsrun run -b "$BUNDLE" c)" == *"<LOOPBACK>"* ]]
	ip netns del lo-test
}

# bats test_tags=vm:userns
@test "a user namespace with all others" {
	make_bundle
	config '.linux.namespaces += [{"type": "cgroup"}] | .process.oomScoreAdj = 500'
	user_namespace 1000
	config_args sh -c 'id -u; cat /proc/self/uid_map /proc/self/oom_score_adj; hostname; ls -d /dev/pts/ptmx'
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = 0 ]
	[[ "${lines[1]}" =~ ^\ +0\ +$HOST_ID\ +1000$ ]]
	[ "${lines[2]}" = 500 ]
	[ "${lines[3]}" = test ]
}

@test "without a mount namespace: the host's root, or a directory by chroot" {
	make_bundle
	config '.linux.namespaces = [{"type": "uts"}, {"type": "network"}] | .mounts = [] | .root.path = "/"'
	config_args test -e "$BUNDLE/config.json"
	nsrun run -b "$BUNDLE" c
	config '.root.path = "rootfs"'
	config_args sh -c '! test -e "$1" && test -e /bin/busybox' sh "$BUNDLE/config.json"
	nsrun run -b "$BUNDLE" c
}

@test "descriptors: none of the caller's but those preserved" {
	make_bundle
	config_args sh -c 'for f in /proc/$$/fd/*; do [ -e $f ] && echo ${f##*/}; done'
	run "$NSRUN" --root "$ROOT" run -b "$BUNDLE" c 5</etc/hostname 7</etc/hostname
	[ "${lines[*]}" = "0 1 2" ]
	run "$NSRUN" --root "$ROOT" run --preserve-fds 2 -b "$BUNDLE" c 3</etc/hostname 4</etc/fstab 5</etc/hostname
	[ "${lines[*]}" = "0 1 2 3 4" ]
	run "$NSRUN" --root "$ROOT" run --preserve-fds 3 -b "$BUNDLE" c 3</etc/hostname 4</etc/fstab 5<&-
	[ "$status" -eq 1 ]
	[[ "$output" == *"cannot preserve descriptor 5"* ]]
}

@test "socket activation: LISTEN_FDS are passed on with the right LISTEN_PID" {
	make_bundle
	config_args sh -c 'echo $LISTEN_FDS $LISTEN_PID $$; test -e /proc/self/fd/3'
	run bash -c 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@" 3</etc/hostname' bash "$NSRUN" --root "$ROOT" run -b "$BUNDLE" c
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$output" = "1 1 1" ]
}

@test "a created container holds no descriptor but its own" {
	make_bundle
	nsrun --log "$BATS_TEST_TMPDIR/log" create -b "$BUNDLE" c 5</etc/hostname </dev/null >/dev/null 2>&1 3>&-
	run find /proc/"$(pid_of c)"/fd -mindepth 1 -printf '%l\n'
	[ "$(grep -vc '^/dev/null\|^socket:' <<<"$output")" = 0 ]
	nsrun delete c
}

@test "the rest of what a caller gives: session keyring, signal mask, cwd, home" {
	make_bundle
	config '.process.cwd = "/made/by/runtime" | .process.user.umask = 63'
	config_args sh -c 'pwd; umask; echo $HOME; grep SigBlk /proc/self/status'
	sane_run nsrun run -b "$BUNDLE" c
	[ "${lines[0]}" = /made/by/runtime ]
	[ "${lines[1]}" = 0077 ]
	[ "${lines[2]}" = /root ]
	[ "${lines[3]}" = "SigBlk:	0000000000000000" ]
}

@test "pidfd-socket and console-socket rules" {
	make_bundle
	config '.process.terminal = true'
	sane_run nsrun create -b "$BUNDLE" c
	[ "$status" -eq 1 ]
	[[ "$output" == *"without setting console socket"* ]]
	config '.process.terminal = false'
	sane_run nsrun create --pidfd-socket /nowhere -b "$BUNDLE" c
	[ "$status" -eq 1 ]
	[[ "$output" == *"/nowhere"* ]]
}

@test "the runtime cannot be overwritten from inside" {
	make_bundle
	cp "$NSRUN" "$BATS_TEST_TMPDIR/nsrun"
	printf '#!/proc/self/exe\n' >"$BUNDLE/rootfs/self"
	chmod +x "$BUNDLE/rootfs/self"
	config '.linux.namespaces |= map(select(.type != "pid"))'
	config_args sh -c 'for i in 1 2 3 4 5; do for p in /proc/[0-9]*/exe; do
		case $(readlink $p) in */nsrun) : >>$p && echo written;; esac; done; done; true'
	"$BATS_TEST_TMPDIR/nsrun" --root "$ROOT" run -d -b "$BUNDLE" spy >"$BATS_TEST_TMPDIR/spy" 2>/dev/null 3>&-
	make_bundle "$BATS_TEST_TMPDIR/second"
	config_args /self
	printf '#!/proc/self/exe\n' >"$BUNDLE/rootfs/self" && chmod +x "$BUNDLE/rootfs/self"
	run "$BATS_TEST_TMPDIR/nsrun" --root "$ROOT" run -b "$BUNDLE" self
	cmp "$NSRUN" "$BATS_TEST_TMPDIR/nsrun"
	wait_for 10 status_is spy stopped
	not grep -q written "$BATS_TEST_TMPDIR/spy"
	cmp "$NSRUN" "$BATS_TEST_TMPDIR/nsrun"
	nsrun delete spy
}

@test "a pinned network namespace is seen by ip netns, and only our own is unpinned" {
	not_as_user "/run/netns is root's"
	make_bundle
	config '.annotations = {"org.nsrun.netns": "pin-test"}'
	config_args sleep 100
	nsrun run -d -b "$BUNDLE" c
	[ "$(ip netns identify "$(pid_of c)")" = pin-test ]
	ip netns exec pin-test ip link show lo | grep -q UP
	sane_run nsrun create -b "$BUNDLE" d
	[ "$status" -eq 1 ]
	[[ "$output" == *"pin-test"* ]]
	[ -e /run/netns/pin-test ]
	ip netns del pin-test
	ip netns add pin-test
	nsrun delete -f c
	[ -e /run/netns/pin-test ]
	ip netns del pin-test
}

@test "deletes that meet, and one that meets a create" {
	make_bundle
	config_args sleep 100
	for _ in 1 2 3 4 5 6 7 8; do
		nsrun run -d -b "$BUNDLE" c
		nsrun delete -f c & nsrun delete -f c
		wait $!
		nsrun create -b "$BUNDLE" c & nsrun delete -f c
		wait $! || true
		nsrun delete -f c
	done
}

@test "a directory that a killed create left is deleted" {
	mkdir "$ROOT/half"
	nsrun list -q | grep -q half
	nsrun delete half
	mkdir "$ROOT/half"
	touch "$ROOT/half/lock" "$ROOT/half/config.json"
	nsrun delete --force half
	[ ! -e "$ROOT/half" ]
}

@test "init ends with a creator that is killed" {
	make_bundle
	config '.hooks = {"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "2"]}]}'
	"$NSRUN" --root "$ROOT" create -b "$BUNDLE" c 3>&- &
	wait_for 10 pgrep -P $! -x nsrun
	local init
	init=$(pgrep -P $! -x nsrun)
	status_is c creating
	kill -9 $!
	wait $! || true
	gone() { ! [ -e "/proc/$init" ] || grep -q '^State:.Z' "/proc/$init/status"; }
	wait_for 1 gone
	status_is c stopped
	nsrun delete c
	sleep 2 # the hook, which was not ours to kill
}

@test "--net makes interfaces besides those of the annotations" {
	not_as_user "links are made with rights on the host"
	make_bundle
	echo '{"cniVersion": "1.1.0", "name": "lc", "plugins": [{"type": "switch", "ipam": {"type": "static", "addresses": [{"address": "10.77.0.1/24"}]}}]}' \
		>"$BUNDLE/sw.conflist"
	config '.annotations = {"org.nsrun.net.br-a": "sw.conflist"}'
	config_args ip addr show
	cd "$BUNDLE"
	sane_run nsrun run --net br-b=sw.conflist --net br-c="$BUNDLE/sw.conflist" c
	[ "$status" -eq 0 ]
	[ "$(grep -c '10.77.0.1/24' <<<"$output")" = 3 ]
	[[ "$output" == *" br-a:"*" br-b:"*" br-c:"* ]]
	sane_run nsrun run --net br-b c
	[ "$status" -eq 1 ]
	sane_run nsrun run --net br-b=missing.conflist c
	[ "$status" -eq 1 ]
	[[ "$output" == *missing.conflist* ]]
	config '.linux.namespaces |= map(select(.type != "network")) | del(.annotations)'
	sane_run nsrun run --net br-b=sw.conflist c
	[ "$status" -eq 1 ]
	[[ "$output" == *"network namespace"* ]]
}

@test "command line: help, versions, mistakes" {
	sane_run "$NSRUN" foo
	[ "$status" -ne 0 ]
	[[ "$output" == *"No help topic for 'foo'"* ]]
	[[ "$("$NSRUN" -v | head -1)" =~ ^nsrun\ version\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
	[[ "$("$NSRUN" --version)" == *"commit: "*"spec: 1."* ]]
	"$NSRUN" --help | grep -q '^NAME:'
	for command in create start run state kill delete exec list ps spec features services service logs graph version help; do
		"$NSRUN" $command -h | grep -q "^NAME:"
		"$NSRUN" help $command | grep -q "nsrun $command"
	done
	sane_run "$NSRUN" state
	[ "$status" -eq 1 ]
	[[ "$output" == *"Incorrect Usage."* ]]
	sane_run "$NSRUN" --root / list
	[ "$status" -eq 1 ]
	sane_run "$NSRUN" --log-format xml list
	[ "$status" -eq 1 ]
}
