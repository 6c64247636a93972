#!/usr/bin/env bats
# A gateway that is enabled is back after a reboot, and after a power cut. The first test runs before it, the others after it,
# in a machine with the same disk (tests/vm/check makes both boots, once with a shutdown and once without).
# bats file_tags=root

load helpers
load systemd

# On the disk, what the first boot was like.
BEFORE=/var/lib/nsrun-reboot

setup() {
	needs_guest
	ROOT=/run/nsrun
	cd "$BATS_TEST_TMPDIR"
}

# Everything is meant to stay.
teardown() {
	[ "${BATS_TEST_COMPLETED:-}" = 1 ] || [ -n "${BATS_TEST_SKIPPED:-}" ] || journalctl -q --no-pager -n 60
}

facts() {
	cat /etc/nsrun/gateway.key /etc/nsrun/gateway.key.pub
	ip netns exec gateway wg show wg-peer public-key
	for link in lo br-client wg-peer; do
		ip -n gateway -o addr show $link | awk '{ print $2, $3, $4 }'
	done
}

# bats test_tags=vm:before-reboot
@test "before: a gateway is enabled and runs" {
	install_all
	gateway gateway 51820
	mkdir -p $BEFORE
	systemctl enable nsrun@gateway
	# What was configured is on the disk. What the start writes is nsrun's business.
	sync
	systemctl start nsrun@gateway
	answers gateway
	facts >$BEFORE/facts
	cp /proc/sys/kernel/random/boot_id $BEFORE/
	nsrun state gateway | jq .created >$BEFORE/created
	nsrun exec gateway sh -c 'echo dead >/run/of-this-boot'
	# Each by itself: fsync(2) of a file brings no other file's content along.
	sync $BEFORE/facts $BEFORE/boot_id $BEFORE/created
}

# bats test_tags=vm:after-reboot
@test "after: it is back by itself, with the same keys and addresses, and answers" {
	not cmp /proc/sys/kernel/random/boot_id $BEFORE/boot_id
	wait_for 60 property_is ActiveState nsrun@gateway active
	wait_for 60 property_is ActiveState multi-user.target active
	property_is NRestarts nsrun@gateway 0
	answers gateway
	facts | diff $BEFORE/facts -
	ip -n gateway -d link show wg-peer | grep -q wireguard
}

# bats test_tags=vm:after-reboot
@test "after: nothing of the former boot is left, and nothing is there twice" {
	wait_for 60 property_is ActiveState nsrun@gateway active
	[ "$(nsrun list -q)" = gateway ]
	[ "$(nsrun state gateway | jq .created)" != "$(cat $BEFORE/created)" ]
	not nsrun exec gateway test -e /run/of-this-boot
	[ "$(ls /run/nsrun)" = gateway ]
	[ "$(ls /run/netns)" = gateway ]
	# One record for each attachment, and none without its container.
	[ "$("$NETSETUP" list --json | jq -r '.[].ifname' | sort | xargs)" = "br-client lo wg-peer" ]
	"$NETSETUP" gc
	[ "$("$NETSETUP" list --json | jq length)" = 3 ]
	[ "$(ip netns exec gateway nft list tables | sort | uniq -d)" = "" ]
	ip netns exec gateway nft list table inet gateway
	[ "$(ls /etc/nsrun | xargs)" = "gateway gateway.key gateway.key.pub" ]
}

# bats test_tags=vm:after-reboot
@test "after: it can be stopped for good" {
	systemctl disable --now nsrun@gateway
	[ -z "$(nsrun list -q)" ]
	[ -z "$(ls /run/netns)" ]
	not systemctl is-enabled nsrun@gateway
}
