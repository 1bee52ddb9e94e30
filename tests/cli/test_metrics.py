"""``docker-mcp metrics``: prints what the log holds, and serves it where no HTTP server runs."""

import http.client
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from domain.projections.metrics import CHAIN_INTACT, CHAIN_VERIFIED_POSITION, FOLDED, LIVE
from server.bootstrap import new_id, now_ms
from tests.cli.command import Variables, complaint, docker_mcp, environment, log_at
from tests.conftest import free_port
from tests.contract.events import life
from tests.forked import ForkedProcess
from tests.scraped import OPENMETRICS, Scraped
from tests.waiting import wait_for

OF_A_LOG = {metric.name for metric in (*FOLDED, *LIVE)} - {CHAIN_INTACT.name, CHAIN_VERIFIED_POSITION.name}


@pytest.fixture
def log(location: Location) -> Location:
    store = SqlEventStore(location, now_ms, new_id())
    for _ in range(3):
        store.append(life()).result(30)
    store.close()
    return location


@contextmanager
def served(env: Variables, port: int, errors: Path) -> Iterator[ForkedProcess]:
    with errors.open("wb") as stderr:
        words = ["server", "metrics", "--serve", f"127.0.0.1:{port}"]
        process = ForkedProcess(words, environment(env), "/", stderr)
    try:
        yield process
    finally:
        process.kill()
        process.wait(20)


def scrape(port: int, **headers: str) -> tuple[int, bytes, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", "/prometheus", headers=headers)
        response = connection.getresponse()
        return response.status, response.read(), response.headers["Content-Type"]
    finally:
        connection.close()


def test_the_metrics_of_a_log_are_printed(log: Location) -> None:
    told = Scraped(docker_mcp("metrics", env=log_at(log)).stdout.encode())
    assert told.names == OF_A_LOG
    assert told.value("docker_mcp_commands_total", "success", "admin", "stop-container") == 3
    assert told.value("docker_mcp_log_position") == 12


def test_openmetrics_can_be_asked_for(log: Location) -> None:
    printed = docker_mcp("metrics", "--openmetrics", env=log_at(log)).stdout
    assert printed.endswith("# EOF\n")
    told = Scraped(printed.encode(), "application/openmetrics-text; version=1.0.0")
    assert told.value("docker_mcp_events_total", "command.received") == 3


def test_a_small_endpoint_serves_them_and_ends_in_good_order(log: Location, tmp_path: Path) -> None:
    port, errors = free_port(), tmp_path / "stderr"
    token = "scrape-" + "s" * 32
    with served({**log_at(log), "DOCKER_MCP_METRICS_TOKEN": token}, port, errors) as process:
        where = f"docker-mcp: metrics on 127.0.0.1:{port}/prometheus\n"
        wait_for(lambda: errors.read_text().startswith(where), what="the endpoint")
        assert scrape(port)[0] == 401
        status, body, content_type = scrape(port, **OPENMETRICS, Authorization=f"Bearer {token}")
        told = Scraped(body, content_type)
        assert (status, told.names) == (200, OF_A_LOG)
        assert told.value("docker_mcp_commands_total", "success", "admin", "stop-container") == 3
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


@pytest.mark.parametrize("address", ["9464", "localhost:", "localhost:x", ":1", "localhost:70000"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    assert "HOST:PORT" in complaint(docker_mcp("metrics", "--serve", address))


def test_wrong_uses_are_one_clear_line(sqlite_location: Location) -> None:
    assert "for --serve only" in complaint(docker_mcp("metrics", "localhost:9464"))
    assert "TLS" in complaint(docker_mcp("metrics", "--serve", "0.0.0.0:9464"))
    elsewhere = {"DOCKER_MCP_TLS": "terminated-upstream", "DOCKER_MCP_METRICS_TOKEN": "t" * 16}
    nobody = docker_mcp("metrics", "--serve", "nobody..here:9464", env=elsewhere)
    assert complaint(nobody).startswith("docker-mcp: configuration: nobody..here has no address here")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = docker_mcp("metrics", "--serve", f"127.0.0.1:{taken.getsockname()[1]}")
    assert complaint(done).endswith("stop the program that uses it or name another one behind --serve")
    refused = docker_mcp("metrics", env=log_at(sqlite_location))
    assert "log_unavailable" in complaint(refused)
    assert refused.returncode == 1
    assert sqlite_location.path
    assert not sqlite_location.path.exists(), "a look makes no log"
