"""How a server says that it is there, that it is ready, and why it cannot start."""

import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import docker
import pytest

from tests.engine_proxy import EngineProxy, Fault
from tests.protocol.servers import HttpServer, Process, RawHttp, running
from tests.waiting import BUSY_S, wait_for


@pytest.mark.engine
def test_a_server_with_log_and_engine_is_ready(http_server: HttpServer) -> None:
    assert http_server.get("/healthz") == (200, {"status": "ok"})
    assert http_server.get("/readyz") == (200, {"status": "ready"})
    assert http_server.request("GET", "/nothing-here")[0] == 404


def test_without_an_engine_a_server_starts_and_says_what_is_wrong(tmp_path: Path) -> None:
    server = HttpServer(tmp_path, DOCKER_HOST=f"unix://{tmp_path}/no.sock")
    with running(server):
        assert server.get("/healthz")[0] == 200
        status, told = server.get("/readyz")
        assert (status, told["status"]) == (503, "not ready")
        assert "cannot be reached" in told["engine"]
        answer = RawHttp(server, "modern").ask("tools/call", {"name": "list-containers", "arguments": {}})["result"]
        error = answer["structuredContent"]["error"]
        assert (answer["isError"], error["code"]) == (True, "engine_unreachable")
        assert "DOCKER_HOST" in error["hint"]
        assert server.records.types(error["command_id"])[-1] == "command.failed"


@pytest.mark.promise("P9")
def test_an_engine_that_hangs_does_not_hang_the_health_check(tmp_path: Path, proxy: EngineProxy) -> None:
    proxy.fail("", Fault.HANG)
    server = HttpServer(tmp_path, DOCKER_HOST=proxy.url)
    with running(server):
        began = time.monotonic()
        assert server.get("/readyz")[0] == 503
        assert time.monotonic() - began < BUSY_S
        assert server.get("/healthz")[0] == 200


def expect_refused(talk: RawHttp, network: str) -> None:
    for tool, arguments in (("list-containers", {}), ("network-create", {"name": network}), ("no-such-tool", {})):
        answer = talk.ask("tools/call", {"name": tool, "arguments": arguments})["result"]
        assert answer["isError"], tool
        assert answer["structuredContent"]["error"]["code"] == "log_unavailable", tool


def expect_ready(server: HttpServer, talk: RawHttp) -> None:
    assert not talk.ask("tools/call", {"name": "list-containers", "arguments": {}})["result"].get("isError")
    # What could not be recorded in the meantime is still being tried.
    wait_for(lambda: server.get("/readyz") == (200, {"status": "ready"}), what="the server to be ready")


@pytest.mark.engine
@pytest.mark.promise("P1")
def test_when_the_log_cannot_be_written_nothing_runs_and_the_server_says_so(
    tmp_path: Path, engine: docker.APIClient, name: Callable[[str], str]
) -> None:
    server = HttpServer(tmp_path, DOCKER_MCP_APPEND_TIMEOUT_S=0.3)
    with running(server), closing(sqlite3.connect(server.records.path, isolation_level=None)) as other:
        talk = RawHttp(server, "legacy")
        other.execute("BEGIN EXCLUSIVE")
        status, told = server.get("/readyz")
        assert (status, told["status"]) == (503, "not ready")
        assert "log" in told
        expect_refused(talk, name("never"))
        assert engine.networks(names=[name("never")]) == []
        other.execute("ROLLBACK")
        expect_ready(server, talk)


def test_a_server_becomes_ready_again_without_being_called(tmp_path: Path) -> None:
    server = HttpServer(tmp_path, DOCKER_MCP_APPEND_TIMEOUT_S=0.3)
    with running(server), closing(sqlite3.connect(server.records.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert "log" in server.get("/readyz")[1]
        other.execute("ROLLBACK")
        wait_for(lambda: "log" not in server.get("/readyz")[1], what="the log")


@pytest.mark.engine
@pytest.mark.promise("P1")
def test_when_the_log_was_taken_away_no_new_one_is_begun_in_its_place(
    tmp_path: Path, name: Callable[[str], str]
) -> None:
    server = HttpServer(tmp_path)
    with running(server):
        talk = RawHttp(server, "legacy")
        taken = tmp_path / "elsewhere.db"
        server.records.path.rename(taken)
        expect_refused(talk, name("never"))
        assert server.get("/readyz")[0] == 503
        taken.rename(server.records.path)
        expect_ready(server, talk)


@pytest.fixture(scope="module")
def too_late(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    """A server whose port another program has, after its end."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = HttpServer(tmp_path_factory.mktemp("late"), port=listener.getsockname()[1], LOG_LEVEL="INFO")
        with running(server):
            server.exit_code()
            yield server


def test_a_port_in_use_is_one_clear_line(too_late: HttpServer) -> None:
    assert too_late.exit_code() == 1
    complaints = [line for line in too_late.stderr().splitlines() if line.startswith("docker-mcp: ")]
    assert complaints == [
        f"docker-mcp: port_in_use: port {too_late.port} cannot be used: address already in use"
        " - stop the program that uses it or set DOCKER_MCP_PORT"
    ]
    assert "Traceback" not in too_late.stderr()
    assert "ERROR" not in too_late.stderr()


def test_a_server_that_could_not_listen_has_stopped_for_the_log_too(too_late: HttpServer) -> None:
    recorded = [row.type for row in too_late.records.rows()] if too_late.records.path.exists() else []
    assert recorded in ([], ["server.started", "policy.loaded", "server.stopped"])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "evil.example"])
def test_an_address_that_others_could_reach_stops_the_start(tmp_path: Path, host: str) -> None:
    server = Process(["server", "http"], tmp_path, DOCKER_MCP_HOST=host)
    with running(server):
        assert server.exit_code() == 2
    (line,) = server.stderr().splitlines()
    assert line.startswith("docker-mcp: configuration: beyond loopback the server speaks TLS only")
    assert "DOCKER_MCP_TLS_CERT" in line
    assert not server.records.path.exists()
