#!/usr/bin/env bats
# Services: order, readiness, restarts, health, reload, stopping, logs, and the commands that talk to the supervisor.

load helpers

# Makes a bundle whose services file is what stands on stdin. Scripts write to $T, which is /tmp inside.
services_bundle() {
	make_bundle
	cat >"$BUNDLE/services.json"
	config '.annotations["org.nsrun.services"] = "services.json" | .process.capabilities |= map_values(. + ["CAP_NET_ADMIN"])'
	T=$BUNDLE/rootfs/tmp
}

up() {
	nsrun run -d --bundle "$BUNDLE" "${1:-g}" 3>&-
}

down() {
	nsrun delete --force "${1:-g}"
}

# A service's property, as `nsrun services` tells it: svc NAME state
svc() {
	nsrun services -f json "${G:-g}" | jq -r --arg n "$1" --arg k "$2" '.[] | select(.name == $n) | .[$k]'
}

svc_is() {
	[ "$(svc "$1" state)" = "$2" ]
}

pid_differs() {
	[ "$(svc "$1" pid)" -ne 0 ] && [ "$(svc "$1" pid)" -ne "$2" ] && svc_is "$1" running
}

log_has() {
	nsrun logs g "$1" | grep -q -- "$2"
}

file_has() {
	grep -q -- "$2" "$1"
}

has_no_process() {
	not pgrep -f "$1" >/dev/null
}

# --- the file ----------------------------------------------------------------------------------------------------

@test "a bad services file is refused with its place, and nothing is made" {
	services_bundle <<<'{"services": [{"name": "a", "process": {"args": ["true"]}, "needs": ["b"]}]}'
	sane_run nsrun run -d --bundle "$BUNDLE" g
	[ "$status" -eq 1 ]
	[[ "$output" == *'services.json: services[0] (a).needs: there is no service \"b\"'* ]]

	echo '{"services": [{"name": "a", "process": {"args": ["true"]}, "stop": {"timeout": "soon"}}]}' >"$BUNDLE/services.json"
	sane_run nsrun run -d --bundle "$BUNDLE" g
	[ "$status" -eq 1 ]
	[[ "$output" == *'services[0] (a).stop.timeout: \"soon\" is no duration; write it like \"200ms\", \"5s\", \"1m30s\"'* ]]

	rm "$BUNDLE/services.json"
	sane_run nsrun run -d --bundle "$BUNDLE" g
	[ "$status" -eq 1 ]
	[[ "$output" == *"cannot read the services file that annotation org.nsrun.services names: cannot open services.json: No such file"* ]]
	[ -z "$(nsrun list -q)" ]
}

@test "commands say when a container has no services, no such service, or is not running" {
	make_bundle
	config_args sleep 1000
	nsrun run -d --bundle "$BUNDLE" plain 3>&-
	sane_run nsrun services plain
	[ "$status" -eq 1 ]
	[[ "$output" == *"container plain has no services: its config.json has no annotation org.nsrun.services"* ]]
	sane_run nsrun logs plain
	[ "$status" -eq 1 ]
	[[ "$output" == *"container plain has no services, so it has no logs"* ]]
	down plain

	services_bundle <<<'{"services": [{"name": "a", "process": {"args": ["sleep", "1000"]}}]}'
	up
	sane_run nsrun service g stop b
	[ "$status" -eq 1 ]
	[[ "$output" == *'there is no service \"b\"'* ]]
	sane_run nsrun service g jump a
	[ "$status" -eq 1 ]
	[[ "$output" == *"cannot jump a service: start, stop, restart and reload are there"* ]]
	sane_run nsrun logs g b
	[ "$status" -eq 1 ]
	[[ "$output" == *'container g has no log of a service \"b\"'* ]]
	nsrun kill g TERM
	wait_for 5 status_is g stopped
	sane_run nsrun services g
	[ "$status" -eq 1 ]
	[[ "$output" == *"container g is not running"* ]]
	nsrun logs g a | grep -q 'a nsrun stopped'
	nsrun delete g
}

# --- order -------------------------------------------------------------------------------------------------------

# A service that tells when it starts and when it is stopped.
teller() {
	printf '"process": {"args": ["sh", "-c", "trap \\"echo stop %s >>/tmp/order; exit 0\\" TERM; echo start %s >>/tmp/order; %s while :; do sleep 1000 & wait; done"]}' \
		"$1" "$1" "${2:-}"
}

@test "services start when what they need is ready and stop in reverse, oneshots undone last" {
	services_bundle <<-JSON
	{"services": [
	  {"name": "top", $(teller top), "needs": ["mid"]},
	  {"name": "mid", $(teller mid "sleep 0.2; echo >&3;"), "needs": ["net", "fw"], "ready": {"fd": 3}},
	  {"name": "net", "oneshot": true, "process": {"args": ["sh", "-c", "sleep 0.1; echo do net >>/tmp/order"]},
	   "undo": {"args": ["sh", "-c", "echo undo net >>/tmp/order"]}, "needs": ["fw"]},
	  {"name": "fw", "oneshot": true, "process": {"args": ["sh", "-c", "echo do fw >>/tmp/order"]},
	   "undo": {"args": ["sh", "-c", "echo undo fw >>/tmp/order"]}}
	]}
	JSON
	up
	wait_for 5 svc_is top running
	[ "$(svc net state)" = done ]
	[ "$(svc fw exit)" = "exited with status 0" ]
	wait_for 5 file_has "$T/order" "start top"
	nsrun kill g TERM
	wait_for 5 status_is g stopped
	cat "$T/order"
	[ "$(tr '\n' ';' <"$T/order")" = "do fw;do net;start mid;start top;stop top;stop mid;undo net;undo fw;" ]
	nsrun delete g
}

@test "services that do not need each other start at the same time" {
	services_bundle <<-'JSON'
	{"services": [
	  {"name": "a", "oneshot": true, "process": {"args": ["sh", "-c", "touch /tmp/a; until [ -e /tmp/b ]; do sleep 0.02; done"]},
	   "ready": {"timeout": "5s"}},
	  {"name": "b", "oneshot": true, "process": {"args": ["sh", "-c", "touch /tmp/b; until [ -e /tmp/a ]; do sleep 0.02; done"]},
	   "ready": {"timeout": "5s"}}
	]}
	JSON
	up
	wait_for 5 svc_is a done
	wait_for 5 svc_is b done
	down
}

@test "wants wait for the other to settle, but not for its success; needs do" {
	services_bundle <<-'JSON'
	{"services": [
	  {"name": "broken", "oneshot": true, "process": {"args": ["sh", "-c", "sleep 0.2; echo broken >>/tmp/order; exit 3"]}},
	  {"name": "wanting", "process": {"args": ["sh", "-c", "echo wanting >>/tmp/order; exec sleep 1000"]}, "wants": ["broken"]},
	  {"name": "needing", "process": {"args": ["sleep", "1000"]}, "needs": ["broken"]}
	]}
	JSON
	up
	wait_for 5 svc_is wanting running
	wait_for 5 file_has "$T/order" wanting
	[ "$(head -1 "$T/order")" = broken ]
	[ "$(svc broken state)" = failed ]
	[ "$(svc broken exit)" = "exited with status 3" ]
	[ "$(svc needing state)" = waiting ]
	sane_run nsrun service g start needing
	[ "$status" -eq 1 ]
	[[ "$output" == *"needing waits for a service that is down"* ]]
	down
}

# --- readiness ---------------------------------------------------------------------------------------------------

ready_after() {
	nsrun logs g "$1" | sed -n 's/.* nsrun ready after \([0-9]*\) ms/\1/p' | tail -1
}

@test "every kind of readiness waits for what it says" {
	services_bundle <<-'JSON'
	{"services": [
	  {"name": "fd", "process": {"args": ["sh", "-c", "sleep 0.3; echo ready >&5; exec sleep 1000"]}, "ready": {"fd": 5}},
	  {"name": "tcp", "process": {"args": ["sh", "-c", "sleep 0.3; exec httpd -f -p 127.0.0.1:8080"]}, "ready": {"tcp": "127.0.0.1:8080"}},
	  {"name": "tcp6", "process": {"args": ["sh", "-c", "sleep 0.3; exec httpd -f -p [::1]:8081"]}, "ready": {"tcp": "[::1]:8081"}},
	  {"name": "unix", "process": {"args": ["sh", "-c", "sleep 0.3; exec syslogd -n -O /tmp/messages"]}, "ready": {"unix": "/dev/log"}},
	  {"name": "exec", "process": {"args": ["sh", "-c", "rm -f /tmp/e; sleep 0.3; touch /tmp/e; exec sleep 1000"]},
	   "ready": {"exec": {"args": ["test", "-e", "/tmp/e"]}, "interval": "20ms"}},
	  {"name": "file", "process": {"args": ["sh", "-c", "sleep 0.3; echo 1 >/tmp/old; exec sleep 1000"]}, "ready": {"file": "/tmp/old"}},
	  {"name": "device", "process": {"args": ["sh", "-c", "sleep 0.1; ip link add br7 type bridge; sleep 0.2; ip link set br7 up; exec sleep 1000"]},
	   "ready": {"device": "br7"}},
	  {"name": "all", "process": {"args": ["sleep", "1000"]}, "needs": ["fd", "tcp", "tcp6", "unix", "exec", "file", "device"]}
	]}
	JSON
	echo 0 >"$T/old" # a file of an earlier life is not readiness
	sleep 0.05
	up
	wait_for 10 svc_is all running
	for kind in fd tcp tcp6 unix exec file device; do
		echo "$kind: $(ready_after $kind)"
		[ "$(ready_after $kind)" -ge 280 ]
		[ "$(ready_after $kind)" -lt 10000 ]
	done
	down
}

@test "not ready in time, or a notification descriptor closed without a word, is a failure" {
	services_bundle <<-'JSON'
	{"services": [
	  {"name": "slow", "process": {"args": ["sleep", "1000"]}, "ready": {"file": "/tmp/never", "timeout": "100ms"}, "restart": {"policy": "no"}},
	  {"name": "mute", "process": {"args": ["sh", "-c", "exec 4>&-; exec sleep 1000"]}, "ready": {"fd": 4}, "restart": {"policy": "no"}},
	  {"name": "early", "process": {"args": ["true"]}, "ready": {"file": "/tmp/never"}, "restart": {"policy": "on-failure", "limit": 1, "min": "10ms"}},
	  {"name": "shot", "oneshot": true, "process": {"args": ["sleep", "1000"]}, "ready": {"timeout": "100ms"}}
	]}
	JSON
	up
	for name in slow mute early shot; do
		wait_for 5 svc_is $name failed
	done
	[ "$(svc slow exit)" = "was killed by signal 15 (TERM)" ]
	log_has slow "nsrun was not ready within 100 ms"
	log_has mute "nsrun closed its notification descriptor 4 without writing a newline"
	log_has early "nsrun given up: 1 restarts within 60000 ms did not help"
	log_has shot "nsrun was not done within 100 ms"
	down
}

# --- restarts ----------------------------------------------------------------------------------------------------

delays() {
	nsrun logs g "$1" | sed -n 's/.* nsrun starts again in \([0-9]*\) ms/\1/p'
}

four_delays() {
	[ "$(delays "$1" | wc -l)" -ge 4 ]
}

@test "the back-off doubles from min to max, with at most an eighth of jitter" {
	services_bundle <<-'JSON'
	{"services": [{"name": "a", "process": {"args": ["sh", "-c", "exit 1"]}, "restart": {"min": "40ms", "max": "160ms"}}]}
	JSON
	up
	wait_for 5 four_delays a
	mapfile -t d < <(delays a)
	echo "${d[*]}"
	((d[0] >= 40 && d[0] <= 45 && d[1] >= 80 && d[1] <= 90 && d[2] >= 160 && d[2] <= 180 && d[3] >= 160 && d[3] <= 180))
	[ "$(svc a restarts)" -ge 3 ]
	down
}

@test "the back-off starts anew after a steady time" {
	services_bundle <<-'JSON'
	{"services": [{"name": "a", "process": {"args": ["sh", "-c", "[ $(wc -l </tmp/runs) -ge 3 ] && sleep 0.3; echo >>/tmp/runs; exit 1"]},
	  "restart": {"min": "20ms", "resetAfter": "100ms"}}]}
	JSON
	: >"$T/runs"
	up
	wait_for 5 four_delays a
	mapfile -t d < <(delays a)
	echo "${d[*]}"
	((d[2] >= 80 && d[3] <= 23))
	down
}

@test "policies: on-failure leaves a good end alone, no leaves any, always none" {
	services_bundle <<-'JSON'
	{"services": [
	  {"name": "good", "process": {"args": ["sh", "-c", "sleep 0.1"]}, "restart": {"policy": "on-failure"}},
	  {"name": "bad", "process": {"args": ["sh", "-c", "sleep 0.1; exit 7"]}, "restart": {"policy": "on-failure", "min": "10ms"}},
	  {"name": "never", "process": {"args": ["sh", "-c", "sleep 0.1; exit 7"]}, "restart": {"policy": "no"}},
	  {"name": "always", "process": {"args": ["sh", "-c", "sleep 0.1"]}, "restart": {"min": "10ms"}}
	]}
	JSON
	up
	wait_for 5 svc_is good exited
	wait_for 5 svc_is never failed
	wait_for 5 log_has bad "starts again in"
	wait_for 5 log_has always "starts again in"
	[ "$(svc good restarts)" = 0 ]
	[ "$(svc never exit)" = "exited with status 7" ]
	down
}

@test "a service that is given up leaves the container alone, and can be started again" {
	services_bundle <<-'JSON'
	{"services": [
	  {"name": "a", "process": {"args": ["sh", "-c", "[ -e /tmp/fixed ] || exit 1; echo >&3; exec sleep 1000"]},
	   "ready": {"fd": 3}, "restart": {"min": "5ms", "limit": 3, "window": "10s"}},
	  {"name": "b", "process": {"args": ["sleep", "1000"]}}
	]}
	JSON
	up
	wait_for 5 svc_is a failed
	[ "$(svc a restarts)" = 3 ]
	[ "$(svc b state)" = running ]
	sane_run nsrun service g start a
	[ "$status" -eq 1 ]
	[[ "$output" == *"service a did not come up: exited with status 1"* ]]
	touch "$T/fixed"
	nsrun service g start a
	[ "$(svc a state)" = running ]
	down
}

@test "onGiveUp stop-container stops all in order, and run ends with status 1" {
	services_bundle <<-JSON
	{"services": [
	  {"name": "a", "process": {"args": ["sh", "-c", "sleep 0.2; exit 1"]}, "restart": {"min": "5ms", "limit": 1}, "onGiveUp": "stop-container"},
	  {"name": "b", $(teller b)}
	]}
	JSON
	sane_run nsrun run --bundle "$BUNDLE" g
	[ "$status" -eq 1 ]
	[[ "$output" == *"service a was given up, so the container stops"* ]]
	file_has "$T/order" "stop b"
}

@test "a program that cannot be executed is told by its name" {
	services_bundle <<<'{"services": [{"name": "a", "process": {"args": ["nosuch"]}, "restart": {"policy": "no"}}]}'
	up
	wait_for 5 svc_is a failed
	[ "$(svc a exit)" = 'exec nosuch: executable file not found in $PATH' ]
	down
}

# --- who depends on whom -----------------------------------------------------------------------------------------

@test "when a service is made anew, what needs it is restarted, what wants it is not" {
	services_bundle <<-'JSON'
	{"services": [
	  {"name": "base", "process": {"args": ["sh", "-c", "sleep 0.1; echo >&3; exec sleep 1000"]}, "ready": {"fd": 3}, "restart": {"min": "10ms"}},
	  {"name": "needing", "process": {"args": ["sleep", "1000"]}, "needs": ["base"]},
	  {"name": "second", "process": {"args": ["sleep", "1000"]}, "needs": ["needing"]},
	  {"name": "wanting", "process": {"args": ["sleep", "1000"]}, "wants": ["base"]},
	  {"name": "setup", "oneshot": true, "process": {"args": ["sh", "-c", "echo do >>/tmp/setup"]},
	   "undo": {"args": ["sh", "-c", "echo undo >>/tmp/setup"]}, "needs": ["base"]}
	]}
	JSON
	up
	wait_for 5 svc_is second running
	wait_for 5 svc_is wanting running
	wait_for 5 svc_is setup done
	base=$(svc base pid) needing=$(svc needing pid) second=$(svc second pid) wanting=$(svc wanting pid)
	nsrun exec g kill -9 "$base"
	wait_for 5 pid_differs base "$base"
	wait_for 5 pid_differs needing "$needing"
	wait_for 5 pid_differs second "$second"
	[ "$(svc wanting pid)" = "$wanting" ]
	[ "$(svc base exit)" = "was killed by signal 9 (KILL)" ]
	setup_again() { [ "$(tr '\n' ';' <"$T/setup")" = "do;undo;do;" ]; }
	wait_for 5 setup_again

	needing=$(svc needing pid)
	nsrun service g restart base
	wait_for 5 pid_differs needing "$needing"
	down
}

@test "stopping a service stops what needs it first; starting it brings them back" {
	services_bundle <<-JSON
	{"services": [
	  {"name": "base", $(teller base)},
	  {"name": "leaf", $(teller leaf), "needs": ["base"]}
	]}
	JSON
	up
	wait_for 5 file_has "$T/order" "start leaf"
	nsrun service g stop base
	[ "$(svc base state)" = stopped ]
	[ "$(svc leaf state)" = stopped ]
	[ "$(tail -2 "$T/order" | tr '\n' ';')" = "stop leaf;stop base;" ]
	nsrun service g start leaf
	[ "$(svc base state)" = running ]
	[ "$(svc leaf state)" = running ]
	nsrun service g stop base
	nsrun service g start base
	wait_for 5 svc_is leaf running
	down
}

# --- health ------------------------------------------------------------------------------------------------------

@test "an unhealthy service is restarted; action none only tells" {
	services_bundle <<-'JSON'
	{"services": [
	  {"name": "a", "process": {"args": ["sh", "-c", "touch /tmp/a; exec sleep 1000"]}, "restart": {"min": "10ms"},
	   "health": {"exec": {"args": ["test", "-e", "/tmp/a"]}, "interval": "50ms", "retries": 2}},
	  {"name": "b", "process": {"args": ["sleep", "1000"]},
	   "health": {"exec": {"args": ["sh", "-c", "echo sick; exit 9"]}, "interval": "50ms", "retries": 2, "action": "none"}},
	  {"name": "c", "process": {"args": ["sleep", "1000"]}, "restart": {"policy": "no"},
	   "health": {"exec": {"args": ["sleep", "4321"]}, "interval": "50ms", "timeout": "100ms", "retries": 1}}
	]}
	JSON
	up
	is_healthy() { [ "$(svc "$1" health)" = "$2" ]; }
	wait_for 5 is_healthy a healthy
	pid=$(svc a pid)
	rm "$T/a"
	wait_for 5 pid_differs a "$pid"
	[ -e "$T/a" ]
	log_has a "health check 1 of 2 failed: exited with status 1"
	log_has a "is unhealthy"
	wait_for 5 is_healthy b unhealthy
	[ "$(svc b state)" = running ]
	[ "$(svc b restarts)" = 0 ]
	log_has b "b out sick"
	wait_for 5 svc_is c failed
	log_has c "is unhealthy: no answer within 100 ms"
	down
	has_no_process "sleep 4321"
}

@test "health action cascade stops what needs the service before it is made anew" {
	services_bundle <<-JSON
	{"services": [
	  {"name": "base", $(teller base "touch /tmp/h;"),
	   "health": {"exec": {"args": ["test", "-e", "/tmp/h"]}, "interval": "50ms", "retries": 1, "action": "cascade"}},
	  {"name": "leaf", $(teller leaf), "needs": ["base"]}
	]}
	JSON
	up
	wait_for 5 file_has "$T/order" "start leaf"
	rm "$T/h"
	again() { [ "$(grep -c 'start leaf' "$T/order")" = 2 ]; }
	wait_for 5 again
	cat "$T/order"
	[ "$(tr '\n' ';' <"$T/order")" = "start base;start leaf;stop leaf;stop base;start base;start leaf;" ]
	down
}

# --- reload ------------------------------------------------------------------------------------------------------

@test "reload sends the signal or runs the program, and reports its failure; HUP, and no name, reload all" {
	services_bundle <<-'JSON'
	{"services": [
	  {"name": "sig", "process": {"args": ["sh", "-c", "trap 'echo again >>/tmp/sig' USR1; while :; do sleep 1000 & wait; done"]}, "reload": {"signal": "USR1"}},
	  {"name": "exe", "process": {"args": ["sleep", "1000"]}, "reload": {"exec": {"args": ["sh", "-c", "sleep 0.2; echo again >>/tmp/exe"]}}},
	  {"name": "bad", "process": {"args": ["sleep", "1000"]}, "reload": {"exec": {"args": ["sh", "-c", "exit 4"]}}},
	  {"name": "none", "process": {"args": ["sleep", "1000"]}}
	]}
	JSON
	up
	for name in sig exe bad none; do wait_for 5 svc_is $name running; done
	sleep 0.1 # for the trap
	nsrun service g reload sig
	wait_for 5 file_has "$T/sig" again
	nsrun service g reload exe
	file_has "$T/exe" again
	sane_run nsrun service g reload bad
	[ "$status" -eq 1 ]
	[[ "$output" == *"service bad: reload failed: exited with status 4"* ]]
	sane_run nsrun service g reload none
	[ "$status" -eq 1 ]
	[[ "$output" == *"service none cannot be reloaded"* ]]
	nsrun kill g HUP
	twice() { [ "$(wc -l <"$T/sig")" = 2 ] && [ "$(wc -l <"$T/exe")" = 2 ]; }
	wait_for 5 twice
	sane_run nsrun service g reload
	[ "$status" -eq 1 ]
	[[ "$output" == *"service bad: reload failed: exited with status 4"* ]]
	[ "$(wc -l <"$T/exe")" = 3 ]
	[ "$(svc sig restarts)" = 0 ]
	sane_run nsrun service g restart
	[ "$status" -eq 1 ]
	[[ "$output" == *"which service is to restart? Only reload takes all of them"* ]]
	down
}

# --- nothing escapes ---------------------------------------------------------------------------------------------

@test "a daemonised grandchild dies with its service, without a pid namespace as well" {
	services_bundle <<-'JSON'
	{"services": [
	  {"name": "a", "process": {"args": ["sh", "-c", "setsid sh -c 'setsid sleep 98765 & sleep 0.05' & sleep 0.2; exec sleep 98766"]}},
	  {"name": "crash", "process": {"args": ["sh", "-c", "setsid sleep 98767 & sleep 0.2; exit 1"]}, "restart": {"policy": "no"}}
	]}
	JSON
	config '.linux.namespaces |= map(select(.type != "pid"))'
	up
	wait_for 5 pgrep -f "sleep 98765"
	wait_for 5 pgrep -f "sleep 98766"
	wait_for 5 svc_is crash failed
	has_no_process "sleep 98767"
	nsrun service g stop a
	has_no_process "sleep 9876"
	nsrun kill g TERM
	wait_for 5 status_is g stopped
	nsrun delete g
}

@test "killing init, or a keeper, leaves no process of a service" {
	services_bundle <<-'JSON'
	{"services": [{"name": "a", "process": {"args": ["sh", "-c", "setsid sleep 87654 & exec sleep 87655"]}, "restart": {"min": "10ms"}}]}
	JSON
	config '.linux.namespaces |= map(select(.type != "pid"))'
	up
	wait_for 5 pgrep -f "sleep 87654"
	wait_for 5 pgrep -f "sleep 87655"
	first=$(svc a pid)
	kill -9 "$(ps -o ppid= -p "$first")"
	wait_for 5 pid_differs a "$first"
	log_has a "its keeper was killed by signal 9 (KILL)"
	wait_for 5 eval '[ "$(pgrep -fc "sleep 87655")" = 1 ]'
	kill -9 "$(nsrun state g | jq .pid)"
	wait_for 5 has_no_process "sleep 8765"
	down
}

@test "a service that ignores its stop signal is killed after its timeout; asking twice shortens it" {
	services_bundle <<-'JSON'
	{"services": [
	  {"name": "deaf", "process": {"args": ["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"]}, "stop": {"timeout": "300ms"}},
	  {"name": "int", "process": {"args": ["sh", "-c", "trap 'echo int >/tmp/int; exit' INT; trap '' TERM; while :; do sleep 0.05; done"]}, "stop": {"signal": "INT"}},
	  {"name": "stubborn", "process": {"args": ["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"]}, "stop": {"timeout": "1h"}}
	]}
	JSON
	up
	wait_for 5 svc_is stubborn running
	sleep 0.1 # for the traps
	nsrun service g stop deaf
	[ "$(svc deaf exit)" = "was killed by signal 9 (KILL)" ]
	log_has deaf "did not stop in time and is killed"
	nsrun service g stop int
	file_has "$T/int" int
	nsrun kill g TERM
	sleep 0.3
	status_is g running
	nsrun kill g TERM
	wait_for 10 status_is g stopped
	nsrun logs g nsrun | grep -q "asked to stop again: hurrying"
	nsrun delete g
}

# --- logs --------------------------------------------------------------------------------------------------------

@test "logs are merged by time, cut, chosen by name, and readable when stopped" {
	services_bundle <<-'JSON'
	{"services": [
	  {"name": "a", "oneshot": true, "process": {"args": ["sh", "-c", "echo one; echo two >&2; printf unfinished"]}},
	  {"name": "b", "needs": ["a"], "process": {"args": ["sh", "-c", "echo three; exec sleep 1000"]}}
	]}
	JSON
	up
	wait_for 5 log_has b "b out three"
	nsrun logs g a >"$BATS_TEST_TMPDIR/a"
	cat "$BATS_TEST_TMPDIR/a"
	grep -Eq '^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z a out one$' "$BATS_TEST_TMPDIR/a"
	grep -q ' a err two$' "$BATS_TEST_TMPDIR/a"
	grep -q ' a out unfinished$' "$BATS_TEST_TMPDIR/a"
	not grep -q ' b out' "$BATS_TEST_TMPDIR/a"
	nsrun kill g TERM
	wait_for 5 status_is g stopped
	nsrun logs g >"$BATS_TEST_TMPDIR/all"
	LC_ALL=C sort -sc -k1,1 "$BATS_TEST_TMPDIR/all"
	grep -q ' a out one$' "$BATS_TEST_TMPDIR/all"
	grep -q ' b out three$' "$BATS_TEST_TMPDIR/all"
	[ "$(nsrun logs -n 2 g | wc -l)" = 2 ]
	[ "$(nsrun logs -n 1 g)" = "$(tail -1 "$BATS_TEST_TMPDIR/all")" ]
	nsrun delete g
}

@test "logs -f shows new lines, through a rotation, and ends with the container" {
	services_bundle <<-'JSON'
	{"services": [{"name": "a", "process": {"args": ["sh", "-c", "n=0; while :; do n=$((n+1)); echo line $n; [ $n = 5 ] && yes 0123456789012345678901234567890123456789 | head -n 15000; sleep 0.1; done"]}}]}
	JSON
	up
	nsrun logs -f g a >"$BATS_TEST_TMPDIR/out" 3>&- &
	follower=$!
	wait_for 5 file_has "$BATS_TEST_TMPDIR/out" " a out line 3"
	wait_for 5 file_has "$BATS_TEST_TMPDIR/out" " a out line 7"
	[ -e "$ROOT/g/log/a.log.1" ]
	nsrun kill g TERM
	wait_for 5 eval "! kill -0 $follower 2>/dev/null"
	grep -o 'line [0-9]*$' "$BATS_TEST_TMPDIR/out" | head -7 | tr '\n' ';' >"$BATS_TEST_TMPDIR/lines"
	cat "$BATS_TEST_TMPDIR/lines"
	[ "$(cat "$BATS_TEST_TMPDIR/lines")" = "line 1;line 2;line 3;line 4;line 5;line 6;line 7;" ]
	[ "$(grep -c ' a out 0123456789012345678901234567890123456789$' "$BATS_TEST_TMPDIR/out")" = 15000 ]
	grep -q ' a nsrun stopped$' "$BATS_TEST_TMPDIR/out"
	wait_for 5 status_is g stopped
	nsrun delete g
}

@test "a service that floods its stdout is never held up, nor holds up others, and its files stay small" {
	services_bundle <<-'JSON'
	{"services": [
	  {"name": "flood", "process": {"args": ["sh", "-c", "yes flooding | head -n 400000; echo done >/tmp/flooded; exec sleep 1000"]}},
	  {"name": "quiet", "process": {"args": ["sh", "-c", "echo hello; exec sleep 1000"]}}
	]}
	JSON
	up
	wait_for 5 log_has quiet "quiet out hello"
	wait_for 20 test -e "$T/flooded"
	nsrun service g restart quiet
	[ "$(stat -c %s "$ROOT/g/log/flood.log")" -le 1048576 ]
	[ "$(stat -c %s "$ROOT/g/log/flood.log.1")" -le 1048576 ]
	[ "$(ls "$ROOT/g/log" | grep -c flood)" = 2 ]
	down
}

@test "a line longer than 8192 bytes becomes several" {
	services_bundle <<-'JSON'
	{"services": [{"name": "a", "oneshot": true, "process": {"args": ["sh", "-c", "head -c 20000 /dev/zero | tr '\\0' x; echo"]}}]}
	JSON
	up
	wait_for 5 svc_is a done
	nsrun logs g a | grep ' a out ' | awk '{print length($4)}' | tr '\n' ' ' >"$BATS_TEST_TMPDIR/lengths"
	cat "$BATS_TEST_TMPDIR/lengths"
	[ "$(cat "$BATS_TEST_TMPDIR/lengths")" = "8192 8192 3616 " ]
	down
}

@test "in the foreground lines go to stderr, and SIGINT stops in order with status 0" {
	services_bundle <<-JSON
	{"services": [
	  {"name": "base", $(teller base "echo hello;")},
	  {"name": "leaf", $(teller leaf), "needs": ["base"]}
	]}
	JSON
	"$NSRUN" --root "$ROOT" run --bundle "$BUNDLE" g 2>"$BATS_TEST_TMPDIR/err" 3>&- &
	pid=$!
	wait_for 5 file_has "$T/order" "start leaf"
	kill -INT $pid
	status=0
	wait $pid || status=$?
	cat "$BATS_TEST_TMPDIR/err"
	[ "$status" = 0 ]
	grep -q ' base out hello$' "$BATS_TEST_TMPDIR/err"
	[ "$(tail -2 "$T/order" | tr '\n' ';')" = "stop leaf;stop base;" ]
	[ -z "$(nsrun list -q)" ]
}

@test "a foreground reader that does not read holds up nobody" {
	services_bundle <<-'JSON'
	{"services": [{"name": "flood", "process": {"args": ["sh", "-c", "yes flooding | head -n 100000; echo done >/tmp/flooded; exec sleep 1000"]}}]}
	JSON
	mkfifo "$BATS_TEST_TMPDIR/fifo"
	exec 7<>"$BATS_TEST_TMPDIR/fifo"
	"$NSRUN" --root "$ROOT" run --bundle "$BUNDLE" g 2>"$BATS_TEST_TMPDIR/fifo" 3>&- 7>&- &
	pid=$!
	wait_for 10 test -e "$T/flooded"
	[ "$(svc flood state)" = running ]
	kill -TERM $pid
	status=0
	wait $pid || status=$?
	[ "$status" = 0 ]
	exec 7>&-
}

@test "run -d keeps nothing of the caller open" {
	services_bundle <<<'{"services": [{"name": "a", "process": {"args": ["sleep", "1000"]}}]}'
	sane_run timeout 5 bash -c 'echo "got: $("$0" --root "$1" run -d --bundle "$2" g 2>&1)"' "$NSRUN" "$ROOT" "$BUNDLE"
	[ "$status" -eq 0 ]
	[ "$output" = "got: " ]
	down
}

# --- processes ---------------------------------------------------------------------------------------------------

@test "a service has its own user, limits and directory, and config.json's where it says nothing" {
	services_bundle <<-'JSON'
	{"services": [
	  {"name": "own", "oneshot": true, "process": {"args": ["sh", "-c", "id -u; pwd; ulimit -n; echo $A; grep NoNewPrivs /proc/self/status; echo open >/proc/self/fd/1"],
	   "user": {"uid": 33, "gid": 34}, "cwd": "/tmp", "env": ["PATH=/bin", "A=b"], "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 77}]}},
	  {"name": "same", "oneshot": true, "process": {"args": ["sh", "-c", "id -u; pwd; echo $TERM; ls /proc/self/fd | tr '\\n' ' '; tty"]}, "restart": {"policy": "no"}}
	]}
	JSON
	up
	wait_for 5 svc_is own done
	out() { nsrun logs g "$1" | sed -n "s/.* $1 out //p" | tr '\n' ';'; }
	out own
	[ "$(out own)" = $'33;/tmp;77;b;NoNewPrivs:\t1;open;' ]
	wait_for 5 svc_is same failed # tty's status: there is none
	out same
	[ "$(out same)" = "0;/;xterm;0 1 2 3 not a tty;" ]
	down
}

@test "private directories are each service's own, survive its restart, and readiness looks into them" {
	services_bundle <<-'JSON'
	{"services": [
	  {"name": "a", "process": {"args": ["sh", "-c", "sleep 0.1; ls /run /var | tr '\\n' ' '; echo; touch /run/from-a; exec sleep 1000"]},
	   "privateDirs": ["/run", "/var"], "ready": {"file": "/run/from-a"}, "health": {"exec": {"args": ["test", "-e", "/run/from-a"]}, "interval": "50ms", "retries": 1}},
	  {"name": "b", "process": {"args": ["sh", "-c", "stat -c %a /run; touch /run/from-b; exec sleep 1000"]}, "privateDirs": ["/run"], "needs": ["a"]},
	  {"name": "lost", "process": {"args": ["true"]}, "privateDirs": ["/no/such"], "restart": {"policy": "no"}}
	]}
	JSON
	chmod 750 "$BUNDLE/rootfs/run"
	up
	wait_for 5 svc_is b running
	log_has b "b out 750"
	nsrun service g restart a
	[ "$(nsrun logs g a | grep -c 'a out from-a')" = 0 ] # /run: and /var: headings are on lines of their own
	nsrun logs g a | grep 'a out' | tail -1 | grep -q from-a
	is_healthy() { [ "$(svc a health)" = healthy ]; }
	wait_for 5 is_healthy
	[ "$(nsrun exec g ls /run)" = "" ]
	[ "$(ls "$BUNDLE/rootfs/run")" = "" ]
	wait_for 5 svc_is lost failed
	[ "$(svc lost exit)" = "cannot give it a private /no/such: there is no such directory in the container; make it in the root file system" ]
	down
}

@test "a service can live in the host's network namespace" {
	not_as_user "links are made with rights on the host"
	ip link add host7 type bridge
	services_bundle <<-'JSON'
	{"services": [
	  {"name": "host", "oneshot": true, "process": {"args": ["ip", "link", "show", "host7"]}, "netns": "host"},
	  {"name": "own", "oneshot": true, "process": {"args": ["ip", "link", "show", "host7"]}},
	  {"name": "web", "process": {"args": ["httpd", "-f", "-p", "127.0.0.1:8099"]}, "netns": "host", "ready": {"tcp": "127.0.0.1:8099"}}
	]}
	JSON
	up
	wait_for 5 svc_is host done
	wait_for 5 svc_is own failed
	wait_for 5 svc_is web running
	log_has host "host out .*host7"
	down
	ip link del host7
}

@test "the same bundle runs twice side by side" {
	services_bundle <<-'JSON'
	{"services": [{"name": "web", "process": {"args": ["sh", "-c", "echo $$ >/run/web.pid; exec httpd -f -p 127.0.0.1:80"]}, "ready": {"tcp": "127.0.0.1:80"}}]}
	JSON
	config '.mounts += [{"destination": "/run", "type": "tmpfs", "source": "tmpfs"}]'
	up g
	up h
	G=g wait_for 5 svc_is web running
	G=h wait_for 5 svc_is web running
	nsrun service g stop web
	G=h
	[ "$(svc web state)" = running ]
	[ "$(nsrun exec h cat /run/web.pid)" = "$(svc web pid)" ]
	down g
	down h
}

@test "with the host's root and no mount or pid namespace the same holds" {
	services_bundle <<-'JSON'
	{"services": [
	  {"name": "a", "process": {"args": ["sh", "-c", "setsid sleep 76543 & echo >&3; exec sleep 76544"]}, "ready": {"fd": 3}},
	  {"name": "b", "process": {"args": ["sh", "-c", "touch /tmp/private; exec sleep 76545"]}, "privateDirs": ["/tmp"], "needs": ["a"]}
	]}
	JSON
	config '.root.path = "/" | .mounts = [] | .linux.namespaces |= map(select(.type == "network" or .type == "uts"))'
	config '.process.env = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]'
	up
	wait_for 5 svc_is b running
	wait_for 5 pgrep -f "sleep 76545"
	[ ! -e /tmp/private ]
	nsrun service g stop b
	nsrun kill g TERM
	wait_for 5 status_is g stopped
	has_no_process "sleep 7654"
	nsrun delete g
}

@test "the container's seccomp filter holds for every service" {
	services_bundle <<-'JSON'
	{"services": [
	  {"name": "a", "oneshot": true, "process": {"args": ["sh", "-c", "mkdir /tmp/made || echo refused"]}}
	]}
	JSON
	config '.linux.seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}'
	up
	wait_for 5 svc_is a done
	log_has a "a out refused"
	[ ! -e "$T/made" ]
	down
	config '.linux.seccomp.syscalls[0] |= (.action = "SCMP_ACT_NOTIFY" | del(.errnoRet)) | .linux.seccomp.listenerPath = "/run/none"'
	sane_run nsrun run -d --bundle "$BUNDLE" g
	[ "$status" -eq 1 ]
	[[ "$output" == *"SCMP_ACT_NOTIFY cannot be used together with services"* ]]
}

@test "create makes no service; start does" {
	services_bundle <<<'{"services": [{"name": "a", "process": {"args": ["sh", "-c", "touch /tmp/ran; exec sleep 1000"]}}]}'
	nsrun create --bundle "$BUNDLE" g 3>&-
	status_is g created
	sleep 0.1
	[ ! -e "$T/ran" ]
	nsrun start g
	wait_for 5 svc_is a running
	wait_for 5 test -e "$T/ran"
	down
}

@test "services run in a user namespace" {
	services_bundle <<-'JSON'
	{"services": [
	  {"name": "a", "process": {"args": ["sh", "-c", "id -u; cat /proc/self/uid_map; setsid sleep 65432 & echo >&3; exec sleep 1000"]},
	   "ready": {"fd": 3}, "privateDirs": ["/run"]}
	]}
	JSON
	if [ "$MODE" = user ]; then
		HOST_ID=$UID # its containers have one anyway
	else
		user_namespace
		chown -R "$HOST_ID:$HOST_ID" "$BUNDLE/rootfs"
	fi
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_TEST_TMPDIR" "$BATS_TEST_TMPDIR/.." "$BUNDLE"
	up
	wait_for 5 svc_is a running
	log_has a "a out 0"
	log_has a "$HOST_ID"
	nsrun service g stop a
	has_no_process "sleep 65432"
	down
}
