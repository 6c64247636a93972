#!/usr/bin/env bats
# The binaries answer, and the tests' own machinery notices what is left behind.

load helpers

# bats test_tags=vm,vm:systemd,vm:userns,vm:user
@test "both programs say their version" {
	sane_run "$NSRUN" --version
	[ "$status" -eq 0 ]
	[[ "${lines[0]}" =~ ^nsrun\ version\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
	[[ "$output" == *"spec: 1.3.0"* ]]
	sane_run "$NETSETUP" version
	[ "$status" -eq 0 ]
	[[ "$output" == *"netsetup"* ]]
}

@test "the leak check sees a link, a namespace, a table, a mount, a file and a process" {
	not_as_user "links, namespaces and tables are made with rights on the host"
	ip link add leak0 type bridge
	run assert_clean
	[ "$status" -ne 0 ]
	[[ "$output" == *leak0* ]]
	ip link del leak0

	ip netns add leak
	run assert_clean
	[ "$status" -ne 0 ]
	ip netns del leak

	nft add table inet leak
	run assert_clean
	[ "$status" -ne 0 ]
	nft delete table inet leak

	touch "$NETSETUP_ROOT/leak"
	run assert_clean
	[ "$status" -ne 0 ]
	rm "$NETSETUP_ROOT/leak"

	(sleep 100 3>&- & echo $! >"$BATS_TEST_TMPDIR/pid")
	run assert_clean
	[ "$status" -ne 0 ]
	[[ "$output" == *sleep* ]]
	kill "$(cat "$BATS_TEST_TMPDIR/pid")"
}
