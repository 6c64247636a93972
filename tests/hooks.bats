#!/usr/bin/env bats
# Hooks: when and where they run, what they get, and what is said when they fail.

load helpers

setup() {
	common_setup
	make_bundle
	LOG=$BATS_TEST_TMPDIR/log
	# Writes its name to $LOG and the state it got to $LOG.NAME.
	cat >"$BATS_TEST_TMPDIR/hook" <<-EOF
	#!/bin/sh
	echo \$1 >>$LOG
	cat >$LOG.\$1
	readlink /proc/self/ns/net >$LOG.\$1.net
	env >$LOG.\$1.env
	EOF
	chmod +x "$BATS_TEST_TMPDIR/hook"
	HOOK=$BATS_TEST_TMPDIR/hook
}

hook() { # KIND NAME: adds one that calls $HOOK
	config '.hooks[$kind] += [{path: $path, args: ["hook", $name]}]' --arg kind "$1" --arg path "$HOOK" --arg name "$2"
}

@test "hooks of the runtime run in their order, once" {
	for kind in poststop poststart createRuntime prestart; do
		hook $kind $kind-1
		hook $kind $kind-2
	done
	nsrun create -b "$BUNDLE" c
	diff - "$LOG" <<-EOF
	prestart-1
	prestart-2
	createRuntime-1
	createRuntime-2
	EOF
	nsrun start c
	wait_for 5 grep -q poststart-2 "$LOG"
	wait_for 5 status_is c stopped
	nsrun delete c
	diff - "$LOG" <<-EOF
	prestart-1
	prestart-2
	createRuntime-1
	createRuntime-2
	poststart-1
	poststart-2
	poststop-1
	poststop-2
	EOF
}

@test "createRuntime gets the state of a container whose namespaces are there" {
	config '.annotations = {"a.b": "c"}'
	config '.hooks.createRuntime = [{path: "/bin/sh", args: ["sh", "-c", $script]}]' --arg script \
		"cat >$LOG.state; pid=\$(jq .pid $LOG.state); readlink /proc/\$pid/ns/net >$LOG.net; readlink /proc/self/ns/net >$LOG.own"
	nsrun create -b "$BUNDLE" c
	jq -e '.id == "c" and .status == "creating" and .pid > 0 and .ociVersion == "1.3.0" and .annotations["a.b"] == "c"' "$LOG.state"
	[ "$(jq -r .bundle "$LOG.state")" = "$BUNDLE" ]
	[ "$(jq .pid "$LOG.state")" = "$(nsrun state c | jq .pid)" ]
	[ "$(cat "$LOG.net")" = "$(readlink /proc/"$(nsrun state c | jq .pid)"/ns/net)" ]
	[ "$(cat "$LOG.own")" = "$(readlink /proc/self/ns/net)" ]
	nsrun delete --force c
}

@test "createContainer and startContainer run in the container's namespaces" {
	# The first before the root is entered, so its path is the host's; the second in the container.
	hook createContainer inside
	cat >"$BUNDLE/rootfs/bin/hook" <<-'EOF'
	#!/bin/sh
	cat >/tmp/state
	readlink /proc/self/ns/net >/tmp/net
	env >/tmp/env
	EOF
	chmod +x "$BUNDLE/rootfs/bin/hook"
	config '.hooks.startContainer = [{path: "/bin/hook"}] | .process.env += ["COLOUR=blue"]
		| .process.args = ["cat", "/tmp/net"]'
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -eq 0 ]
	[ "$output" = "$(cat "$LOG.inside.net")" ]
	[ "$output" != "$(readlink /proc/self/ns/net)" ]
	jq -e '.status == "creating" and .pid == 1' "$LOG.inside"
	jq -e '.status == "created" and .pid == 1' "$BUNDLE/rootfs/tmp/state"
	# Without an environment of its own it has the process's.
	grep -qx COLOUR=blue "$BUNDLE/rootfs/tmp/env"
}

@test "a hook has its own arguments and environment" {
	config '.hooks.createRuntime = [{path: "/bin/sh", args: ["name", "-c", "echo $0 $A $B >$OUT", "zero"],
		env: ["A=one", ("OUT=" + $out)]}]' --arg out "$LOG"
	B=two nsrun run -b "$BUNDLE" c
	[ "$(cat "$LOG")" = "zero one" ]
}

@test "a failing hook fails create, with its number, status and last words" {
	for kind in prestart createRuntime createContainer; do
		config '.hooks = {($kind): [{path: "/bin/true"}, {path: "/bin/sh", args: ["sh", "-c", "echo first >&2; echo no cheese >&2; exit 3"]}]}' \
			--arg kind $kind
		sane_run nsrun create -b "$BUNDLE" c
		[ "$status" -eq 1 ]
		[[ "$output" == *"error running $kind hook #1: /bin/sh exited with status 3: first no cheese"* ]]
		sane_run nsrun state c
		[[ "$output" == *"does not exist"* ]]
	done
}

@test "a failing startContainer hook keeps the program from running" {
	config '.hooks = {startContainer: [{path: "/bin/false"}]} | .process.args = ["echo", "hello"]'
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -ne 0 ]
	[[ "$output" == *"error running startContainer hook #0: /bin/false exited with status 1"* ]]
	[[ "$output" != *hello* ]]
}

@test "a failing poststart hook stops the container" {
	config '.hooks = {poststart: [{path: "/bin/false"}]} | .process.args = ["sleep", "100"]'
	sane_run nsrun run -b "$BUNDLE" c
	[ "$status" -ne 0 ]
	[[ "$output" == *"error running poststart hook #0: /bin/false exited with status 1"* ]]
}

@test "failing poststop hooks are warnings, and the rest run" {
	config '.hooks = {poststop: [{path: "/bin/false"}, {path: "/no/such/hook"}]}'
	hook poststop last
	nsrun create -b "$BUNDLE" c
	sane_run nsrun delete --force c
	[ "$status" -eq 0 ]
	[[ "$output" == *"error running poststop hook #0: /bin/false exited with status 1"* ]]
	[[ "$output" == *"error running poststop hook #1: "*"/no/such/hook"* ]]
	[ "$(cat "$LOG")" = last ]
}

@test "a hook that hangs is killed after its timeout" {
	config '.hooks = {createRuntime: [{path: "/bin/sleep", args: ["sleep", "100"], timeout: 1}]}'
	SECONDS=0
	sane_run nsrun create -b "$BUNDLE" c
	[ "$status" -eq 1 ]
	[ $SECONDS -lt 10 ]
	[[ "$output" == *"error running createRuntime hook #0: /bin/sleep took longer than its timeout of 1 s and was killed"* ]]
}

@test "a hook that is not there is named" {
	config '.hooks = {prestart: [{path: "/no/such/hook"}]}'
	sane_run nsrun create -b "$BUNDLE" c
	[ "$status" -eq 1 ]
	[[ "$output" == *"error running prestart hook #0: "*"/no/such/hook"*"No such file or directory"* ]]
}

@test "hooks hold no descriptors but their own" {
	config '.hooks = {createRuntime: [{path: "/bin/sh", args: ["sh", "-c", $script]}]}' --arg script "ls /proc/self/fd >$LOG"
	nsrun run -b "$BUNDLE" c 7</dev/null
	# ls itself opens the directory as 3.
	[ "$(tr '\n' ' ' <"$LOG")" = "0 1 2 3 " ]
}
