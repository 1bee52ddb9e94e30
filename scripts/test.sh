#!/usr/bin/env bash
# What `make test` does once the environment is there: checks, then all tests. Beside them, at low priority, it installs
# the conformance suite, for which its tests wait, and tries the newest dependencies.
#
# That only the newest dependencies fail does not fail the run: what is shipped and tested is pinned, and no change here
# is at fault for what others released today. It is the last thing that is told, and `make newest` fails by it.
set -euo pipefail
cd "$(dirname "$0")/.."
newest_log=build/newest.log

mkdir -p build
scripts/test-parts.sh
nice -n 5 scripts/conformance-parts.sh &
setsid nice -n 5 timeout 1200 scripts/newest.sh >"$newest_log" 2>&1 &
newest=$!
trap 'kill -- "-$newest" 2>/dev/null || true' EXIT

"${MAKE:-make}" check
scripts/engine.sh
scripts/compose.sh
failed=0
scripts/in-memory.sh .venv/bin/pytest -n "${WORKERS:-3}" --dist loadscope --no-loadscope-reorder "$@" || failed=$?

if wait "$newest"; then
    echo "The newest dependencies that pyproject.toml allows work too."
else
    tail -n 30 "$newest_log"
    echo "NOT FAILED, BUT: with the newest dependencies that pyproject.toml allows it does not work; $newest_log has all."
fi
exit "$failed"
