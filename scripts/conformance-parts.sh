#!/usr/bin/env bash
# Installs the official conformance suite of MCP, the inspector's command line, and a Node that both take, into
# build/conformance: the versions and hashes of tests/conformance/package-lock.json. Needs npm.
# While it works it holds a lock, for which the tests wait.
set -euo pipefail
cd "$(dirname "$0")/.."
pinned=tests/conformance
tools=build/conformance

mkdir -p "$tools"
exec 9>"$tools/lock"
flock 9
cmp -s "$pinned/package-lock.json" "$tools/installed" && exit 0
if ! command -v npm >/dev/null; then
    echo "The conformance tests need npm to install the suite: sudo apt-get install npm" >&2
    exit 1
fi
rm -f "$tools/installed"
cp "$pinned/package.json" "$pinned/package-lock.json" "$tools/"
(cd "$tools" && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error >/dev/null)
cp "$pinned/package-lock.json" "$tools/installed"
