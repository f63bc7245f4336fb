# bench/lib.sh: sourced by the benchmarks. Sets up the installed peers on their own sockets and roots below $W, and takes them down again.
# A figure is a median of runs that alternate between the programs; only ratios mean something on a shared machine.
# shellcheck shell=bash
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BIN=${SKIFF_BIN:-$top/build/bin}
# BENCH_V1=1 before sourcing: Debian's crun refuses the hybrid layout. On such a host the whole benchmark then runs in a mount
# namespace that shows the v1 hierarchies only, to all programs alike; the host is not changed.
if [ -n "${BENCH_V1:-}" ] && [ "$(stat -f -c %T /sys/fs/cgroup/unified 2>/dev/null)" = cgroup2fs ]; then
	# shellcheck disable=SC2016  # expanded by the inner shell
	exec unshare -m --propagation private bash -c 'umount /sys/fs/cgroup/unified && exec "$@"' - "$0" "$@"
fi
W=$(mktemp -d "${TMPDIR:-/var/tmp}/skiff-bench.XXXXXX")
# run-time state lies in memory, as /run does on an ordinary system
M=$(mktemp -d /dev/shm/skiff-bench.XXXXXX)
pids=()
undo=()
# What runs on when a daemon died or a removal failed: the supervisors of the peers' containers name our directories on their command lines; they go with
# their descendants, and the cgroups that these were in.
# shellcheck disable=SC2317  # run by the trap
bench_end_left() {
	local p i left=() dirs
	for p in $(ps -eo pid=,comm= | awk '$2 ~ /^(conmon|containerd-shim)/ {print $1}'); do
		if tr '\0' '\n' <"/proc/$p/cmdline" 2>/dev/null | grep -qF -e "$W/" -e "$M/"; then left+=("$p"); fi
	done
	for ((i = 0; i < ${#left[@]}; i++)); do
		# shellcheck disable=SC2207  # numbers
		left+=($(pgrep -P "${left[i]}" || :))
	done
	[ ${#left[@]} -gt 0 ] || return 0
	dirs=$(for p in "${left[@]}"; do cut -d : -f 3 "/proc/$p/cgroup" 2>/dev/null || :; done | grep -E '[0-9a-f]{64}' | sort -ur)
	kill -KILL "${left[@]}" 2>/dev/null
	for p in "${left[@]}"; do timeout 5 tail --pid="$p" -f /dev/null; done
	for p in $dirs; do rmdir "/sys/fs/cgroup/$p" /sys/fs/cgroup/*/"$p" 2>/dev/null; done
}
# shellcheck disable=SC2317  # run by the trap
bench_cleanup() {
	trap - EXIT
	local i
	for ((i = ${#undo[@]} - 1; i >= 0; i--)); do eval "${undo[i]}" >/dev/null 2>&1 || :; done
	for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
		kill "${pids[i]}" 2>/dev/null || :
		wait "${pids[i]}" 2>/dev/null || :
	done
	bench_end_left || :
	for i in 1 2 3; do
		awk -v w="$W/" -v m="$M/" 'index($5, w) == 1 || index($5, m) == 1 {print $5}' /proc/self/mountinfo | sort -r | xargs -r -n 1 umount -l 2>/dev/null || :
		rm -rf "$W" "$M" 2>/dev/null && break
		sleep 1
	done
}
trap bench_cleanup EXIT
trap 'exit 130' INT TERM
have() { command -v "$1" >/dev/null 2>&1; }
say() { printf '\n== %s\n' "$*"; }

# crun refuses the hybrid layout until hugetlb has a v1 hierarchy
bench_crun_ready() {
	have crun || return 1
	if [ -d /sys/fs/cgroup/unified ] && ! grep -q 'cgroup .*hugetlb' /proc/self/mountinfo; then
		mkdir -p "$W/hugetlb"
		mount -t cgroup -o hugetlb none "$W/hugetlb" 2>/dev/null || return 1
		undo+=("umount '$W/hugetlb'")
	fi
}
# A bundle whose process is a static `true`; the default `runc spec` otherwise.
bench_bundle() { # dir
	mkdir -p "$1/rootfs/bin"
	# as "wait" it does nothing until it is killed
	cat >"$W/true.c" <<-'C'
	#include <string.h>
	#include <unistd.h>
	int main(int argc, char **argv) { return argc && strstr(argv[0], "wait") ? pause() : 0; }
	C
	gcc -O2 -static -o "$1/rootfs/bin/true" "$W/true.c"
	ln -f "$1/rootfs/bin/true" "$1/rootfs/bin/wait"
	runc spec --bundle "$1"
	jq '.process.terminal = false | .process.args = ["/bin/true"]' "$1/config.json" >"$1/c" && mv "$1/c" "$1/config.json"
	# no right to raise rlimits here: keep the caller's
	[ "$(ulimit -Hn)" -ge 1024 ] 2>/dev/null || jq 'del(.process.rlimits)' "$1/config.json" >"$1/c" && [ -s "$1/c" ] && mv "$1/c" "$1/config.json"
	rm -f "$1/c"
}
# The measuring program and the floor.
bench_measure() {
	gcc -O2 -o "$W/measure" "$top/bench/measure.c"
	gcc -O2 -o "$W/floor" "$top/bench/floor.c"
}
# A copy of a bundle (same root file system) with another config.json, made by a jq program.
bench_variant() { # from, to, jq arguments...
	local from=$1 to=$2
	shift 2
	mkdir -p "$to"
	ln -sfn "$from/rootfs" "$to/rootfs"
	jq --arg rootfs "$from/rootfs" "$@" "$from/config.json" >"$to/config.json"
	jq --arg rootfs "$from/rootfs" '.root.path = $rootfs' "$to/config.json" >"$to/c" && mv "$to/c" "$to/config.json"
}
# Docker's seccomp profile in the runtime-spec's form, for amd64 and the capabilities of the bundle, as podman makes it of its own file.
bench_seccomp() { # bundle
	jq --argjson caps "$(jq .process.capabilities.bounding "$1/config.json")" '
		def in_force: ((.includes.caps // []) - $caps == []) and ((.includes.arches // ["amd64"]) | index("amd64") != null)
			and (((.excludes.caps // []) - ((.excludes.caps // []) - $caps)) == []);
		{defaultAction, defaultErrnoRet,
		 architectures: (.archMap[] | select(.architecture == "SCMP_ARCH_X86_64") | [.architecture] + .subArchitectures),
		 syscalls: [.syscalls[] | select(in_force) | {names, action} + (if .errnoRet then {errnoRet} else {} end)
			+ (if (.args // []) != [] then {args} else {} end)]}' /usr/share/containers/seccomp.json
}
bench_podman_words=(env CONTAINERS_CONF="$W/containers.conf" CONTAINERS_REGISTRIES_CONF="$W/registries.conf" podman --root "$W/podman/root" --runroot "$M/podman"
	--tmpdir "$W/podman/tmp" --storage-driver "${PODMAN_DRIVER:-overlay}" --cgroup-manager cgroupfs --events-backend file)
bench_podman() { "${bench_podman_words[@]}" "$@"; }
bench_podman_setup() {
	have podman || return 1
	# Where crun cannot run, podman has runc
	[ -n "${PODMAN_RUNTIME:-}" ] || if bench_crun_ready; then PODMAN_RUNTIME=crun; else PODMAN_RUNTIME=runc; fi
	mkdir -p "$W/podman"
	cat >"$W/containers.conf" <<C
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "$PODMAN_RUNTIME"
C
	printf 'unqualified-search-registries = []\n' >"$W/registries.conf"
	undo+=("bench_podman rm -fa" "umount -l $W/podman/root/overlay")
}
bench_wait_socket() { for _ in $(seq 100); do [ -S "$1" ] && return 0; sleep 0.1; done; echo "no socket $1" >&2; tail -n 5 "$2" >&2; return 1; }
bench_containerd() {
	have containerd || return 1
	mkdir -p "$W/ctd"
	cat >"$W/ctd/config.toml" <<C
version = 2
root = "$W/ctd/root"
state = "$M/ctd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "$W/ctd/sock"
C
	containerd --config "$W/ctd/config.toml" >"$W/ctd/log" 2>&1 &
	pids+=($!)
	CONTAINERD_PID=$!
	bench_wait_socket "$W/ctd/sock" "$W/ctd/log"
}
bench_docker() {
	have dockerd || return 1
	bench_containerd_started=${bench_containerd_started:-}
	[ -S "$W/ctd/sock" ] || bench_containerd
	mkdir -p "$W/docker"
	local net=(--bridge none --iptables=false --ip6tables=false)
	[ -z "${BENCH_DOCKER_BRIDGE:-}" ] || net=()
	dockerd --host "unix://$W/docker/sock" --data-root "$W/docker/root" --exec-root "$M/docker" --pidfile "$W/docker/pid" \
		--containerd "$W/ctd/sock" "${net[@]}" --storage-driver overlay2 \
		--exec-opt native.cgroupdriver=cgroupfs ${REGISTRY:+--insecure-registry "$REGISTRY"} >"$W/docker/log" 2>&1 &
	pids+=($!)
	DOCKERD_PID=$!
	bench_wait_socket "$W/docker/sock" "$W/docker/log"
}
docker_() { DOCKER_CONFIG="$W/docker/cfg" docker -H "unix://$W/docker/sock" "$@"; }
skiff_() { "$BIN/skiff" --root "$W/skiff/lib" --run-root "$M/skiff" "$@"; }
# Prints a table from hyperfine's JSON: name, median ms, ratio to the first, and the same of the minima, which a busy machine disturbs less.
bench_table() {
	jq -r '.results[0] as $b | .results[] | [.command, (.median*100000|round/100), (.stddev*100000|round/100), ((.median/$b.median)*100|round/100),
		(.min*100000|round/100), ((.min/$b.min)*100|round/100)] | @tsv' "$1" |
		awk -F'\t' 'BEGIN{printf "%-28s %10s %10s %8s %10s %8s\n","","median ms","stddev ms","x first","min ms","x first"}
			{printf "%-28s %10.2f %10.2f %8.2f %10.2f %8.2f\n",$1,$2,$3,$4,$5,$6}'
}
