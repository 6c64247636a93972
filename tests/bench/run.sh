#!/bin/bash
# `make bench`: nsrun and netsetup beside crun, runc, the reference CNI plugins and a bare floor program, in one run and
# interleaved. Everything happens in a network, mount and pid namespace of its own, on a tmpfs.
#
#   tests/bench/run.sh [-q]     -q: few rounds, to see that it works
#
# BUILD, NSRUN, NETSETUP, CRUN, RUNC, CNI_PLUGINS override what is measured; a contender that is not there is left out.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=$(realpath "${BUILD:-$top/build}")
export PATH=$PATH:/usr/sbin:/sbin

rounds=60
case ${1-} in
-q) rounds=8 ;;
'') ;;
*) echo "usage: $0 [-q]" >&2 && exit 2 ;;
esac
rounds=${ROUNDS:-$rounds}

if [ "${IN_BENCH_NAMESPACES-}" != 1 ]; then
	mkdir -p "$build/tests/bench" /run/netns
	cc=${CC:-gcc}
	$cc -std=gnu11 -O2 -Wall -Wextra -o "$build/tests/bench/bench" "$top/tests/bench/bench.c"
	$cc -std=gnu11 -O2 -Wall -Wextra -static -o "$build/tests/bench/floor" "$top/tests/bench/floor.c"
	IN_BENCH_NAMESPACES=1 exec unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private -- "$0" "$@"
fi

nsrun=${NSRUN:-$build/nsrun}
netsetup=${NETSETUP:-$build/netsetup}
crun=$(command -v "${CRUN:-crun}" || true)
runc=$(command -v "${RUNC:-runc}" || true)
plugins=${CNI_PLUGINS:-/usr/lib/cni}
bench=$build/tests/bench/bench
floor=$build/tests/bench/floor

# --- the host, seen from here only -----------------------------------------------------------------------------

work=/run/netns/bench # any directory that is covered by a tmpfs of our own
mount -t tmpfs tmpfs /run/netns
mkdir -p $work /var/lib/cni
mount -t tmpfs tmpfs /var/lib/cni
# crun refuses a hybrid whose unified hierarchy has a controller left (hugetlb): show it plain version 1.
if grep -qs . /sys/fs/cgroup/unified/cgroup.controllers; then mount -t tmpfs tmpfs /sys/fs/cgroup/unified; fi
ip link set lo up
mkdir -p $work/{run,netsetup,rootfs/{bin,dev,etc,proc,sys,tmp}}
cp "${BUSYBOX:-/bin/busybox}" $work/rootfs/bin/busybox
for applet in true sleep sh; do ln -s busybox $work/rootfs/bin/$applet; done

# make_bundle NAME JQ-EXPRESSION: from the configuration that `runc spec` writes
make_bundle() {
	mkdir $work/"$1"
	if [ -n "$runc" ]; then
		"$runc" spec -b $work/"$1"
	else
		"$nsrun" spec -b $work/"$1"
	fi
	jq ".process.terminal = false | .process.args = [\"/bin/true\"] | .root = {path: \"$work/rootfs\"} | $2" \
		$work/"$1"/config.json >$work/config.json
	mv $work/config.json $work/"$1"/config.json
}

few='.mounts |= map(select(.type == "proc"))
	| .linux = {namespaces: [{type: "network"}, {type: "uts"}, {type: "mount"}]}'
make_bundle few "$few"
make_bundle full .
make_bundle sleeper "$few | .process.args = [\"/bin/sleep\", \"1000\"]"

runtimes() { # name and path of those that are here
	echo "nsrun $nsrun"
	[ -z "$crun" ] || echo "crun $crun"
	[ -z "$runc" ] || echo "runc $runc"
}

label() { # crun 1.8.1
	"$1" --version | awk 'NR == 1 { sub(/^.*version /, ""); print }'
}

# --- plans -----------------------------------------------------------------------------------------------------

plan_run() { # few|full
	runtimes | while read -r name path; do
		echo "as $name $(label "$path")"
		echo "time run $path --root $work/run/$name run -b $work/$1 bench-{i}"
	done
	# crun and runc make cgroups even where none are asked for, as in (a). crun can be told not to.
	if [ "$1" = few ] && [ -n "$crun" ]; then
		echo "as crun $(label "$crun"), no cgroups"
		echo "time run $crun --cgroup-manager=disabled --root $work/run/crun run -b $work/$1 bench-{i}"
	fi
	echo "as floor (bare system calls)"
	echo "time run $floor $1 $work/rootfs /bin/true"
}

plan_life() {
	runtimes | while read -r name path; do
		local command="$path --root $work/run/$name"
		echo "as $name $(label "$path")"
		echo "time create $command create -b $work/sleeper bench-{i}"
		echo "time start $command start bench-{i}"
		echo "time delete--force $command delete --force bench-{i}"
	done
}

cni_config() { # NAME SUBNET
	cat <<-JSON
	{"cniVersion": "1.0.0", "name": "$1", "type": "bridge", "bridge": "$1", "isGateway": true, "ipMasq": true,
	 "ipam": {"type": "host-local", "ranges": [[{"subnet": "$2"}]], "routes": [{"dst": "0.0.0.0/0"}]}}
	JSON
}

plan_cni_of() { # LABEL BINARY BRIDGE CNI_PATH
	cat <<-PLAN
	as $1
	env CNI_CONTAINERID=bench-$3
	env CNI_NETNS=/run/netns/target-$3
	env CNI_IFNAME=eth0
	env CNI_PATH=$4
	env NETSETUP_ROOT=$work/netsetup
	stdin $work/$3.json
	env CNI_COMMAND=ADD
	time ADD $2
	env CNI_COMMAND=DEL
	time DEL $2
	PLAN
}

plan_cni() {
	ip netns add target-ours
	ip netns add target-theirs
	cni_config ours 10.201.0.0/24 >$work/ours.json
	cni_config theirs 10.202.0.0/24 >$work/theirs.json
	plan_cni_of "netsetup" "$netsetup" ours "$plugins"
	[ ! -x "$plugins/bridge" ] || plan_cni_of "reference plugins ($plugins)" "$plugins/bridge" theirs "$plugins"
}

# measure TITLE PLAN-FUNCTION... [-- OPTIONS]
measure() {
	local title=$1 failed=0
	shift
	echo "$title"
	"$@" >$work/plan
	"$bench" -n "$rounds" -p "$pause" <$work/plan || failed=1
	echo
	return $failed
}

# --- measurements ----------------------------------------------------------------------------------------------

echo "$rounds rounds, interleaved; whole processes; ratio to the first line. $(uname -srm), $(nproc) CPUs"
echo
rc=0
# The kernel goes on cleaning up after a container (its network namespace, its cgroup). The pause keeps that from being
# charged to the next contender.
pause=30
measure "(a) run /bin/true: network, UTS and mount namespace" plan_run few || rc=1
measure "(b) run /bin/true: the configuration that runc spec writes" plan_run full || rc=1
pause=0
measure "(b) again, back to back" plan_run full || rc=1
pause=30
measure "(c) create, start, delete --force of (a)" plan_life || rc=1
measure "(d) CNI: bridge + host-local + ipMasq" plan_cni || rc=1
exit $rc
