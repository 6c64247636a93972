# What every bats file shares: the binaries, bundles, and the check that a test leaves nothing behind.
#
# `load helpers` defines setup() and teardown(); a file that needs its own calls common_setup and common_teardown.
# Run the files through tests/run, which gives each a network, mount and pid namespace of its own as "the host".

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
NSRUN=${NSRUN:-$TOP/build/nsrun}
NETSETUP=${NETSETUP:-$TOP/build/netsetup}
BUSYBOX=${BUSYBOX:-/bin/busybox}
export NSRUN NETSETUP NSRUN_NETSETUP=$NETSETUP
PATH=$PATH:/usr/sbin:/sbin

# In the guest jq would take most of a test's time: a second for every start.
if [ "${NSRUN_TEST_VM:-}" ] && command -v gojq >/dev/null; then
	jq() {
		gojq "$@"
	}
fi

# As whom the suites run: root, user (an ordinary one who has subordinate ids) or userns (root of a user namespace).
MODE=${MODE:-root}

# needs_root REASON: this test is for root of the machine alone.
needs_root() {
	[ "$MODE" = root ] || skip "needs root: $1"
}

# not_as_user REASON: this one is for root, be it only that of a user namespace.
not_as_user() {
	[ "$MODE" != user ] || skip "not as an ordinary user: $1"
}

nsrun() {
	"$NSRUN" --root "$ROOT" "$@"
}

# bats' run, with the command and its output shown when the test fails.
sane_run() {
	run "$@"
	echo "\$ $* -> $status"
	echo "$output"
}

# --- bundles ---------------------------------------------------------------------------------------------------

# A root file system of busybox, made once a file; make_bundle copies it by hard links.
make_rootfs() {
	local dir=$1
	mkdir -p "$dir"/{bin,dev,etc,proc,sys,tmp,root,run,var}
	cp "$BUSYBOX" "$dir/bin/busybox"
	# One process for hundreds of links: under the emulator each costs 20 ms or more.
	"$BUSYBOX" --list | perl -lne 'BEGIN { chdir pop } symlink "busybox", $_ unless $_ eq "busybox"' "$dir/bin"
	echo 'root:x:0:0:root:/root:/bin/sh' >"$dir/etc/passwd"
	echo 'root:x:0:' >"$dir/etc/group"
}

# Makes a bundle and makes it the current one: $BUNDLE.
make_bundle() {
	BUNDLE=${1:-$BATS_TEST_TMPDIR/bundle}
	[ -d "$BATS_FILE_TMPDIR/rootfs" ] || make_rootfs "$BATS_FILE_TMPDIR/rootfs"
	mkdir -p "$BUNDLE"
	cp -al "$BATS_FILE_TMPDIR/rootfs" "$BUNDLE/rootfs"
	cat >"$BUNDLE/config.json" <<-'JSON'
	{
	  "ociVersion": "1.3.0",
	  "process": {
	    "terminal": false, "user": {"uid": 0, "gid": 0}, "args": ["true"], "cwd": "/",
	    "env": ["PATH=/bin:/sbin:/usr/bin:/usr/sbin", "TERM=xterm"],
	    "capabilities": {
	      "bounding": ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
	      "effective": ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
	      "permitted": ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
	    },
	    "noNewPrivileges": true
	  },
	  "root": {"path": "rootfs"},
	  "hostname": "test",
	  "mounts": [
	    {"destination": "/proc", "type": "proc", "source": "proc"},
	    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
	    {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
	     "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]}
	  ],
	  "linux": {
	    "namespaces": [{"type": "network"}, {"type": "uts"}, {"type": "mount"}, {"type": "pid"}, {"type": "ipc"}]
	  }
	}
	JSON
	[ "$MODE" != user ] || config .
}

# The first subordinate id of the user that the suite runs as, from /etc/subuid or /etc/subgid.
subid() {
	awk -F: -v user="$(id -un)" '$1 == user { print $2; exit }' "$1"
}

# The first of 60000 ids that a container's user namespace can have to itself.
case $MODE in
root) HOST_ID=100000 ;;
user) HOST_ID=$(subid /etc/subuid) ;;
userns) HOST_ID=1000 ;;
esac

# A user's container needs a user namespace: 0 is the user, 1.. are the subordinate ids. One that a test asks for stays.
userns_filter() {
	[ "$MODE" = user ] || { echo .; return; }
	: "${SUBUID:=$(subid /etc/subuid)}" "${SUBGID:=$(subid /etc/subgid)}"
	cat <<-JQ
	if any(.linux.namespaces[]?; .type == "user") then . else
	  .linux.namespaces += [{"type": "user"}] |
	  .linux.uidMappings = [{"containerID": 0, "hostID": $UID, "size": 1}, {"containerID": 1, "hostID": $SUBUID, "size": 65535}] |
	  .linux.gidMappings = [{"containerID": 0, "hostID": $(id -g), "size": 1}, {"containerID": 1, "hostID": $SUBGID, "size": 65535}]
	end
	JQ
}

# user_namespace [SIZE]: gives the container a user namespace whose ids are $HOST_ID and those that follow, and nobody's else.
user_namespace() {
	config '.linux.namespaces |= map(select(.type != "user")) + [{"type": "user"}] |
		.linux.uidMappings = [{"containerID": 0, "hostID": $first, "size": $size}] | .linux.gidMappings = .linux.uidMappings' \
		--argjson first "$HOST_ID" --argjson size "${1:-60000}"
	chmod go+rx "$BATS_TEST_TMPDIR" "$BATS_FILE_TMPDIR"
	chmod -R go+rX "$BUNDLE"
}

# Edits the current bundle's config.json: config '.process.args = ["sh"]'; further arguments go to jq.
config() {
	jq "($1) | $(userns_filter)" "$BUNDLE/config.json" "${@:2}" >"$BUNDLE/config.json.new"
	mv "$BUNDLE/config.json.new" "$BUNDLE/config.json"
}

# The same, with the arguments as the process to run.
config_args() {
	config '.process.args = $ARGS.positional' --args -- "$@"
}

# --- waiting ---------------------------------------------------------------------------------------------------

# Retries the command for up to SECONDS: wait_for 5 test -e file
# Fails when the command succeeds. "! command" in the middle of a test would not end it.
not() {
	! "$@"
}

wait_for() {
	local tries=$(($1 * 20))
	shift
	until "$@"; do
		((tries-- > 0)) || return 1
		sleep 0.05
	done
}

# no_table [NETNS]: the nftables table is gone, or goes: half a second after its last owner.
no_table() {
	wait_for 5 no_table_now "$@"
}

no_table_now() {
	! ${1:+ip netns exec "$1"} nft list table inet netsetup 2>/dev/null
}

status_is() {
	[ "$(nsrun state "$1" | jq -r .status)" = "$2" ]
}

# --- nothing left behind ---------------------------------------------------------------------------------------

# What a test could leave on the host, as text.
snapshot() {
	"$TOP/tests/snapshot" $BASHPID /run/nsrun /run/netsetup /var/lib/cni /run/wireguard /var/run/wireguard "$ROOT" \
		"$NETSETUP_ROOT" "${XDG_RUNTIME_DIR:-/run/user}/nsrun"
}

# Fails when the host is not as the last `snapshot >$SNAPSHOT` found it. Links and namespaces go asynchronously in the
# kernel, so there is some grace. Empty cgroups of the machine's own may go.
assert_clean() {
	local end=$((SECONDS + 4))
	until snapshot >"$SNAPSHOT.now" && is_clean; do
		if ((SECONDS > end)); then
			echo "left behind (> is new):"
			cat "$SNAPSHOT.diff"
			return 1
		fi
		sleep 0.05
	done
}

is_clean() {
	diff "$SNAPSHOT" "$SNAPSHOT.now" | grep -E '^[<>]' | grep -v '^<   /sys/fs/cgroup/' >"$SNAPSHOT.diff"
	[ ! -s "$SNAPSHOT.diff" ]
}

# What netsetup leaves to be done in the background is done.
settled() {
	! grep -qsx netsetup /proc/[0-9]*/comm
}

common_setup() {
	ROOT=$BATS_TEST_TMPDIR/run
	NETSETUP_ROOT=$BATS_TEST_TMPDIR/netsetup
	mkdir -p "$ROOT" "$NETSETUP_ROOT"
	SNAPSHOT=$BATS_TEST_TMPDIR/snapshot
	export ROOT NETSETUP_ROOT
	wait_for 5 settled # what the test before left to be closed in the background
	# As the test before left it, when that was found to be clean.
	mv "$BATS_FILE_TMPDIR/clean" "$SNAPSHOT" 2>/dev/null || snapshot >"$SNAPSHOT"
}

# A test that failed half-way is cleaned up after; one that passed must have cleaned up itself.
common_teardown() {
	local id
	[ -n "${BATS_TEST_SKIPPED:-}" ] && return 0
	if [ "${BATS_TEST_COMPLETED:-}" = 1 ]; then
		assert_clean && mv "$SNAPSHOT.now" "$BATS_FILE_TMPDIR/clean"
		return
	fi
	for id in $(nsrun list -q 2>/dev/null); do
		nsrun delete --force "$id"
	done
	[ "$MODE" = user ] || "$NETSETUP" gc
	return 0
}

setup() {
	common_setup
}

teardown() {
	common_teardown
}
