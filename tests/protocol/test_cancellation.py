"""A client that gives up, or is gone, does not undo what has begun; and what has not begun never begins."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mcp import MCPError

from tests.protocol.servers import NO_COMMAND, Era, HttpServer, Message, RawHttp, StdioServer, bearer, running
from tests.protocol.throwaway import Gate
from tests.protocol.throwaway_server import STDIO
from tests.protocol.wires import http_client
from tests.waiting import wait_for

STARTED = ["command.received", "command.authorized", "execution.started"]


@pytest.fixture
def stdio(tmp_path: Path, era: Era) -> Iterator[StdioServer]:
    server = StdioServer(tmp_path / "server", era, STDIO)
    with running(server):
        yield server


def ended(ask: Callable[[str, Message], Message], command_id: str) -> Message:
    """What get-command says of a command."""
    called = {"name": "get-command", "arguments": {"command_id": command_id}}
    story: Message = ask("tools/call", called)["result"]["structuredContent"]
    return story


@pytest.mark.promise("P2", "P5")
def test_a_cancelled_call_runs_to_its_outcome_on_stdio(slow_stdio: StdioServer, gate: Gate) -> None:
    start = slow_stdio.records.head()
    number = slow_stdio.send("tools/call", gate.params("one"))
    gate.wait_until_started("one")
    slow_stdio.tell("notifications/cancelled", {"requestId": number, "reason": "no patience"})
    slow_stdio.ask("tools/list")  # messages are read in turn: the cancellation has arrived
    command_id = slow_stdio.records.the_command("hold", start)
    assert slow_stdio.records.types(command_id) == STARTED
    gate.release()
    outcome = slow_stdio.records.outcome(command_id)
    assert (outcome.type, outcome.data["cancel_requested"]) == ("command.succeeded", True)
    assert gate.done() == {"one"}
    story = ended(slow_stdio.ask, command_id)
    assert (story["status"], story["events"][-1]["data"]["cancel_requested"]) == ("success", True)
    assert not any(json.loads(line).get("id") == number for line in slow_stdio.raw_lines), (
        "a cancelled call has no answer"
    )


@pytest.mark.promise("P2", "P5")
def test_a_call_runs_to_its_outcome_when_standard_input_ends(stdio: StdioServer, gate: Gate) -> None:
    stdio.send("tools/call", gate.params("one"))
    gate.wait_until_started("one")
    command_id = stdio.records.the_command("hold")
    stdio.close_input()
    assert stdio.next_message() is not None, "the caller hears that nobody will answer"
    assert stdio.records.types(command_id) == STARTED
    gate.release()
    assert stdio.exit_code() == 0
    outcome = stdio.records.outcome(command_id)
    assert (outcome.type, outcome.data["cancel_requested"]) == ("command.succeeded", True)
    assert stdio.records.rows()[-1].type == "server.stopped"


@pytest.mark.promise("P2")
def test_a_call_cancelled_while_it_waits_its_turn_never_begins(slow_stdio: StdioServer, gate: Gate) -> None:
    start = slow_stdio.records.head()
    slow_stdio.send("tools/call", gate.params("same"))
    gate.wait_until_started("same")
    first = slow_stdio.records.the_command("hold", start)
    second = slow_stdio.send("tools/call", gate.params("same"))
    slow_stdio.ask("tools/list")
    slow_stdio.tell("notifications/cancelled", {"requestId": second})
    slow_stdio.ask("tools/list")
    gate.release()
    assert slow_stdio.records.outcome(first).type == "command.succeeded"
    wait_for(lambda: len(slow_stdio.records.commands("hold", start)) == 2, what="the second call")
    waiting = slow_stdio.records.commands("hold", start)[1]
    assert slow_stdio.records.outcome(waiting).type == "command.cancelled"
    assert gate.done() == {"same"}
    assert slow_stdio.records.types(waiting) == ["command.received", "command.authorized", "command.cancelled"]


@pytest.mark.promise("P2")
def test_a_call_that_waits_its_turn_is_in_the_log_already(slow_stdio: StdioServer, gate: Gate) -> None:
    start = slow_stdio.records.head()
    slow_stdio.send("tools/call", gate.params("same"))
    gate.wait_until_started("same")
    slow_stdio.send("tools/call", gate.params("same"))
    slow_stdio.ask("tools/call", NO_COMMAND)
    assert len(slow_stdio.records.commands("hold", start)) == 2, "killed now, nobody would know of the second call"


@pytest.mark.promise("P2", "P5")
def test_a_call_runs_to_its_outcome_when_its_connection_is_lost(slow_http: HttpServer, gate: Gate, era: Era) -> None:
    talk = RawHttp(slow_http, era)
    start = slow_http.records.head()
    connection = talk.call_and_leave(gate.params("one"), 71)
    gate.wait_until_started("one")
    connection.close()
    for _ in range(3):
        talk.ask("tools/list")  # by then the server has seen the end of the connection
    command_id = slow_http.records.the_command("hold", start)
    assert slow_http.records.types(command_id) == STARTED
    gate.release()
    outcome = slow_http.records.outcome(command_id)
    assert outcome.type == "command.succeeded"
    # In the older protocol a lost connection is no wish to cancel: the answer could still be fetched.
    assert outcome.data.get("cancel_requested") is (True if era == "modern" else None)
    assert ended(talk.ask, command_id)["status"] == "success"


@pytest.mark.promise("P2", "P5")
def test_a_cancelled_call_runs_to_its_outcome_in_an_http_session(slow_http: HttpServer, gate: Gate) -> None:
    talk = RawHttp(slow_http, "legacy")
    start = slow_http.records.head()
    connection = talk.call_and_leave(gate.params("one"), 72)
    gate.wait_until_started("one")
    talk.tell("notifications/cancelled", {"requestId": 72})
    response = connection.getresponse()
    assert b'"result"' not in response.read(), "a cancelled call has no result"
    connection.close()
    gate.release()
    outcome = slow_http.records.outcome(slow_http.records.the_command("hold", start))
    assert (outcome.type, outcome.data["cancel_requested"]) == ("command.succeeded", True)


@pytest.mark.promise("P2", "P5")
def test_a_call_runs_to_its_outcome_when_its_session_is_closed(slow_http: HttpServer, gate: Gate) -> None:
    talk = RawHttp(slow_http, "legacy")
    start = slow_http.records.head()
    connection = talk.call_and_leave(gate.params("one"), 73)
    gate.wait_until_started("one")
    assert slow_http.request("DELETE", "/mcp", None, talk.headers("", None))[0] == 401
    assert slow_http.request("DELETE", "/mcp", None, bearer() | talk.headers("", None))[0] == 200
    connection.close()
    gate.release()
    outcome = slow_http.records.outcome(slow_http.records.the_command("hold", start))
    assert outcome.type == "command.succeeded"


@pytest.mark.anyio
@pytest.mark.promise("P2", "P5")
async def test_a_call_whose_client_lost_patience_runs_to_its_outcome(
    slow_http: HttpServer, gate: Gate, era: Era
) -> None:
    start = slow_http.records.head()
    params = gate.params("one")
    async with http_client(slow_http, era) as client:
        with pytest.raises(MCPError, match="timed out"):
            await client.call_tool("hold", params["arguments"], read_timeout_seconds=0.4)
        await client.list_tools()
        gate.wait_until_started("one")
        gate.release()
        command_id = slow_http.records.the_command("hold", start)
        outcome = slow_http.records.outcome(command_id)
        assert (outcome.type, outcome.data["cancel_requested"]) == ("command.succeeded", True)
        told = await client.call_tool("get-command", {"command_id": command_id})
        assert told.structured_content["status"] == "success"
