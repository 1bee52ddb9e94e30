#!/usr/bin/env bash
# The command line from a checkout, which it sets up if nothing has yet: `cli/dev-server.sh start docker-mcp`.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[[ -x $root/.venv/bin/docker-mcp ]] || make -s -C "$root" .venv/runtime >&2 # standard output belongs to MCP
exec "$root/.venv/bin/docker-mcp" "$@"
