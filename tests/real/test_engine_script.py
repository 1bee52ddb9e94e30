"""The script that starts an engine, on a machine of its own: namespaces with a file system and a network apart."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MACHINE = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
LIMIT_S = 150
STORE = "/var/lib/docker/network/files/local-kv.db"

STEPS = f"""
set -eu
for folder in /var/lib/docker /run /var/log; do mount -t tmpfs none $folder; done
ip link set lo up
scripts/engine.sh 2>/run/first
docker network create --subnet 10.213.78.0/24 half >/dev/null
end_engine() {{
    pkill -KILL dockerd
    pkill -KILL containerd || true
    while pgrep dockerd >/dev/null; do sleep 0.1; done
}}
end_engine
for left in /run/docker.pid /run/docker/containerd/containerd.pid; do echo $$ >$left; done
scripts/engine.sh 2>/run/killed
docker network ls --format {{{{.Name}}}} >/run/kept
end_engine
python3 - <<'PYTHON'
import pathlib, re
store = pathlib.Path("{STORE}")
before = store.read_bytes()
# As an engine leaves it that dies while it removes the network; in a record of JSON a blank stands for nothing.
after = re.sub(rb'"ipamV4Info":"(\\\\.|[^"\\\\])*",', lambda found: b" " * len(found[0]), before)
assert before != after and len(before) == len(after)
store.write_bytes(after)
PYTHON
scripts/engine.sh 2>/run/mended
docker network ls --format {{{{.Name}}}} >/run/left
for file in first killed kept mended left; do echo "== $file"; cat /run/$file; done
ls {STORE}.*
"""


@pytest.fixture(scope="module")
def told() -> dict[str, str]:
    done = subprocess.run(
        [*MACHINE, "bash", "-c", STEPS], cwd=ROOT, capture_output=True, text=True, check=False, timeout=LIMIT_S
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(re.findall(r"== (\w+)\n([^=]*)", done.stdout))


def test_an_engine_is_started_where_none_runs(told: dict[str, str]) -> None:
    assert told["first"] == "Starting dockerd; it logs to /var/log/dockerd.log.\n"


def test_an_engine_that_was_killed_is_started_as_it_was(told: dict[str, str]) -> None:
    assert told["killed"] == told["first"]
    assert "half" in told["kept"].split()


def test_an_engine_that_panics_over_half_a_network_gets_a_new_store_and_the_old_one_is_kept(
    told: dict[str, str],
) -> None:
    assert "panics over its own store of networks" in told["mended"]
    names, kept = told["left"].rsplit("\n", 2)[0], told["left"].split()[-1]
    assert sorted(names.split()) == ["bridge", "host", "none"]
    assert kept.startswith(f"{STORE}.")
    assert f"The old store is {kept}." in told["mended"]
