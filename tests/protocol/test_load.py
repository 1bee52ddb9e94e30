"""Many calls at once: a slow kind holds up only its own, and past the limit there is a clear answer."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.protocol.servers import NO_COMMAND, HttpServer, RawHttp, StdioServer, running
from tests.protocol.throwaway import Gate
from tests.protocol.throwaway_server import HTTP, STDIO
from tests.waiting import BUSY_S, wait_for

MANY = 40


@pytest.mark.promise("P9", "P2")
def test_forty_slow_calls_do_not_hold_up_a_quick_one(tmp_path: Path, gate: Gate) -> None:
    server = StdioServer(
        tmp_path / "server", "modern", STDIO, DOCKER_MCP_ENGINE_WORKERS=16, DOCKER_MCP_QUEUE_LIMIT=MANY + 1
    )
    with running(server):
        slow = [server.send("tools/call", gate.params(f"n{number}")) for number in range(MANY)]
        began = time.monotonic()
        assert (
            server.ask("tools/call", NO_COMMAND)["result"]["structuredContent"]["error"]["code"] == "command_not_found"
        )
        assert "tools" in server.ask("tools/list")["result"]
        assert time.monotonic() - began < BUSY_S
        assert len(gate.started()) <= 16

        server.send("tools/call", gate.params("one-more"))
        refused = server.ask("tools/call", NO_COMMAND)["result"]
        error = refused["structuredContent"]["error"]
        assert (refused["isError"], error["code"]) == (True, "overloaded")
        assert "call again" in error["hint"]
        rows = server.records.of(error["command_id"])
        assert [(row.type, row.tool) for row in rows] == [
            ("command.received", "get-command"),
            ("command.rejected", "get-command"),
        ]
        assert rows[-1].data["code"] == "overloaded"

        gate.release()
        answers: dict[Any, Any] = {}
        while len(answers) < MANY:
            found = server.next_message()
            assert found
            if found.get("id") in slow:
                answers[found["id"]] = found["result"]
        assert all(not answer.get("isError") for answer in answers.values())
        assert server.ask("tools/call", NO_COMMAND)["result"]["structuredContent"]["error"]["code"] != "overloaded"


@pytest.mark.promise("P9")
def test_an_overloaded_server_still_tells_how_it_is(tmp_path: Path, gate: Gate) -> None:
    server = HttpServer(tmp_path / "server", HTTP, DOCKER_MCP_ENGINE_WORKERS=1, DOCKER_MCP_QUEUE_LIMIT=2)
    with running(server):
        talk = RawHttp(server, "modern")
        waiting = [talk.call_and_leave(gate.params(f"n{number}"), 900 + number) for number in range(2)]
        wait_for(gate.started, what="the start of one of them")
        assert server.get("/healthz") == (200, {"status": "ok"})
        began = time.monotonic()
        status, told = server.get("/readyz")
        assert (status, told["status"]) == (503, "not ready")
        assert time.monotonic() - began < BUSY_S
        gate.release()
        assert [connection.getresponse().status for connection in waiting] == [200, 200]
        for connection in waiting:
            connection.close()
