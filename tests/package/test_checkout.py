"""What a checkout offers before anything is installed: a command line, and a file that clients can have Python run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.cli.command import LIMIT_S, docker_mcp, environment
from tests.package.build import ROOT

_COMMAND_LINE = ROOT / "cli/dev-server.sh"
_MAKE = """#!/bin/sh
echo "make $*"
mkdir -p "$3/.venv/bin"
printf '#!/bin/sh\\necho ran "$@"\\n' >"$3/.venv/bin/docker-mcp"
chmod +x "$3/.venv/bin/docker-mcp"
"""


def test_the_command_line_of_a_checkout_is_that_of_the_package(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    command = [str(_COMMAND_LINE), "config", "openhands-docker-mcp", str(file)]
    subprocess.run(command, cwd="/", env=environment(), check=True, timeout=LIMIT_S, capture_output=True)
    assert list(json.loads(file.read_text())["mcpServers"]) == ["docker-mcp"]


def test_a_client_can_have_python_run_the_file_of_a_checkout(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    assert docker_mcp("config", "openhands", str(file)).returncode == 0
    tree = json.loads(file.read_text())
    tree["mcpServers"]["docker-mcp"] |= {"command": sys.executable, "args": [str(ROOT / "src/docker_mcp_server.py")]}
    file.write_text(json.dumps(tree))
    done = docker_mcp("config", "openhands", str(file), "--check", "--json")
    assert done.returncode == 0, done.stderr
    assert "create-container" in json.loads(done.stdout)["tools"]


def test_a_checkout_that_is_not_set_up_is_and_says_nothing_on_standard_output(tmp_path: Path) -> None:
    root, tools = tmp_path / "root", tmp_path / "tools"
    (root / "cli").mkdir(parents=True)
    tools.mkdir()
    shutil.copy(_COMMAND_LINE, root / "cli")
    (tools / "make").write_text(_MAKE)
    (tools / "make").chmod(0o755)
    env = environment({"PATH": f"{tools}:{os.environ['PATH']}"})
    for told in (f"make -s -C {root} .venv/runtime\n", ""):
        done = subprocess.run(
            [str(root / "cli/dev-server.sh"), "stdio", "--read-only"],
            env=env,
            capture_output=True,
            text=True,
            check=True,
            timeout=LIMIT_S,
        )
        assert (done.stdout, done.stderr) == ("ran stdio --read-only\n", told)
