#!/usr/bin/env bats
# bats file_tags=vm,root
# nsrun pause and resume: by the freezer, on cgroup version 1 and 2.

load helpers

setup() {
	common_setup
	make_bundle
	needs_root "the machine's control groups are its own"
	NAME=nsrun-pause-$BASHPID
	config '.linux.cgroupsPath = $p' --arg p "/$NAME"
	# Counts as long as it runs.
	config_args sh -c 'i=0; while :; do i=$((i + 1)); echo $i >/tmp/count; sleep 0.05; done'
	COUNT=$BUNDLE/rootfs/tmp/count
}

count() {
	cat "$COUNT"
}

counts_on() {
	local before
	before=$(count)
	wait_for 5 eval '[ "$(count)" != "'"$before"'" ]'
}

stands_still() {
	local before
	before=$(count)
	sleep 0.4
	[ "$(count)" = "$before" ]
}

@test "pause stops everything, exec's processes too, and resume lets it go on" {
	nsrun run -d --bundle "$BUNDLE" c
	nsrun exec -d c sh -c 'while :; do echo x >>/tmp/lines; sleep 0.05; done'
	wait_for 10 test -s "$BUNDLE/rootfs/tmp/lines"
	wait_for 10 test -s "$COUNT"
	nsrun pause c
	status_is c paused
	[ "$(nsrun list --format json | jq -r '.[0].status')" = paused ]
	stands_still
	[ "$(wc -l <"$BUNDLE/rootfs/tmp/lines")" = "$(sleep 0.3; wc -l <"$BUNDLE/rootfs/tmp/lines")" ]
	nsrun resume c
	status_is c running
	counts_on
	nsrun delete --force c
}

@test "what cannot be paused or resumed says why" {
	sane_run nsrun pause c
	[ "$status" = 1 ]
	[[ $output == *"container c does not exist"* ]]
	sane_run nsrun resume c
	[ "$status" = 1 ]
	[[ $output == *"does not exist"* ]]
	nsrun run -d --bundle "$BUNDLE" c
	sane_run nsrun resume c
	[ "$status" = 1 ]
	[[ $output == *"container not paused"* ]]
	nsrun pause c
	sane_run nsrun pause c
	[ "$status" = 1 ]
	[[ $output == *"container not running: c is paused already"* ]]
	status_is c paused
	nsrun kill c KILL
	wait_for 10 status_is c stopped
	sane_run nsrun pause c
	[ "$status" = 1 ]
	[[ $output == *"container not running"* ]]
	sane_run nsrun resume c
	[ "$status" = 1 ]
	[[ $output == *"container not paused"* ]]
	nsrun delete c
}

@test "a container without a cgroup is told how to get one" {
	config 'del(.linux.cgroupsPath)'
	nsrun run -d --bundle "$BUNDLE" c
	sane_run nsrun pause c
	[ "$status" = 1 ]
	[[ $output == *"cannot pause container c: it has no cgroup"*"linux.cgroupsPath"* ]]
	status_is c running
	nsrun delete --force c
}

@test "a container with limits but without a freezer is told how to get one" {
	[ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ] || skip "every cgroup of version 2 can be frozen"
	config 'del(.linux.cgroupsPath) | .linux.resources.pids.limit = 50'
	nsrun run -d --bundle "$BUNDLE" c
	sane_run nsrun pause c
	[ "$status" = 1 ]
	[[ $output == *"no cgroup with a freezer"*"linux.cgroupsPath"* ]]
	nsrun delete --force c
}

@test "a created container can be paused, and starts after it was resumed" {
	nsrun create --bundle "$BUNDLE" c
	nsrun pause c
	status_is c paused
	sane_run nsrun start c
	[ "$status" = 1 ]
	[[ $output == *paused* ]]
	nsrun resume c
	status_is c created
	nsrun start c
	wait_for 10 test -s "$COUNT"
	nsrun delete --force c
}

@test "exec refuses a paused container, unless told to ignore it" {
	nsrun run -d --bundle "$BUNDLE" c
	nsrun pause c
	sane_run nsrun exec c true
	[ "$status" = 255 ]
	[[ $output == *"cannot exec in a paused container"*--ignore-paused* ]]
	nsrun exec --ignore-paused c sh -c 'echo done >/tmp/executed' 3>&- &
	local exec=$!
	sleep 0.5
	[ ! -e "$BUNDLE/rootfs/tmp/executed" ]
	nsrun resume c
	wait $exec
	[ "$(cat "$BUNDLE/rootfs/tmp/executed")" = done ]
	nsrun delete --force c
}

@test "kill: KILL ends a paused container, other signals arrive when it is resumed" {
	config_args sh -c 'trap "echo term >/tmp/got; exit 3" TERM; echo 1 >/tmp/count; while :; do sleep 0.1; done'
	nsrun run -d --bundle "$BUNDLE" c
	wait_for 10 test -s "$COUNT"
	nsrun pause c
	nsrun kill c TERM
	sleep 0.3
	status_is c paused
	[ ! -e "$BUNDLE/rootfs/tmp/got" ]
	nsrun resume c
	wait_for 10 status_is c stopped
	[ "$(cat "$BUNDLE/rootfs/tmp/got")" = term ]
	nsrun delete c
	nsrun run -d --bundle "$BUNDLE" c
	nsrun pause c
	nsrun kill c KILL
	wait_for 10 status_is c stopped
	nsrun delete c
}

@test "delete refuses a paused container; with --force it ends it, with and without a pid namespace" {
	local remove
	for remove in none pid; do
		config ".linux.namespaces |= map(select(.type != \"$remove\"))"
		nsrun run -d --bundle "$BUNDLE" c
		nsrun exec -d c sleep 1000
		nsrun pause c
		sane_run nsrun delete c
		[ "$status" = 1 ]
		[[ $output == *paused* ]]
		status_is c paused
		nsrun delete --force c
		[ -z "$(find /sys/fs/cgroup -name "$NAME")" ]
	done
}

@test "a container with services: the supervisor is paused too, and nobody waits for it" {
	cat >"$BUNDLE/services.json" <<-'JSON'
	{"services": [{"name": "counter", "process": {"cwd": "/", "env": ["PATH=/bin"],
	  "args": ["sh", "-c", "i=0; while :; do i=$((i + 1)); echo $i >/tmp/count; sleep 0.05; done"]}}]}
	JSON
	config '.annotations["org.nsrun.services"] = "services.json" | del(.process)'
	nsrun run -d --bundle "$BUNDLE" c
	wait_for 10 test -s "$COUNT"
	nsrun pause c
	status_is c paused
	stands_still
	sane_run timeout 5 "$NSRUN" --root "$ROOT" services c
	[ "$status" = 1 ]
	[[ $output == *"container c is paused"*"nsrun resume c"* ]]
	nsrun resume c
	counts_on
	nsrun services c | grep -q counter
	nsrun delete --force c
}

@test "many processes that fork are caught" {
	config_args sh -c 'while :; do (sleep 0.01) & (sleep 0.01) & wait; done'
	nsrun run -d --bundle "$BUNDLE" c
	local i
	for i in 1 2 3 4 5; do
		nsrun pause c
		status_is c paused
		nsrun resume c
		status_is c running
	done
	nsrun delete --force c
}
