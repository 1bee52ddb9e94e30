"""Servers that tests share, and a look afterwards that none is left."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from tests.conftest import Serve
from tests.otlp import Receiver, receiving
from tests.protocol.servers import Era, HttpServer, Raw, RawHttp, StdioServer, running
from tests.protocol.throwaway import Gate
from tests.protocol.throwaway_server import HTTP, STDIO
from tests.protocol.wires import WIRES, Connect, connecting

RAW_WIRES = [(transport, era) for transport in ("stdio", "http") for era in ("legacy", "modern")]


@pytest.fixture(scope="session", autouse=True)
def _no_process_left() -> Iterator[None]:
    yield
    ours = (" -m server ", "tests.protocol.throwaway_server")
    assert [command for _, command in _children() if any(name in command for name in ours)] == []


def _children() -> list[tuple[int, str]]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (OSError, ValueError):
                continue
            if parent == os.getpid():
                found.append((int(entry.name), command))
    return found


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as opened:
        yield opened


@pytest.fixture(scope="session")
def http_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    server = HttpServer(tmp_path_factory.mktemp("http"))
    with running(server):
        yield server


@pytest.fixture(scope="session")
def stdio_legacy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StdioServer]:
    server = StdioServer(tmp_path_factory.mktemp("stdio"), "legacy")
    with running(server):
        yield server


@pytest.fixture(scope="session")
def stdio_modern(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StdioServer]:
    server = StdioServer(tmp_path_factory.mktemp("stdio"), "modern")
    with running(server):
        yield server


@pytest.fixture(scope="session")
def slow_http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    """A server with the throw-away tools."""
    server = HttpServer(tmp_path_factory.mktemp("http"), HTTP)
    with running(server):
        yield server


@pytest.fixture(scope="session")
def slow_stdio_legacy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StdioServer]:
    server = StdioServer(tmp_path_factory.mktemp("stdio"), "legacy", STDIO)
    with running(server):
        yield server


@pytest.fixture(scope="session")
def slow_stdio_modern(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StdioServer]:
    server = StdioServer(tmp_path_factory.mktemp("stdio"), "modern", STDIO)
    with running(server):
        yield server


@pytest.fixture(params=["legacy", "modern"])
def era(request: pytest.FixtureRequest) -> Era:
    found: Era = request.param
    return found


@pytest.fixture
def slow_stdio(request: pytest.FixtureRequest, era: Era) -> StdioServer:
    found: StdioServer = request.getfixturevalue(f"slow_stdio_{era}")
    return found


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    directory = tmp_path / "gate"
    directory.mkdir()
    made = Gate(directory)
    yield made
    made.release()


@pytest.fixture(params=RAW_WIRES, ids="-".join)
def raw(request: pytest.FixtureRequest) -> Raw:
    """Raw JSON-RPC over each transport in each era, to servers that all tests share."""
    transport, era = request.param
    if transport == "http":
        return RawHttp(request.getfixturevalue("http_server"), era)
    found: StdioServer = request.getfixturevalue(f"stdio_{era}")
    return found


@pytest.fixture(params=WIRES, ids="-".join)
def connect(request: pytest.FixtureRequest, serve: Serve, tmp_path: Path) -> Connect:
    """A real client on each transport in each era: ``async with connect() as wire``."""
    transport, era = request.param
    return connecting(transport, era, serve, tmp_path, lambda: request.getfixturevalue("http_server"))


@pytest.fixture
def stubborn(engine: docker.APIClient, image: str, name: Callable[[str], str]) -> str:
    """The name of a container that ends only when it is killed."""
    command = ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]
    made = engine.create_container(image, command, name=name("stubborn"))
    engine.start(made["Id"])
    return name("stubborn")
