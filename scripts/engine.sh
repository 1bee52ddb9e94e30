#!/usr/bin/env bash
# Makes sure that a Docker Engine answers. On Debian and Ubuntu, as root, it installs and starts one.
set -euo pipefail

wait_s=60
log=/var/log/dockerd.log
default=unix:///var/run/docker.sock
engine=${DOCKER_HOST:-$default}

# 0: it answers; 1: it does not; 3: this user may not ask it.
answers() {
    python3 - "$engine" <<'PYTHON'
import socket, sys
try:
    with socket.socket(socket.AF_UNIX) as engine:
        engine.settimeout(5)
        engine.connect(sys.argv[1].removeprefix("unix://"))
        engine.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        sys.exit(0 if b"200 OK" in engine.recv(64) else 1)
except PermissionError:
    sys.exit(3)
except OSError:
    sys.exit(1)
PYTHON
}

case "$engine" in
    unix://*) ;;
    *) exit 0 ;;  # a remote engine is the user's own business; `docker-mcp doctor` checks it
esac

answers && exit 0
if [ $? = 3 ]; then
    echo "This user may not use $engine. Add it to the group docker and log in again:" >&2
    echo "  sudo usermod -aG docker $(id -un)" >&2
    exit 1
fi

if [ "$engine" != "$default" ]; then
    echo "No Docker Engine answers at $engine. Start it there, or unset DOCKER_HOST." >&2
    exit 1
fi

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "No Docker Engine answers. Start it (sudo systemctl start docker), or install one:" >&2
    echo "  Debian, Ubuntu: sudo apt-get install docker.io    others: https://docs.docker.com/engine/install/" >&2
    exit 1
fi

if ! command -v dockerd >/dev/null || [ ! -x /bin/busybox ]; then
    echo "No Docker Engine here: installing the packages docker.io, busybox-static and iptables." >&2
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        docker.io busybox-static iptables >/dev/null
    answers && exit 0
fi

# 0: it answers; 1: it ended, or does not answer in time.
start() {
    setsid nohup dockerd >>"$log" 2>&1 </dev/null &
    for _ in $(seq "$wait_s"); do
        answers && return 0
        kill -0 $! 2>/dev/null || return 1
        sleep 1
    done
    return 1
}

echo "Starting dockerd; it logs to $log." >&2
# What a killed engine leaves: by now the numbers may be those of other processes, for which dockerd would stand back.
for left in /var/run/docker.pid /var/run/docker/containerd/containerd.pid; do
    [ -f "$left" ] || continue
    case "$(cat "/proc/$(cat "$left")/comm" 2>/dev/null)" in
        dockerd | containerd) ;;
        *) rm -f "$left" ;;
    esac
done
touch "$log"
told=$(stat -c %s "$log")
start && exit 0

# An engine that was killed while it removed a network leaves half of it in its store of networks, and from then on
# panics over it at every start. The common remedy is a new store; the old one is kept for whoever misses a network.
networks=/var/lib/docker/network/files/local-kv.db
if [ -f "$networks" ] && tail -c "+$((told + 1))" "$log" | grep -A 9 '^panic:' | grep -q 'libnetwork\.'; then
    aside="$networks.$(date +%Y%m%dT%H%M%S)"
    mv "$networks" "$aside"
    echo "dockerd panics over its own store of networks. It gets a new one: networks that people made are gone." >&2
    echo "The old store is $aside." >&2
    start && exit 0
fi
echo "dockerd does not start; the end of $log:" >&2
tail -n 20 "$log" >&2
exit 1
