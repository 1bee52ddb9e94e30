"""Floods that come over the network: callers without credentials do not fill the log, and hide nobody's records."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.protocol.servers import KEY, HttpServer, RawHttp, StdioServer, running
from tests.waiting import wait_for

pytestmark = pytest.mark.promise("P2", "P9")

LIMIT = 3
FLOOD = 12
_HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HttpServer]:
    started = HttpServer(tmp_path, DOCKER_MCP_REFUSALS_PER_MINUTE=LIMIT)
    with running(started):
        yield started


def call(server: HttpServer, **headers: str) -> tuple[int, dict[str, Any]]:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list-containers", "arguments": {}}}
    status, answer, _ = server.request("POST", "/mcp", json.dumps(body).encode(), _HEADERS | headers)
    return status, json.loads(answer)


def counted(server: HttpServer | StdioServer) -> dict[tuple[str, str | None], dict[str, int]]:
    rows = [row for row in server.records.rows() if row.type == "calls.suppressed"]
    return {(row.principal, row.data.get("source")): dict(row.data["codes"]) for row in rows}


def test_a_flood_without_credentials_is_refused_alike_and_counted(server: HttpServer) -> None:
    answers = [call(server) for _ in range(FLOOD)]
    assert {status for status, _ in answers} == {401}
    assert ["counted in the log, not recorded" in told["error"]["message"] for _, told in answers] == (
        [False] * LIMIT + [True] * (FLOOD - LIMIT)
    )
    talk = RawHttp(server, "modern")
    error = talk.ask("tools/call", {"name": "no-such-tool", "arguments": {}})["result"]["structuredContent"]["error"]
    assert server.records.types(error["command_id"]) == ["command.received", "command.rejected"]
    rejected = Counter(row.principal for row in server.records.rows() if row.type == "command.rejected")
    assert rejected == {"anonymous": LIMIT, "admin": 1}
    server.signal()
    assert server.exit_code() == 0
    assert counted(server) == {("anonymous", "127.0.0.1"): {"unauthenticated": FLOOD - LIMIT}}


def test_wrong_credentials_are_counted_by_their_address(server: HttpServer) -> None:
    for _ in range(LIMIT + 2):
        assert call(server, Authorization=f"Bearer {KEY}wrong")[0] == 401
    wait_for(lambda: sum(row.type == "authentication.failed" for row in server.records.rows()) == LIMIT)
    server.signal()
    assert server.exit_code() == 0
    assert counted(server) == {("anonymous", "127.0.0.1"): {"authentication.failed": 2}}


@pytest.mark.parametrize("method", ["tools/call", "prompts/get"])
def test_a_counted_call_has_no_command_id(method: str, tmp_path: Path) -> None:
    server = StdioServer(tmp_path, "legacy", DOCKER_MCP_REFUSALS_PER_MINUTE=LIMIT)
    with running(server):
        for params in ({"name": "no-such"}, {"name": ["not a name"]}):
            answers = [server.ask(method, params) for _ in range(LIMIT + 1)]
            assert "counted in the log, not recorded" in json.dumps(answers[-1])
            assert "command_id" not in json.dumps(answers[-1])
        server.close_input()
        assert server.exit_code() == 0
        codes = {"tools/call": "unknown_tool", "prompts/get": "unknown_tool"}
        assert counted(server) == {(server.principal, None): {codes[method]: 1, "invalid_arguments": LIMIT + 1}}
