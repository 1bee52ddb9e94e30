"""A server that is told to end, or whose client goes: what runs is finished, recorded, and answered where it can be."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.protocol.records import SETTLED, Records
from tests.protocol.servers import (
    CLIENT,
    ROOT,
    VERSIONS,
    Era,
    HttpServer,
    Message,
    RawHttp,
    StdioServer,
    bearer,
    environment,
    message,
    running,
)
from tests.waiting import wait_for

pytestmark = pytest.mark.engine

GRACE_S = 4
QUICK_S = 7  # less than the usual grace period


def stopping(container: str, timeout: int) -> Message:
    return {"name": "stop-container", "arguments": {"container_name": container, "timeout": timeout}}


def until_started(records: Records) -> str:
    """The id of the stop command, once the engine has it."""
    command_id = records.the_command("stop-container")
    wait_for(lambda: "execution.started" in records.types(command_id), what="the start")
    return command_id


def ends_in_order(records: Records, command_id: str, *, cancelled: bool) -> None:
    *_, outcome = records.of(command_id)
    assert outcome.type == "command.succeeded"
    assert outcome.data.get("cancel_requested") is (cancelled or None)
    assert records.rows()[-1].type == "server.stopped", "nothing comes after the stop"


@pytest.mark.promise("P5")
def test_a_running_command_is_finished_recorded_and_answered_over_stdio(
    tmp_path: Path, era: Era, stubborn: str
) -> None:
    server = StdioServer(tmp_path, era)
    with running(server):
        asked = server.send("tools/call", stopping(stubborn, 1))
        command_id = until_started(server.records)
        server.signal()
        assert server.answer(asked)["result"]["structuredContent"]["state"] == "exited"
        assert server.exit_code() == 0
        ends_in_order(server.records, command_id, cancelled=False)


@pytest.mark.promise("P5")
def test_a_running_command_is_finished_and_recorded_when_standard_input_ends(tmp_path: Path, stubborn: str) -> None:
    server = StdioServer(tmp_path)
    with running(server):
        server.send("tools/call", stopping(stubborn, 1))
        command_id = until_started(server.records)
        server.close_input()
        server.signal()  # clients of the SDK send it when the server does not end at once
        assert server.exit_code() == 0
        ends_in_order(server.records, command_id, cancelled=True)


@pytest.mark.promise("P5")
def test_a_running_command_is_finished_and_recorded_when_the_client_is_killed(tmp_path: Path, stubborn: str) -> None:
    """Nobody reads the answer: the pipe is broken when the server writes it."""
    records = Records(tmp_path / "ledger.db")
    with (tmp_path / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "server", "stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment(tmp_path),
            cwd=ROOT,
        )
    try:
        assert process.stdin
        assert process.stdout
        hello: Any = {"protocolVersion": VERSIONS["legacy"], "capabilities": {}, "clientInfo": CLIENT}
        for sent in (
            message("initialize", hello, "legacy", 1),
            message("tools/call", stopping(stubborn, 1), "legacy", 2),
        ):
            process.stdin.write(json.dumps(sent).encode() + b"\n")
        process.stdin.flush()
        command_id = until_started(records)
        process.stdout.close()  # first, so that the end of input finds the pipe broken
        process.stdin.close()
        assert process.wait(60) == 0
        ends_in_order(records, command_id, cancelled=True)
        assert "Traceback" not in (tmp_path / "stderr").read_text()
    finally:
        process.kill()
        process.wait(20)


@pytest.mark.promise("P5")
def test_a_running_command_is_finished_recorded_and_answered_over_http(tmp_path: Path, era: Era, stubborn: str) -> None:
    server = HttpServer(tmp_path)
    with running(server):
        talk = RawHttp(server, era)
        answers: list[Message] = []
        asking = threading.Thread(
            target=lambda: answers.append(talk.ask("tools/call", stopping(stubborn, 1))), daemon=True
        )
        asking.start()
        command_id = until_started(server.records)
        server.signal()
        assert server.get("/readyz")[1]["server"] == "stopping"
        late = RawHttp(server, "modern").ask("tools/call", {"name": "list-containers", "arguments": {}})["result"]
        assert late["structuredContent"]["error"]["code"] == "shutting_down"
        assert server.exit_code() == 0
        asking.join(60)
        assert answers[0]["result"]["structuredContent"]["state"] == "exited"
        ends_in_order(server.records, command_id, cancelled=False)
        assert server.records.types(late["structuredContent"]["error"]["command_id"])[-1] == "command.rejected"


@pytest.mark.promise("P9")
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_a_command_that_outlasts_the_grace_period_does_not_hold_up_the_end(
    tmp_path: Path, stubborn: str, transport: str
) -> None:
    grace = {"DOCKER_MCP_SHUTDOWN_GRACE_S": GRACE_S}
    server: Any = (StdioServer if transport == "stdio" else HttpServer)(tmp_path, **grace)  # type: ignore[arg-type]
    with running(server):
        if transport == "stdio":
            server.send("tools/call", stopping(stubborn, 60))
        else:
            talk = RawHttp(server, "legacy")
            threading.Thread(target=_ask_in_vain, args=(talk, stopping(stubborn, 60)), daemon=True).start()
        command_id = until_started(server.records)
        began = time.monotonic()
        server.signal()
        assert server.exit_code() == 1, "not in good order"
        took = time.monotonic() - began
        assert server.records.types(command_id)[-1] == "execution.started", "the next start settles it"
        assert server.records.rows()[-1].type != "server.stopped"
        assert took < 2 * GRACE_S, "one grace period, not two: with the usual 8 s the end has to come within 10 s"


def _ask_in_vain(talk: RawHttp, params: Message) -> None:
    with pytest.raises((OSError, ValueError, EOFError, Exception)):
        talk.ask("tools/call", params)


def test_an_idle_stdio_server_ends_at_once(tmp_path: Path) -> None:
    server = StdioServer(tmp_path)
    with running(server):
        began = time.monotonic()
        server.signal(signal.SIGINT)
        assert server.exit_code() == 0
        assert time.monotonic() - began < QUICK_S
        assert [row.type for row in server.records.rows()] == ["server.started", "policy.loaded", "server.stopped"]
        assert server.records.rows()[-1].data["reason"] == "the process was told to end"


def test_a_stdio_server_whose_client_says_nothing_and_goes_ends_at_once(tmp_path: Path) -> None:
    server = StdioServer(tmp_path, greet=False)
    with running(server):
        wait_for(lambda: server.records.path.exists() and server.records.rows(), what="the start")
        server.close_input()
        assert server.exit_code() == 0
        assert [row.type for row in server.records.rows()] == ["server.started", "policy.loaded", "server.stopped"]
        assert server.raw_lines == []


def test_an_idle_http_server_ends_at_once_though_clients_listen(tmp_path: Path) -> None:
    server = HttpServer(tmp_path)
    with running(server):
        talk = RawHttp(server, "legacy")
        listening = _listen(talk)
        began = time.monotonic()
        server.signal()
        assert server.exit_code() == 0
        assert time.monotonic() - began < QUICK_S
        assert server.records.rows()[-1].type == "server.stopped"
        listening.close()


def _listen(talk: RawHttp) -> Any:
    """The stream that clients of the older protocol keep open for messages of the server."""
    connection = http.client.HTTPConnection("127.0.0.1", talk.server.port, timeout=10)
    connection.request("GET", "/mcp", None, talk.headers("", None) | bearer() | {"Accept": "text/event-stream"})
    assert connection.getresponse().status == 200
    return connection


@pytest.mark.promise("P2")
def test_calls_just_before_the_end_of_input_are_all_in_the_log(tmp_path: Path, era: Era) -> None:
    server = StdioServer(tmp_path, era)
    with running(server):
        calls: list[tuple[str, Any]] = [
            ("tools/call", {"name": "list-containers", "arguments": {}}),
            ("tools/call", {"name": "inspect-container", "arguments": {"container_name": "dmt-nobody"}}),
            ("tools/call", {"name": "stop-container", "arguments": {"container_name": "dmt-nobody"}}),
            ("tools/call", {"name": "no-such-tool", "arguments": {}}),
            ("tools/call", {"name": "get-logs", "arguments": []}),
            ("prompts/get", {"name": "audit-logs", "arguments": {"limit": 1}}),
        ]
        for method, params in calls:
            server.send(method, params)
        server.close_input()
        assert server.exit_code(10) == 0
        recorded = [server.records.of(command_id)[-1].status for command_id in server.records.commands()]
        assert len(recorded) == len(calls)
        assert set(recorded) <= SETTLED


def test_what_the_server_starts_does_not_inherit_the_wire(stdio_legacy: StdioServer) -> None:
    assert str(Path(f"/proc/{stdio_legacy.process.pid}/fd/0").readlink()) == os.devnull
