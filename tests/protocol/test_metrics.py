"""Metrics of a real server: they say what the log says, to whoever may scrape, whatever callers try."""

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from domain.catalogue import CATALOGUE
from domain.projections.metrics import FOLDED, LIVE
from tests.conftest import free_port
from tests.engine_proxy import EngineProxy, Fault
from tests.protocol.records import Row
from tests.protocol.servers import KEY, NO_COMMAND, HttpServer, RawHttp, running, write_users
from tests.scraped import OPENMETRICS, Scraped
from tests.waiting import BUSY_S, wait_for

TOKEN = "scrape-" + "t" * 32
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
FINAL = {"success", "failed", "rejected", "denied", "cancelled", "refused", "expired"}


def scrape(server: HttpServer, path: str = "/prometheus", accept: str = "", **headers: str) -> Scraped:
    status, body, answered = server.request("GET", path, headers={"Accept": accept, **headers})
    assert status == 200, body
    return Scraped(body, answered["Content-Type"])


def drive(server: HttpServer) -> None:
    """Calls of every kind: allowed, failing, denied, malformed, unknown, with and without a trace."""
    admin = RawHttp(server, "modern")
    for trace in (None, TRACE):
        meta = {"_meta": {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}} if trace else {}
        admin.ask("tools/call", {"name": "list-containers", "arguments": {}, **meta})
    admin.ask("tools/call", NO_COMMAND)
    admin.ask("tools/call", {"name": "stop-container", "arguments": {"container_name": "no-such-thing"}})
    admin.ask("tools/call", {"name": "stop-container", "arguments": {"wrong": 1}})
    admin.ask("tools/call", {"name": "no-such-tool", "arguments": {}})
    reader = RawHttp(server, "modern", "reader")
    reader.ask("tools/call", {"name": "network-create", "arguments": {"name": "never"}})
    RawHttp(server, "modern", None).ask("tools/call", {"name": "list-containers"})
    server.post(b"{}", {"Authorization": "Bearer wrong"}, None)


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    """A server that was called in every way."""
    server = HttpServer(tmp_path_factory.mktemp("metrics"))
    with running(server):
        write_users(server.state, admin="admin", reader="user")
        wait_for(lambda: RawHttp(server, "modern", "reader").ask("tools/list").get("result"), what="the new user")
        drive(server)
        yield server


def of_the_log(rows: list[Row]) -> dict[str, Counter[tuple[str, ...]]]:
    """Counted anew from the rows, without any code of ours."""
    ended = [row for row in rows if row.tool and row.status in FINAL]
    return {
        "docker_mcp_commands_total": Counter((str(row.status), row.role, str(row.tool)) for row in ended),
        "docker_mcp_events_total": Counter((row.type,) for row in rows),
        "docker_mcp_denials_total": Counter(
            (row.data["rule"], str(row.tool)) for row in rows if row.type == "command.denied"
        ),
        "docker_mcp_authentications_total": Counter(
            ("success" if row.type.endswith("succeeded") else "failed",)
            for row in rows
            if row.type.startswith("authentication.")
        ),
        "docker_mcp_command_duration_seconds_count": Counter(
            (str(row.tool),) for row in ended if "duration_us" in row.data
        ),
    }


@pytest.mark.engine
@pytest.mark.promise("P8")
@pytest.mark.parametrize("accept", ["", OPENMETRICS["Accept"]], ids=["text", "OpenMetrics"])
def test_what_is_scraped_is_what_the_log_holds(driven: HttpServer, accept: str) -> None:
    told = scrape(driven, accept=accept)
    rows = driven.records.rows()
    for name, counted in of_the_log(rows).items():
        assert counted, name
        found = {labels: value for labels, value in told.values(name).items() if labels != ("checkpoint.signed",)}
        assert found == counted, name
    seconds = sum(row.data.get("duration_us", 0) for row in rows if row.tool == "list-containers") / 1e6
    assert told.value("docker_mcp_command_duration_seconds_sum", "list-containers") == pytest.approx(seconds)
    assert told.value("docker_mcp_log_position") == driven.records.head()
    assert told.value("docker_mcp_commands_unfinished") == 0
    assert told.value("docker_mcp_oldest_unfinished_seconds") == 0
    assert told.value("docker_mcp_projection_lag_events") == 0
    assert told.value("docker_mcp_log_size_bytes") >= 4096
    assert told.value("docker_mcp_engine_up", "local") == 1
    assert (told.value("docker_mcp_log_up"), told.value("docker_mcp_chain_intact")) == (1, 1)


@pytest.mark.engine
def test_the_chain_is_followed(driven: HttpServer) -> None:
    head = driven.records.head()
    wait_for(lambda: scrape(driven).value("docker_mcp_chain_verified_position") >= head, what="the chain")


@pytest.mark.engine
def test_every_declared_metric_is_told_and_no_other(driven: HttpServer) -> None:
    told = scrape(driven, "/metrics")
    assert told.names == {metric.name for metric in (*FOLDED, *LIVE)}
    declared = {metric.name.removesuffix("_total"): metric for metric in (*FOLDED, *LIVE)}
    for family in told.families:
        assert family.documentation == declared[family.name].help
        assert family.type == declared[family.name].kind
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(declared[family.name].labels)


@pytest.mark.engine
def test_openmetrics_leads_from_a_bucket_to_the_trace_of_a_command_in_it(driven: HttpServer) -> None:
    (found,) = scrape(driven, accept=OPENMETRICS["Accept"]).exemplars()
    labels, _, exemplar = found
    (row,) = [row for row in driven.records.rows() if row.trace_id == TRACE and row.status == "success"]
    assert labels["tool"] == "list-containers"
    assert exemplar.labels == {"trace_id": TRACE}
    assert exemplar.value == row.data["duration_us"] / 1e6 <= float(labels["le"])
    assert abs(float(str(exemplar.timestamp)) - time.time()) < 120
    assert scrape(driven).exemplars() == []


@pytest.mark.promise("P9")
def test_no_caller_makes_a_series(http_server: HttpServer) -> None:
    talk = RawHttp(http_server, "modern")
    talk.ask("tools/call", NO_COMMAND)
    before, hostile = scrape(http_server), ""
    for number in range(5):
        hostile = f'tool-{number}"}} evil{{x="'
        talk.ask("tools/call", {"name": hostile, "arguments": {hostile: hostile}})
        talk.ask("prompts/get", {"name": hostile})
        talk.ask("tools/call", {**NO_COMMAND, "_meta": {"purpose": hostile, "correlation_id": hostile}})
    http_server.post(b"{}", {"Authorization": f"Bearer {hostile}:1:2"}, None)
    after = scrape(http_server)
    assert after.labels("tool") <= {tool.name for tool in CATALOGUE} | {"_unknown"}
    assert after.labels("role") <= {"admin", "user", "none"}
    new = after.labels("outcome") | after.labels("rule") | after.labels("type")
    assert "evil" not in str(new)
    assert len(after.values("docker_mcp_commands_total")) <= len(before.values("docker_mcp_commands_total")) + 3


def test_a_token_is_needed_once_there_is_one(tmp_path: Path) -> None:
    server = HttpServer(tmp_path, DOCKER_MCP_METRICS_TOKEN=TOKEN)
    with running(server):
        for wrong in ({}, {"Authorization": f"Bearer {KEY}admin"}, {"Authorization": f"Basic {TOKEN}"}):
            status, body, headers = server.request("GET", "/prometheus", headers=wrong)
            assert (status, b"docker_mcp" in body) == (401, False)
            assert headers["WWW-Authenticate"].startswith("Bearer")
        assert scrape(server, Authorization=f"Bearer {TOKEN}").value("docker_mcp_log_up") == 1
        assert server.get("/healthz")[0] == 200
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": NO_COMMAND}).encode()
        assert server.post(body, {"Authorization": f"Bearer {TOKEN}"}, None)[0] == 401, "it opens nothing else"
        assert TOKEN not in server.stderr()


def test_without_a_token_only_this_machine_scrapes(tmp_path: Path) -> None:
    server = HttpServer(tmp_path, DOCKER_MCP_ALLOWED_HOSTS="docker.example")
    with running(server):
        for host in ("localhost", f"localhost:{server.port}", "127.0.0.1"):
            assert server.request("GET", "/metrics", headers={"Host": host})[0] == 200, host
        status, body, _ = server.request("GET", "/metrics", headers={"Host": "docker.example"})
        assert (status, b"DOCKER_MCP_METRICS_TOKEN" in body) == (403, True)
        assert server.request("GET", "/metrics", headers={"Host": "evil.example"})[0] == 421
        assert server.request("POST", "/metrics", b"")[0] == 405
    behind = HttpServer(tmp_path, port=free_port(), DOCKER_MCP_TLS="terminated-upstream")
    with running(behind):
        wait_for(behind._answers, what="the server behind a proxy")
        assert behind.request("GET", "/metrics")[0] == 403


@pytest.mark.promise("P9")
def test_an_engine_that_hangs_does_not_hang_a_scrape(tmp_path: Path, proxy: EngineProxy) -> None:
    server = HttpServer(tmp_path, DOCKER_HOST=proxy.url)
    with running(server):
        wait_for(lambda: scrape(server).value("docker_mcp_engine_up", "local") == 1, what="the engine")
        proxy.fail("", Fault.HANG)
        for _ in range(2):
            began = time.monotonic()
            assert scrape(server).value("docker_mcp_engine_up", "local") == 0
            assert time.monotonic() - began < BUSY_S


def test_a_log_that_cannot_be_read_is_told_beside_what_can(tmp_path: Path) -> None:
    server = HttpServer(tmp_path)
    with running(server):
        assert scrape(server).value("docker_mcp_log_up") == 1
        taken = tmp_path / "elsewhere.db"
        server.records.path.rename(taken)
        told = [scrape(server) for _ in range(2)][-1]
        assert told.value("docker_mcp_log_up") == 0
        assert server.stderr().count("the metrics of the log cannot be told") == 1
        assert told.names == {
            f"docker_mcp_{name}" for name in ("engine_up", "log_up", "chain_intact", "chain_verified_position")
        }
        taken.rename(server.records.path)
        assert scrape(server).value("docker_mcp_log_up") == 1


@pytest.mark.promise("P4")
def test_tampering_is_a_metric(tmp_path: Path) -> None:
    server = HttpServer(tmp_path, DOCKER_MCP_VERIFY_INTERVAL_S=1)
    with running(server):
        wait_for(lambda: scrape(server).value("docker_mcp_chain_verified_position") > 0, what="the first look")
        with closing(sqlite3.connect(server.records.path, timeout=10, isolation_level=None)) as hand:
            hand.execute("DROP TRIGGER event_no_update")
            hand.execute("UPDATE event SET principal = 'somebody else' WHERE position = 2")
        wait_for(lambda: scrape(server).value("docker_mcp_chain_intact") == 0, what="the alarm")
