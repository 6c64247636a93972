#!/usr/bin/env bats
# config.json: what is accepted, what is refused and with which words; `nsrun spec` and `nsrun features`.
# tests/config/good/*.json must be accepted; each tests/config/bad/X.json must be refused with the line in X.error.

load helpers

@test "good configurations are accepted" {
	local file failed=0
	for file in "$TOP"/tests/config/good/*.json; do
		run nsrun spec --check "$file"
		[ "$status" -eq 0 ] && [ -z "$output" ] && continue
		echo "$file: $output"
		failed=1
	done
	[ $failed -eq 0 ]
}

@test "bad configurations are refused, with the whole message" {
	local file failed=0 n=0
	for file in "$TOP"/tests/config/bad/*.json; do
		NO_COLOR=1 run nsrun --log-format json spec --check "$file"
		if [ "$status" -eq 1 ] && [ "$(jq -r 'select(.level == "error").msg' <<<"${lines[0]}")" = "$(cat "${file%.json}.error")" ]; then
			n=$((n + 1))
			continue
		fi
		echo "$file: exit $status: $output"
		echo "  expected: $(cat "${file%.json}.error")"
		failed=1
	done
	[ $failed -eq 0 ]
	[ $n -gt 120 ]
}

@test "a refused configuration makes nothing" {
	make_bundle
	config '.process.selinuxLabel = "system_u:system_r:container_t:s0"'
	sane_run nsrun create --bundle "$BUNDLE" c
	[ "$status" -eq 1 ]
	[[ "$output" == *"process.selinuxLabel: not supported: "* ]]
	sane_run nsrun state c
	[ "$status" -eq 1 ]
	[[ "$output" == *"does not exist"* ]]
}

@test "a missing config.json is named" {
	mkdir "$BATS_TEST_TMPDIR/empty"
	sane_run nsrun create --bundle "$BATS_TEST_TMPDIR/empty" c
	[ "$status" -eq 1 ]
	[[ "$output" == *"JSON specification file config.json not found"* ]]
}

@test "a namespace joined by path must not be the host's when it would be changed" {
	make_bundle
	config '.linux.namespaces[0].path = "/proc/self/ns/net" | .linux.sysctl = {"net.ipv4.ip_forward": "1"}'
	sane_run nsrun spec --bundle "$BUNDLE" --check
	[ "$status" -eq 1 ]
	[[ "$output" == *"linux.sysctl: not allowed in the host's network namespace, which /proc/self/ns/net is"* ]]

	config 'del(.linux.sysctl) | .linux.netDevices = {"eth0": {}}'
	sane_run nsrun create --bundle "$BUNDLE" c
	[ "$status" -eq 1 ]
	[[ "$output" == *"linux.netDevices: not allowed in the host's network namespace"* ]]
}

@test "spec writes runc's example and does not overwrite" {
	mkdir "$BATS_TEST_TMPDIR/b"
	sane_run nsrun spec --bundle "$BATS_TEST_TMPDIR/b"
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	[ "$(jq -r .ociVersion "$BATS_TEST_TMPDIR/b/config.json")" = 1.3.0 ]
	sane_run nsrun spec --bundle "$BATS_TEST_TMPDIR/b" --check
	[ "$status" -eq 0 ]
	sane_run nsrun spec --bundle "$BATS_TEST_TMPDIR/b"
	[ "$status" -eq 1 ]
	[[ "$output" == *"File config.json exists. Remove it first"* ]]

	command -v runc >/dev/null || skip "runc is not installed, nothing to compare with"
	mkdir "$BATS_TEST_TMPDIR/runc"
	runc spec --bundle "$BATS_TEST_TMPDIR/runc"
	# runc 1.1 has ambient capabilities still, which cannot be raised and were removed in 1.2.
	normal='del(.ociVersion, .hostname, .process.capabilities.ambient)'
	diff <(jq -S "$normal" "$BATS_TEST_TMPDIR/b/config.json") <(jq -S "$normal" "$BATS_TEST_TMPDIR/runc/config.json")
}

@test "spec --rootless is runc's" {
	command -v runc >/dev/null || skip "runc is not installed, nothing to compare with"
	mkdir "$BATS_TEST_TMPDIR/b" "$BATS_TEST_TMPDIR/runc"
	sane_run nsrun spec --rootless -b "$BATS_TEST_TMPDIR/b"
	[ "$status" -eq 0 ]
	runc spec --rootless --bundle "$BATS_TEST_TMPDIR/runc"
	normal='del(.ociVersion, .hostname, .process.capabilities.ambient)'
	diff <(jq -S "$normal" "$BATS_TEST_TMPDIR/b/config.json") <(jq -S "$normal" "$BATS_TEST_TMPDIR/runc/config.json")
}

@test "features says what is there, in the specification's form" {
	sane_run nsrun features
	[ "$status" -eq 0 ]
	[[ "$output" == '{
    "ociVersionMin": "1.0.0",'* ]]
	jq -e '.ociVersionMax == "1.3.0"
		and .hooks == ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
		and (.mountOptions | index("rbind") and index("rro") and index("idmap"))
		and (.linux.namespaces | sort) == ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"]
		and (.linux.capabilities | length >= 41 and index("CAP_NET_ADMIN") != null)
		and .linux.cgroup.v1 and .linux.cgroup.v2 and .linux.cgroup.systemd
		and .linux.seccomp.enabled and (.linux.seccomp.actions | index("SCMP_ACT_NOTIFY") != null)
		and (.linux.seccomp.supportedFlags | index("SECCOMP_FILTER_FLAG_LOG") != null)
		and .linux.apparmor.enabled and (.linux.selinux.enabled | not) and (.linux.intelRdt.enabled | not)
		and .linux.netDevices.enabled
		and ([.annotations | keys[] | select(startswith("org.opencontainers"))] == [])' <<<"$output"
}
