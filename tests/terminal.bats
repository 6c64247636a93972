#!/usr/bin/env bats
# Terminals: the pty in the container, the foreground relay, --console-socket and --pidfd-socket.

load helpers

setup() {
	common_setup
	make_bundle
	config '.process.terminal = true'
	cd "$BUNDLE"
}

# Listens on SOCKET in the background; what arrives goes to SOCKET.out: the payload, the number of descriptors, then
# what `$3` (Python; fd is the first descriptor) prints.
receiver() {
	python3 - "$1" "${2:-pass}" >"$1.out" 2>&1 3>&- <<-'PYTHON' &
	import array, fcntl, os, select, socket, struct, sys, termios
	s = socket.socket(socket.AF_UNIX)
	s.bind(sys.argv[1])
	s.listen()
	c, _ = s.accept()
	data, anc, _, _ = c.recvmsg(4096, 4096)
	fds = array.array('i')
	for level, kind, payload in anc:
	    fds.frombytes(payload)
	fd = fds[0]
	print(data.decode(), len(fds), flush=True)
	def until_end():
	    text = b''
	    while True:
	        try:
	            more = os.read(fd, 4096)
	        except OSError:
	            break
	        if not more:
	            break
	        text += more
	    return text.decode().replace('\r', '')
	exec(sys.argv[2])
	PYTHON
	RECEIVER=$!
	wait_for 5 test -S "$1"
}

# Runs a command under a pty of its own: stdout is what the pty showed. ^@ is script(1)'s end of input.
in_pty() {
	script -qec "$1" /dev/null </dev/null | tr -d '\r' | sed 's/^^@//'
}

@test "the pty is the process's stdin, stdout and stderr, its controlling terminal and /dev/console" {
	config_args sh -c 'for i in 0 1 2; do readlink /proc/self/fd/$i; done; stat -c %t:%T /dev/pts/0 /dev/console
		echo "$(cut -d" " -f6,7 /proc/self/stat)"; echo through >/dev/tty'
	sane_run nsrun run t </dev/null
	[ "$status" = 0 ]
	[ "${lines[0]}" = /dev/pts/0 ]
	[ "${lines[1]}" = /dev/pts/0 ]
	[ "${lines[2]}" = /dev/pts/0 ]
	[ "${lines[3]}" = 88:0 ]
	[ "${lines[4]}" = 88:0 ]
	[ "${lines[5]}" = "1 34816" ] # the session is the container's own, its terminal 136:0
	[ "${lines[6]}" = through ]
}

@test "the terminal belongs to the process's user" {
	config '.process.user = {uid: 1000, gid: 1000}'
	config_args sh -c 'stat -c %u /dev/pts/0; echo x >/dev/tty'
	sane_run nsrun run t </dev/null
	[ "$status" = 0 ]
	[ "${lines[0]}" = 1000 ]
}

@test "stdin need not be a terminal; its end is the end of input in the container" {
	config_args sh -c 'stty -echo; echo ready; cat; echo over'
	sane_run timeout 10 "$NSRUN" --root "$ROOT" run t < <(printf 'a line\nand an open one')
	[ "$status" = 0 ]
	[[ $output == *ready*"a line"*"and an open one"*over ]]
	sane_run timeout 10 "$NSRUN" --root "$ROOT" run t </dev/null
	[ "$status" = 0 ]
}

@test "newlines come out as they are, and nothing is lost on the way to a slow reader" {
	config_args sh -c 'seq 1 40000; exit 7'
	{ nsrun run t </dev/null || echo "status $?"; } | { sleep 0.3; cat >"$BATS_TEST_TMPDIR/out"; }
	diff "$BATS_TEST_TMPDIR/out" <(seq 1 40000; echo "status 7")
}

@test "a reader that goes away does not stop the container" {
	config_args sh -c 'seq 1 40000; exit 7'
	{ nsrun run t </dev/null || echo $? >"$BATS_TEST_TMPDIR/status"; } | head -n 1
	[ "$(cat "$BATS_TEST_TMPDIR/status")" = 7 ]
}

@test "the caller's terminal is raw meanwhile, and as before afterwards" {
	config_args sh -c 'echo inside; exit 3'
	sane_run in_pty "stty rows 33 cols 77 -echoe; stty -g; $NSRUN --root $ROOT run t; echo status \$?; stty -g"
	[ "${lines[1]}" = inside ]
	[ "${lines[2]}" = "status 3" ]
	[ "${lines[0]}" = "${lines[3]}" ]

	config_args no-such-program
	sane_run in_pty "stty -g; $NSRUN --root $ROOT run t 2>/dev/null; echo status \$?; stty -g"
	[ "${lines[0]}" = "${lines[2]}" ]

	config_args sleep 1000
	sane_run in_pty "stty -g; (sleep 0.4; $NSRUN --root $ROOT kill t KILL) & $NSRUN --root $ROOT run t; echo status \$?; stty -g"
	[ "${lines[1]}" = "status 137" ]
	[ "${lines[0]}" = "${lines[2]}" ]
}

@test "the caller's window size, also when it changes" {
	config_args sh -c 'trap "stty size; exit 0" WINCH; stty size; while :; do sleep 0.1; done'
	sane_run timeout 20 python3 - "$NSRUN" "$ROOT" "$BUNDLE" <<-'PYTHON'
	import fcntl, os, pty, struct, sys, termios
	def size(fd, rows, cols):
	    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, cols, 0, 0))
	nsrun, root, bundle = sys.argv[1:]
	pid, fd = pty.fork()
	if pid == 0:
	    size(0, 33, 77)
	    os.execv(nsrun, [nsrun, '--root', root, 'run', '-b', bundle, 't'])
	text, resized = b'', False
	while True:
	    try:
	        text += os.read(fd, 4096)
	    except OSError:
	        break
	    if b'33 77' in text and not resized:
	        size(fd, 44, 88)
	        resized = True
	print(text.decode())
	sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
	PYTHON
	[ "$status" = 0 ]
	[[ $output == *"33 77"*"44 88"* ]]
}

@test "control characters go to the container, not to nsrun" {
	config_args sh -c 'trap "echo caught; exit 5" INT; echo ready; while :; do sleep 0.1; done'
	sane_run timeout 20 python3 - "$NSRUN" "$ROOT" "$BUNDLE" <<-'PYTHON'
	import os, pty, sys
	nsrun, root, bundle = sys.argv[1:]
	pid, fd = pty.fork()
	if pid == 0:
	    os.execv(nsrun, [nsrun, '--root', root, 'run', '-b', bundle, 't'])
	text, sent = b'', False
	while True:
	    try:
	        text += os.read(fd, 4096)
	    except OSError:
	        break
	    if b'ready' in text and not sent:
	        os.write(fd, b'\x03')
	        sent = True
	print(text.decode())
	sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
	PYTHON
	[ "$status" = 5 ]
	[[ $output == *caught* ]]
}

@test "--console-socket gets the master, with one descriptor and the terminal's name" {
	local socket=$BATS_TEST_TMPDIR/console
	config '.process.consoleSize = {height: 12, width: 34}'
	config_args sh -c 'stty size; tty -s && echo terminal; read line; echo "got $line"'
	receiver "$socket" 'os.write(fd, b"hello\n"); print(until_end())'
	nsrun run -d --console-socket "$socket" t
	wait $RECEIVER
	cat "$socket.out"
	[[ $(cat "$socket.out") == "/dev/pts/0 1"*"12 34"*terminal*"got hello"* ]]
	wait_for 5 status_is t stopped
	nsrun delete t
}

@test "--console-socket at a long path, with create and start" {
	local dir socket
	dir=$BATS_TEST_TMPDIR/$(printf 'd%.0s' {1..120})
	mkdir -p "$dir"
	socket=$dir/console
	config_args echo hello
	# The listener cannot bind such a path either, and is given a short one.
	receiver "$BATS_TEST_TMPDIR/short" 'print(until_end())'
	ln "$BATS_TEST_TMPDIR/short" "$socket"
	nsrun create --console-socket "$socket" t
	[ "$(nsrun state t | jq -r .status)" = created ]
	nsrun start t
	wait $RECEIVER
	[[ $(cat "$BATS_TEST_TMPDIR/short.out") == "/dev/pts/0 1"*hello* ]]
	wait_for 5 status_is t stopped
	nsrun delete t
}

@test "--console-socket is required for a detached terminal and forbidden elsewhere" {
	sane_run nsrun create t
	[ "$status" = 1 ]
	[[ $output == *"without setting console socket"* ]]
	sane_run nsrun run -d t
	[ "$status" = 1 ]
	[[ $output == *"without setting console socket"* ]]
	sane_run nsrun run --console-socket /nowhere t
	[ "$status" = 1 ]
	[[ $output == *"cannot use console socket"* ]]
	config '.process.terminal = false'
	sane_run nsrun create --console-socket /nowhere t
	[ "$status" = 1 ]
	[[ $output == *"cannot use console socket"* ]]
}

@test "a console socket on which nobody listens is an error that names it" {
	sane_run nsrun create --console-socket "$BATS_TEST_TMPDIR/none" t
	[ "$status" = 1 ]
	[[ $output == *"$BATS_TEST_TMPDIR/none"* ]]
	[ "$(nsrun list -q)" = "" ]
}

@test "--pidfd-socket gets init's pidfd" {
	local socket=$BATS_TEST_TMPDIR/pidfd
	config '.process.terminal = false'
	config_args sleep 1000
	receiver "$socket" 'print(open("/proc/self/fdinfo/%d" % fd).read())'
	nsrun create --pidfd-socket "$socket" t
	wait $RECEIVER
	cat "$socket.out"
	[ "$(head -n 1 "$socket.out")" = "standard 1" ]
	[ "$(awk '$1 == "Pid:" { print $2 }' "$socket.out")" = "$(nsrun state t | jq .pid)" ]
	nsrun delete --force t
}

@test "exec -t: in the foreground, and by a console socket" {
	local socket=$BATS_TEST_TMPDIR/console
	config '.process.terminal = false'
	config_args sleep 1000
	nsrun run -d t
	sane_run nsrun exec -t t sh -c 'tty; exit 4' </dev/null
	[ "$status" = 4 ]
	[ "${lines[0]}" = /dev/pts/0 ]
	receiver "$socket" 'print(until_end())'
	nsrun exec -t -d --console-socket "$socket" t sh -c 'tty; echo hello'
	wait $RECEIVER
	[[ $(cat "$socket.out") == "/dev/pts/"*" 1"*hello* ]]
	nsrun delete --force t
}

@test "without devpts there is no terminal, and the error says what to mount" {
	config '.mounts |= map(select(.type != "devpts"))'
	sane_run nsrun run t </dev/null
	[ "$status" = 1 ]
	[[ $output == *"/dev/pts/ptmx"*"devpts"* ]]
}

@test "a ptmx that is not the multiplexer is refused (CVE-2025-52565)" {
	not_as_user "only root makes device nodes"
	mkdir -p "$BUNDLE/dev/pts"
	mknod "$BUNDLE/dev/pts/ptmx" c 1 3 || touch "$BUNDLE/dev/pts/ptmx" # only root makes nodes
	config '.mounts |= map(select(.type != "devpts"))
		| .mounts += [{destination: "/dev/pts", type: "bind", source: $dir, options: ["bind"]}]' --arg dir "$BUNDLE/dev/pts"
	sane_run nsrun run t </dev/null
	[ "$status" = 1 ]
	[[ $output == *"not on a devpts"* ]]
	rm "$BUNDLE/dev/pts/ptmx"
	ln -s /etc/passwd "$BUNDLE/dev/pts/ptmx"
	sane_run nsrun run t </dev/null
	[ "$status" = 1 ]
	[[ $output == *"not on a devpts"* ]]
}

@test "a /dev/console that leads elsewhere is refused (CVE-2025-52565)" {
	mkdir -p "$BUNDLE/dev/pts"
	ln -s /proc/sysrq-trigger "$BUNDLE/dev/console"
	config '.mounts |= map(if .destination == "/dev" then .type = "bind" | .source = $dir | .options = ["bind"] else . end)' \
		--arg dir "$BUNDLE/dev"
	sane_run nsrun run t </dev/null
	[ "$status" = 1 ]
	[[ $output == *"/dev/console"*"symbolic link"* ]]
}
