#!/usr/bin/env bats
# What a service manager hears of `nsrun run` on NOTIFY_SOCKET; perl plays the manager. units.bats has a real one.

load helpers

# Listens on an address as NOTIFY_SOCKET has it; what comes goes to ./told, a datagram a paragraph.
listen_on() {
	export NOTIFY_SOCKET=$1
	perl -MSocket -e '
		$| = 1;
		my $name = $ARGV[0]; $name =~ s/^@/\0/;
		socket(S, AF_UNIX, SOCK_DGRAM, 0) or die; bind(S, pack_sockaddr_un($name)) or die "$!";
		print "listening\n\n";
		print "$m\n\n" while defined recv(S, $m, 4096, 0);' "$1" >told 3>&- &
	LISTENER=$!
	wait_for 5 grep -q listening told
}

told() {
	grep -q -- "$1" told
}

# services_bundle <services.json
services_bundle() {
	make_bundle
	cat >"$BUNDLE/services.json"
	config '.annotations["org.nsrun.services"] = "services.json"'
	T=$BUNDLE/rootfs/tmp
}

setup() {
	common_setup
	cd "$BATS_TEST_TMPDIR"
}

teardown() {
	[ -z "${LISTENER:-}" ] || kill "$LISTENER"
	LISTENER=
	unset NOTIFY_SOCKET
	common_teardown
}

@test "services: ready when all are that are not optional; a status names the others; TERM is told, too" {
	services_bundle <<-'JSON'
	{"services": [
	  {"name": "slow", "process": {"args": ["sleep", "1000"]}, "ready": {"file": "/tmp/go", "timeout": "60s"}},
	  {"name": "extra", "optional": true, "process": {"args": ["/no/such"]}, "restart": {"min": "60s", "max": "60s"}}
	]}
	JSON
	listen_on "$PWD/sock"
	nsrun run --bundle "$BUNDLE" g 3>&- 2>log &
	runner=$!
	wait_for 10 told '^STATUS=0 of 2 services are up; slow: starting; extra: backoff (exec /no/such: no such file or directory)$'
	not told READY
	touch "$T/go"
	wait_for 10 told '^READY=1$'
	told '^STATUS=1 of 2 services are up; extra: backoff'
	not told STOPPING
	nsrun kill g TERM
	wait "$runner"
	told '^STOPPING=1$'
	[ "$(grep -c READY told)" = 1 ]
	not told MAINPID
}

@test "services: HUP is a reload, ready again when it has ended" {
	services_bundle <<-'JSON'
	{"services": [
	  {"name": "a", "process": {"args": ["sleep", "1000"]},
	   "reload": {"exec": {"args": ["sh", "-c", "until test -e /tmp/go; do sleep 0.1; done"]}}}
	]}
	JSON
	listen_on "@nsrun-test-$$"
	nsrun run --bundle "$BUNDLE" g 3>&- 2>log &
	runner=$!
	wait_for 10 told '^READY=1$'
	nsrun kill g HUP
	wait_for 10 told '^RELOADING=1$'
	told '^MONOTONIC_USEC=[0-9]*$'
	[ "$(grep -c READY told)" = 1 ]
	touch "$T/go"
	wait_for 10 ready_again
	nsrun kill g TERM
	wait "$runner"
}

ready_again() {
	[ "$(grep -c READY told)" = 2 ]
}

@test "without services: ready when the program runs; hooks and the program do not get NOTIFY_SOCKET" {
	make_bundle
	config '.hooks.createRuntime = [{"path": "/bin/sh", "args": ["sh", "-c", "env >\($f)"]}]' --arg f "$PWD/hook"
	config_args sh -c 'env >/tmp/env; sleep 1000'
	listen_on "$PWD/sock"
	nsrun run --bundle "$BUNDLE" g 3>&- &
	runner=$!
	wait_for 10 told '^READY=1$'
	wait_for 10 test -s "$BUNDLE/rootfs/tmp/env"
	grep -q ^PATH= hook
	not grep ^NOTIFY_SOCKET hook "$BUNDLE/rootfs/tmp/env"
	nsrun kill g KILL
	wait "$runner" || [ $? = 137 ]
}

@test "a program that cannot be executed: never ready, and the status says why" {
	make_bundle
	config_args /no/such
	listen_on "$PWD/sock"
	sane_run nsrun run --bundle "$BUNDLE" g
	[ "$status" = 1 ]
	wait_for 5 told '^STATUS=.*/no/such.*no such file'
	not told READY
}

@test "in the background the manager is told whom to watch" {
	make_bundle
	config_args sleep 1000
	listen_on "$PWD/sock"
	nsrun run -d --bundle "$BUNDLE" g 3>&-
	wait_for 5 told '^READY=1$'
	told "^MAINPID=$(nsrun state g | jq .pid)\$"
	nsrun delete --force g
}

@test "a manager that cannot be reached is a warning" {
	make_bundle
	export NOTIFY_SOCKET=$PWD/nobody
	sane_run nsrun run --bundle "$BUNDLE" g
	[ "$status" = 0 ]
	[[ "$output" == *"cannot tell the service manager at NOTIFY_SOCKET=$PWD/nobody anything: Connection refused"* ||
		"$output" == *"cannot tell the service manager at NOTIFY_SOCKET=$PWD/nobody anything: No such file or directory"* ]]
}
