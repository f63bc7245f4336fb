# tests/registry.sh: sourced by shell tools. Starts Debian's docker-registry on a free loopback port with its data in a directory of the caller.
# shellcheck shell=bash
# registry_start DIR: sets REGISTRY (127.0.0.1:port) and REGISTRY_PID; the caller ends it with registry_stop
registry_start() {
	local dir=$1 port i
	mkdir -p "$dir/data"
	port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	cat >"$dir/config.yml" <<C
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $dir/data}, delete: {enabled: true}}
http: {addr: "127.0.0.1:$port"}
C
	docker-registry serve "$dir/config.yml" >"$dir/log" 2>&1 &
	REGISTRY_PID=$!
	REGISTRY=127.0.0.1:$port
	for ((i = 0; i < 100; i++)); do
		curl -fsS "http://$REGISTRY/v2/" >/dev/null 2>&1 && return 0
		sleep 0.1
	done
	echo "docker-registry did not start:" >&2
	cat "$dir/log" >&2
	return 1
}
registry_stop() {
	[ -n "${REGISTRY_PID:-}" ] || return 0
	kill "$REGISTRY_PID" 2>/dev/null || :
	wait "$REGISTRY_PID" 2>/dev/null || :
	REGISTRY_PID=
}
