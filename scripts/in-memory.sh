#!/usr/bin/env bash
# Runs a command with its temporary files in memory, where that can be: each of thousands of tests has a log of its own,
# and none of them cuts the power, so waiting for a disk shows nothing. Usage: in-memory.sh COMMAND [ARGUMENT…]
set -euo pipefail

least_kb=8000000

free_kb=$(awk '/^MemAvailable:/ {print $2}' /proc/meminfo 2>/dev/null || echo 0)
if [ "$(id -u)" != 0 ] || [ "${free_kb:-0}" -lt $least_kb ]; then
    exec "$@"
fi
disk=$(mktemp -d)
trap 'umount --lazy "$disk" 2>/dev/null || true; rmdir "$disk" || true' EXIT
if mount -t tmpfs -o "size=$((free_kb / 2))k,nr_inodes=2m,mode=1777" tmpfs "$disk" 2>/dev/null; then
    export TMPDIR="$disk"
fi
"$@"
