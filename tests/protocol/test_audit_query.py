"""The audit trail as clients ask it: the prompt's strings, and the tool's types, over every transport."""

import json
from typing import Any

import pytest

from server.mcp_server import COMMAND_ID_META
from tests.protocol.servers import NO_COMMAND, Raw


def by_prompt(raw: Raw, **arguments: Any) -> dict[str, Any]:
    answer = raw.ask("prompts/get", {"name": "audit-logs", "arguments": arguments})["result"]
    page: dict[str, Any] = json.loads(answer["messages"][0]["content"]["text"])
    return page


def by_tool(raw: Raw, **arguments: Any) -> dict[str, Any]:
    answer = raw.ask("tools/call", {"name": "audit-query", "arguments": arguments})["result"]
    assert json.loads(answer["content"][0]["text"]) == answer["structuredContent"]
    page: dict[str, Any] = answer["structuredContent"]
    return page


@pytest.mark.promise("P2")
def test_prompt_and_tool_understand_every_filter(raw: Raw) -> None:
    talk = f"talk-of-{raw.records.head()}"
    calls = [raw.ask("tools/call", {**NO_COMMAND, "_meta": {"correlation_id": talk}})["result"] for _ in range(3)]
    called = [call["_meta"][COMMAND_ID_META] for call in calls][::-1]
    texts = {
        "username": raw.principal,
        "tool_name": "get-command",
        "status": "failed",
        "since": "2h",
        "until": "2099-01-01",
        "effect": "read",
        "principal_role": "admin",
        "correlation_id": talk,
    }
    for ask, two in ((by_prompt, "2"), (by_tool, 2)):
        page = ask(raw, **texts, limit=two)
        assert [entry["command_id"] for entry in page["entries"]] == called[:2]
        assert page["entries"][0]["summary"].startswith("look up command")
        assert page["entries"][0]["reason"]
        rest = ask(raw, **texts, limit=two, cursor=page["next_cursor"])
        assert [entry["command_id"] for entry in rest["entries"]] == called[2:]
        assert "next_cursor" not in rest
    assert by_prompt(raw, object="no-such-object")["entries"] == []
    assert by_tool(raw, since="yesterday", until="today", correlation_id=talk)["entries"] == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"since": "last week"}, "since: a time is written like"),
        ({"until": "soon"}, "until: a time is written like"),
        ({"cursor": "next"}, "cursor: not made by this server"),
        ({"effect": "delete"}, "effect: Input should be 'read'"),
        ({"since": "today", "until": "yesterday"}, "since is not before until"),
    ],
)
def test_what_is_wrong_with_a_question_is_explained(raw: Raw, arguments: dict[str, str], told: str) -> None:
    refused = raw.ask("tools/call", {"name": "audit-query", "arguments": arguments})["result"]
    assert refused["isError"]
    assert told in refused["content"][0]["text"]
    assert told in raw.ask("prompts/get", {"name": "audit-logs", "arguments": arguments})["error"]["message"]
