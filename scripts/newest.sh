#!/usr/bin/env bash
# Installs the newest dependencies that pyproject.toml allows, whatever is pinned, and runs what shows soon that one broke us.
# For a scheduled run: it needs a package index, and what it says changes from day to day.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
python="$work/venv/bin/python"
"$python" -m pip install -q --disable-pip-version-check --upgrade . pytest pytest-timeout hypothesis rfc8785
"$python" -m pip check
"$python" -m pip list --disable-pip-version-check --format freeze
(cd "$work" && DOCKER_MCP_STATE_DIR="$work/state" XDG_CONFIG_HOME="$work/config" && export DOCKER_MCP_STATE_DIR XDG_CONFIG_HOME
    "$work/venv/bin/docker-mcp" migrate
    "$work/venv/bin/docker-mcp" config cursor "$work/mcp.json"
    "$work/venv/bin/docker-mcp" config cursor "$work/mcp.json" --check >"$work/tools"
    "$work/venv/bin/docker-mcp" verify)
grep -q create-container "$work/tools"
# The newest versions may deprecate what we use: that is told, not a failure.
"$python" -W default -m pytest -q -p no:cacheprovider -W default -m "not postgres and not engine" \
    tests/domain/catalogue/test_tools.py tests/adapters/test_sealing.py tests/contract/test_event_store.py \
    tests/contract/test_migrations.py tests/protocol/test_listing.py
