#!/usr/bin/env bash
# Measures this server beside another Docker MCP server, which it installs, pinned, into build/peers; that one needs Python
# 3.12 or newer (PEER_PYTHON names it) and a package index. Nothing of it becomes part of this project.
set -euo pipefail
cd "$(dirname "$0")/.."
peer=build/peers/python
if [ ! -x "$peer/bin/mcp-server-docker" ]; then
    "${PEER_PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 12))' || {
        echo "the peer needs Python 3.12 or newer: set PEER_PYTHON to one" >&2
        exit 1
    }
    "${PEER_PYTHON:-python3}" -m venv "$peer"
    "$peer/bin/pip" install -q --disable-pip-version-check mcp-server-docker==0.3.0 mcp==2.3.0 docker==7.2.0
fi
.venv/bin/python -m tests.benchmarks.peers "$@"
