"""``docker-mcp demo``: a whole round on the real engine."""

import os
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import docker
import pytest

from adapters.docker.demo_image import NAME
from tests.cli.command import LIMIT_S, STDIO, complaint, docker_mcp, environment

pytestmark = pytest.mark.engine

ROUND = [
    "create-container",
    "list-containers",
    "get-logs",
    "network-create",
    "network-connect",
    "network-disconnect",
    "stop-container",
    "remove-container",
    "network-remove",
]


class Demo(NamedTuple):
    """One run of the demo, and where its log is."""

    code: int
    shown: str
    state: Path

    def rows(self, sql: str) -> list[tuple[str, ...]]:
        with closing(sqlite3.connect(self.state / "ledger.db")) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, image: str) -> Demo:
    """Run in a folder that holds a package with our name: its code must not be taken for ours."""
    folder = tmp_path_factory.mktemp("project")
    for package in ("server", "domain", "adapters"):
        (folder / package).mkdir()
        (folder / package / "__init__.py").write_text("raise SystemExit('this is not docker-mcp')")
    done = docker_mcp("demo", env={"DOCKER_MCP_STATE_DIR": str(folder / "state")}, cwd=folder)
    return Demo(done.returncode, done.stdout + done.stderr, folder / "state")


@pytest.fixture
def nothing_left(engine: docker.APIClient) -> Iterator[list[str]]:
    """Takes the names of what a test may leave behind if it fails, and removes it."""
    names: list[str] = []
    yield names
    for name in names:
        for container in engine.containers(all=True, filters={"name": name}):
            engine.remove_container(container["Id"], force=True)
        for network in engine.networks(names=[f"{name}-net"]):
            engine.remove_network(network["Id"])


def left(engine: docker.APIClient, name: str) -> list[str]:
    containers = [entry["Id"] for entry in engine.containers(all=True, filters={"name": name})]
    return containers + [entry["Id"] for entry in engine.networks(names=[f"{name}-net"])]


def test_every_step_of_the_demo_succeeds(demo: Demo) -> None:
    assert demo.code == 0, demo.shown
    assert re.findall(r"^ok +(\S+)", demo.shown, re.MULTILINE) == ROUND


def test_the_demo_prints_the_record_of_what_it_did(demo: Demo) -> None:
    _, _, trail = demo.shown.partition("The record of it")
    told = [line.split()[3:] for line in trail.splitlines()[2:]]
    assert [line[0] for line in told] == ROUND[::-1]
    assert all("success" in line for line in told)


@pytest.mark.promise("P2")
def test_the_log_holds_what_the_demo_printed(demo: Demo) -> None:
    rows = demo.rows("SELECT tool FROM event WHERE type = 'command.succeeded' ORDER BY position")
    assert [tool for (tool,) in rows] == [*ROUND, "audit-logs"]
    assert demo.rows("SELECT DISTINCT purpose FROM event WHERE tool = 'create-container'") == [("docker-mcp demo",)]


def test_the_demo_needs_no_registry(demo: Demo) -> None:
    (arguments,) = demo.rows("SELECT data FROM event WHERE tool = 'create-container' AND type = 'command.received'")
    assert f'"image":"{NAME}:latest"' in arguments[0]


def test_the_demo_leaves_nothing_behind(demo: Demo, engine: docker.APIClient) -> None:
    (name,) = set(re.findall(r'"name":"(docker-mcp-demo-\d+)"', demo.shown))
    assert left(engine, name) == []


@pytest.mark.promise("P6")
def test_the_sealed_value_of_the_demo_is_nowhere_in_its_state(demo: Demo) -> None:
    files = [file for file in demo.state.rglob("*") if file.is_file()]
    assert any(b"create-container" in file.read_bytes() for file in files)
    assert [file for file in files if b"you will not find this" in file.read_bytes()] == []


@pytest.mark.promise("P1")
def test_without_an_engine_the_demo_says_so_in_one_line() -> None:
    done = docker_mcp("demo", env={"DOCKER_HOST": "unix:///nowhere/docker.sock"})
    assert done.returncode == 1
    assert "engine_unreachable: the Docker Engine cannot be reached" in complaint(done)


def test_a_demo_that_may_only_read_fails_and_says_why(image: str) -> None:
    done = docker_mcp("demo", env={"DOCKER_MCP_STDIO_ROLE": "user"})
    assert done.returncode == 1
    assert re.search(r"^FAIL create-container +denied", done.stdout, re.MULTILINE)


def test_an_interrupted_demo_removes_what_it_made(
    engine: docker.APIClient, image: str, nothing_left: list[str]
) -> None:
    began = int(time.time())
    process = subprocess.Popen([*STDIO, "demo"], stdout=subprocess.PIPE, text=True, cwd="/", env=environment())
    nothing_left.append(name := f"docker-mcp-demo-{process.pid}")
    created = {"container": name, "event": "create"}
    next(engine.events(since=began, until=began + LIMIT_S, decode=True, filters=created))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=LIMIT_S)
    assert process.returncode == 128 + signal.SIGINT
    assert left(engine, name) == []


def test_a_demo_that_nobody_reads_any_more_removes_what_it_made(
    engine: docker.APIClient, image: str, nothing_left: list[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.Popen([*STDIO, "demo"], stdout=writing, stderr=writing, cwd="/", env=environment())
    os.close(writing)
    nothing_left.append(name := f"docker-mcp-demo-{process.pid}")
    assert process.wait(LIMIT_S) == 1
    assert left(engine, name) == []


def test_where_there_are_users_it_acts_as_an_administrator(image: str, tmp_path: Path) -> None:
    assert docker_mcp("user", "add", "root-of-all", "--role", "admin").returncode == 0
    done = docker_mcp("demo", env={"DOCKER_MCP_STATE_DIR": str(tmp_path / "state")})
    assert done.returncode == 0, done.stdout + done.stderr
    with closing(sqlite3.connect(tmp_path / "state/ledger.db")) as connection:
        principals = connection.execute("SELECT DISTINCT principal FROM event WHERE tool IS NOT NULL").fetchall()
    assert principals == [("root-of-all",)]
