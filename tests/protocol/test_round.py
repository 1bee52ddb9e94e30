"""A whole round by real clients, on every transport in both eras, and what the log says of it."""

import hashlib
from collections.abc import Callable
from typing import Any

import docker
import orjson
import pytest
from mcp.types import CallToolResult

from server.callers import session_key
from server.mcp_server import COMMAND_ID_META
from tests.protocol.servers import HttpServer, Raw, RawHttp
from tests.protocol.wires import Connect, Wire, text_of

pytestmark = pytest.mark.engine

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
META: Any = {"purpose": "prove the round", "traceparent": f"00-{TRACE}-{SPAN}-01"}
FOUR = ["command.received", "command.authorized", "execution.started", "command.succeeded"]


@pytest.mark.anyio
@pytest.mark.promise("P2")
async def test_every_call_of_a_round_works_and_is_in_the_log(
    connect: Connect, engine: docker.APIClient, image: str, name: Callable[[str], str]
) -> None:
    web = name("web")
    command = ["sh", "-c", "trap 'exit 0' TERM; echo hello; while :; do sleep 0.1; done"]
    async with connect() as wire:

        async def call(tool: str, **arguments: Any) -> dict[str, Any]:
            result = await wire.client.call_tool(tool, arguments, meta=META)
            return check(wire, tool, result)

        created = await call("create-container", image=image, name=web, command=command)
        assert engine.inspect_container(web)["Id"] == created["id"]
        assert engine.inspect_container(web)["State"]["Running"]
        assert (await call("inspect-container", container_name=web))["running"]
        assert web in [row["name"] for row in (await call("list-containers"))["containers"]]
        assert (await call("get-logs", container_name=web))["lines"] == ["hello"]
        assert (await call("stop-container", container_name=web, timeout=5))["state"] == "exited"
        assert not engine.inspect_container(web)["State"]["Running"]
        await call("remove-container", container_name=web)
        assert engine.containers(all=True, filters={"name": web}) == []
        assert len(wire.records.commands(after=wire.start)) == 6


def check(wire: Wire, tool: str, result: CallToolResult) -> dict[str, Any]:
    """Hold the answer against the rows of the log that it names; return its content."""
    assert not result.is_error, result.content
    content: dict[str, Any] = result.structured_content or {}
    (block,) = result.content
    assert text_of(block) == orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode(), "compact, sorted JSON"
    assert result.meta
    rows = wire.records.of(result.meta[COMMAND_ID_META])
    assert [row.type for row in rows] == FOUR
    outcome = rows[-1]
    assert outcome.status == "success"
    assert outcome.data["result_sha256"] == hashlib.sha256(text_of(block).encode()).hexdigest()
    assert outcome.data.get("result", content) == content, "what was answered is what was recorded"
    for row in rows:
        assert (row.tool, row.principal, row.role) == (tool, wire.principal, "admin")
        assert (row.purpose, row.trace_id, row.span_id) == ("prove the round", TRACE, SPAN)
    received = rows[0].data
    assert (received["client_name"], received["client_version"]) == ("protocol-test", "7.1")
    assert received["transport"] == wire.transport
    correlations = {row.correlation_id for row in wire.records.rows(wire.start) if row.tool}
    assert len(correlations) == 1, "one conversation"
    if wire.transport == "memory":
        assert correlations == {"memory-talk"}
    elif (wire.transport, wire.era) == ("http", "modern"):
        assert correlations == {None}, "the modern protocol has no sessions"
    else:
        assert correlations != {None}
    return content


def test_a_client_can_name_its_conversation(raw: Raw) -> None:
    called = {"name": "list-containers", "arguments": {}, "_meta": {"correlation_id": "ticket-4711"}}
    answer = raw.ask("tools/call", called)["result"]
    assert {row.correlation_id for row in raw.records.of(answer["_meta"][COMMAND_ID_META])} == {"ticket-4711"}


def test_a_legacy_http_conversation_is_its_session(http_server: HttpServer) -> None:
    talks = [RawHttp(http_server, "legacy"), RawHttp(http_server, "legacy")]
    answers = [talk.ask("tools/call", {"name": "list-containers", "arguments": {}})["result"] for talk in talks]
    recorded = [http_server.records.of(answer["_meta"][COMMAND_ID_META])[0].correlation_id for answer in answers]
    assert recorded == [session_key(str(talk.session)) for talk in talks]
    assert not {str(talk.session) for talk in talks} & set(recorded), "who reads the log cannot join a talk"
    assert recorded[0] != recorded[1]


def test_the_prompt_tells_of_the_calls_before_it_and_not_of_itself(raw: Raw, name: Callable[[str], str]) -> None:
    missed = raw.ask("tools/call", {"name": "inspect-container", "arguments": {"container_name": name("nobody")}})
    answer = raw.ask("prompts/get", {"name": "audit-logs", "arguments": {"limit": "1"}})["result"]
    (message,) = answer["messages"]
    (entry,) = orjson.loads(message["content"]["text"])["entries"]
    assert entry["command_id"] == missed["result"]["_meta"][COMMAND_ID_META]
    assert entry["status"] == "failed"
    assert raw.records.types(answer["_meta"][COMMAND_ID_META]) == FOUR
