#!/usr/bin/env bash
# Makes sure that a Docker Engine answers. On Debian and Ubuntu, as root, it installs and starts one.
set -euo pipefail

wait_s=60
log=/var/log/dockerd.log

answers() {
    python3 - <<'PYTHON'
import os, socket, sys
host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
if not host.startswith("unix://"):
    sys.exit(0)  # a remote engine is the user's own business; `docker-mcp doctor` checks it
try:
    with socket.socket(socket.AF_UNIX) as engine:
        engine.settimeout(5)
        engine.connect(host.removeprefix("unix://"))
        engine.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        sys.exit(0 if b"200 OK" in engine.recv(64) else 1)
except OSError:
    sys.exit(1)
PYTHON
}

answers && exit 0

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
fi

if ! answers; then
    echo "Starting dockerd; it logs to $log." >&2
    pid_file=/var/run/docker.pid
    if [ -f "$pid_file" ] && ! kill -0 "$(cat "$pid_file")" 2>/dev/null; then
        rm -f "$pid_file"
    fi
    setsid nohup dockerd >>"$log" 2>&1 </dev/null &
fi

for _ in $(seq "$wait_s"); do
    answers && exit 0
    sleep 1
done
echo "dockerd does not answer after $wait_s seconds; the end of $log:" >&2
tail -n 20 "$log" >&2
exit 1
