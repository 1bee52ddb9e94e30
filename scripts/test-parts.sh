#!/usr/bin/env bash
# Makes sure that what the tests need besides an engine is here: PostgreSQL's server programs and a static busybox.
set -euo pipefail

have() { ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && [ -x /bin/busybox ]; }

have && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "The tests need PostgreSQL's server programs and busybox-static: sudo apt-get install postgresql busybox-static" >&2
    exit 1
fi
echo "Installing the packages postgresql and busybox-static for the tests." >&2
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends postgresql busybox-static >/dev/null
