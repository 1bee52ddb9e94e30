"""Calls that make no sense: each gets an answer that helps, each is in the log, and no value is repeated."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from server.mcp_server import COMMAND_ID_META
from tests.protocol.records import Row
from tests.protocol.servers import NO_COMMAND, Raw, RawHttp

VALUE: Final = "hunter2-must-not-be-repeated"
REJECTED: Final = ["command.received", "command.rejected"]

BAD_ARGUMENTS: Final[dict[str, tuple[str, dict[str, Any], str]]] = {
    "an unknown tool": ("restart-universe", {"x": VALUE}, "unknown_tool"),
    "a prompt as tool": ("audit-logs", {"username": VALUE}, "unknown_tool"),
    "an empty tool name": ("", {}, "unknown_tool"),
    "a tool name of options": ("--help", {}, "unknown_tool"),
    "a tool name of half a megabyte": ("x" * 500_000, {}, "unknown_tool"),
    "a tool name with NUL": ("get-logs\0", {}, "unknown_tool"),
    "an unknown argument": ("get-logs", {"container_name": "web", "tial": VALUE}, "invalid_arguments"),
    "a missing argument": ("get-logs", {"tail": 5}, "invalid_arguments"),
    "a string for a number": ("get-logs", {"container_name": "web", "tail": VALUE}, "invalid_arguments"),
    "a number as string": ("get-logs", {"container_name": "web", "tail": "100"}, "invalid_arguments"),
    "a boolean for a number": ("get-logs", {"container_name": "web", "tail": True}, "invalid_arguments"),
    "a float for a number": ("get-logs", {"container_name": "web", "tail": 1.5}, "invalid_arguments"),
    "not a number": ("get-logs", {"container_name": "web", "tail": float("nan")}, "invalid_arguments"),
    "infinity": ("get-logs", {"container_name": "web", "tail": float("inf")}, "invalid_arguments"),
    "too much": ("get-logs", {"container_name": "web", "tail": 10**30}, "invalid_arguments"),
    "too little": ("get-logs", {"container_name": "web", "tail": -1}, "invalid_arguments"),
    "null for a name": ("get-logs", {"container_name": None}, "invalid_arguments"),
    "a list for a name": ("get-logs", {"container_name": [VALUE]}, "invalid_arguments"),
    "a name that is an option": ("get-logs", {"container_name": "--help"}, "invalid_arguments"),
    "a name that is a path": ("get-logs", {"container_name": "../../images/json"}, "invalid_arguments"),
    "a name with NUL": ("get-logs", {"container_name": f"web\0{VALUE}"}, "invalid_arguments"),
    "a name with a line break": ("get-logs", {"container_name": "web\n"}, "invalid_arguments"),
    "a search with NUL": ("get-logs", {"container_name": "web", "grep": f"\0{VALUE}"}, "invalid_arguments"),
    "a new name that is an option": ("network-create", {"name": "-rf"}, "invalid_arguments"),
    "an image that is an option": ("create-container", {"image": "--privileged"}, "invalid_arguments"),
    "a secret in the wrong form": (
        "create-container",
        {"image": "x", "environment": [f"TOKEN={VALUE}"]},
        "invalid_arguments",
    ),
    "a secret in the wrong place": (
        "create-container",
        {"image": "x", "environment": {"TOKEN": {VALUE: VALUE}}},
        "invalid_arguments",
    ),
    "a deep tree": ("create-container", {"image": "x", "ports": {"80": [[[[[[[[VALUE]]]]]]]]}}, "invalid_arguments"),
    "a field of the server": (
        "create-container",
        {"image": "x", "labels": {"docker-mcp.principal": VALUE}},
        "invalid_arguments",
    ),
    "60 KB of arguments": ("create-container", {"image": "x", "command": ["x" * 60_000]}, "arguments_too_large"),
    "60 KB of secrets": ("create-container", {"image": "x", "environment": {"T": "x" * 60_000}}, "arguments_too_large"),
    "a thousand unknown arguments": ("get-logs", {f"n{i}": VALUE for i in range(1000)}, "invalid_arguments"),
    "an argument name of 100 KB": ("get-logs", {"n" * 100_000: VALUE}, "invalid_arguments"),
    "no command id": ("get-command", {"command_id": f"'; DROP TABLE event; -- {VALUE}"}, "invalid_arguments"),
}


@pytest.fixture
def alive(raw: Raw) -> Iterator[None]:
    """The server is still there after the test."""
    yield
    answer = raw.ask("tools/call", NO_COMMAND)
    assert answer["result"]["structuredContent"]["error"]["code"] == "command_not_found"


@pytest.mark.promise("P2", "P6")
@pytest.mark.usefixtures("alive")
@pytest.mark.parametrize(("tool", "arguments", "code"), BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS)
def test_a_bad_call_is_answered_and_recorded(raw: Raw, tool: str, arguments: dict[str, Any], code: str) -> None:
    start = raw.records.head()
    result = raw.ask("tools/call", {"name": tool, "arguments": arguments})["result"]
    error = result["structuredContent"]["error"]
    assert result["isError"]
    assert error["code"] == code
    assert error["message"]
    assert error["hint"]
    assert error["command_id"] == result["_meta"][COMMAND_ID_META]
    (block,) = result["content"]
    assert block["text"].startswith(f"{code}: {error['message']}")
    assert error["hint"] in block["text"]
    assert len(block["text"]) < 2_000
    expect_rejected(raw.records.rows(start), error["command_id"], code)
    for told in (str(result), str(raw.records.rows(start))):
        assert VALUE not in told
        assert "Traceback" not in told


def expect_rejected(rows: list[Row], command_id: str, code: str) -> None:
    assert [row.type for row in rows] == REJECTED
    assert {row.stream for row in rows} == {command_id}
    assert rows[-1].status == "rejected"
    assert rows[-1].data["code"] == code
    assert rows[0].data.get("arguments") is None
    assert len(str(rows[0].data.get("argument_names"))) < 2_500


MALFORMED: Final[dict[str, dict[str, Any] | None]] = {
    "arguments are a list": {"name": "get-logs", "arguments": [VALUE]},
    "arguments are a string": {"name": "get-logs", "arguments": VALUE},
    "arguments are a number": {"name": "get-logs", "arguments": 7},
    "no name": {"arguments": {"x": VALUE}},
    "the name is null": {"name": None, "arguments": {}},
    "no parameters": None,
    "the progress token is an object": {"name": "get-logs", "arguments": {}, "_meta": {"progressToken": {VALUE: 1}}},
}


@pytest.mark.promise("P2", "P6")
@pytest.mark.usefixtures("alive")
@pytest.mark.parametrize("method", ["tools/call", "prompts/get"])
@pytest.mark.parametrize("params", MALFORMED.values(), ids=MALFORMED)
def test_what_is_not_even_a_call_is_a_protocol_error_and_still_recorded(
    raw: Raw, method: str, params: dict[str, Any] | None
) -> None:
    start = raw.records.head()
    answer = raw.ask(method, params)
    assert answer["error"]["code"] == -32602
    assert answer["error"]["message"] == f"invalid_arguments: {method} takes a name and an object of arguments"
    expect_rejected(raw.records.rows(start), answer["error"]["data"]["command_id"], "invalid_arguments")
    tool = (params or {}).get("name")
    assert {row.tool for row in raw.records.rows(start)} == {tool or "_unknown"}
    assert VALUE not in str(answer) + str(raw.records.rows(start))


@pytest.mark.usefixtures("alive")
@pytest.mark.parametrize("number", [5, 1.5, True, ["get-logs"]], ids=str)
def test_a_name_that_is_no_string_is_a_protocol_error(raw: Raw, number: Any) -> None:
    start = raw.records.head()
    error = raw.ask("tools/call", {"name": number, "arguments": {}})["error"]
    if isinstance(raw, RawHttp) and raw.era == "modern":
        assert error["code"] == -32020, "the header that names the tool cannot match, so this never becomes a call"
        return
    assert error["code"] == -32602
    expect_rejected(raw.records.rows(start), error["data"]["command_id"], "invalid_arguments")


BAD_PROMPTS: Final[dict[str, tuple[str, dict[str, Any], str]]] = {
    "an unknown prompt": ("incident-revue", {"x": VALUE}, "unknown_tool"),
    "a tool as prompt": ("get-logs", {"container_name": VALUE}, "unknown_tool"),
    "an unknown argument": ("audit-logs", {"user": VALUE}, "invalid_arguments"),
    "no number": ("audit-logs", {"limit": VALUE}, "invalid_arguments"),
    "a fraction": ("audit-logs", {"limit": 1.5}, "invalid_arguments"),
    "not a number": ("audit-logs", {"limit": float("nan")}, "invalid_arguments"),
    "a boolean": ("audit-logs", {"limit": True}, "invalid_arguments"),
    "too much": ("audit-logs", {"limit": 501}, "invalid_arguments"),
    "far too much": ("audit-logs", {"limit": 10**30}, "invalid_arguments"),
    "an unknown status": ("audit-logs", {"status": VALUE}, "invalid_arguments"),
    "a name with NUL": ("audit-logs", {"username": f"\0{VALUE}"}, "invalid_arguments"),
    "a list": ("audit-logs", {"limit": [10]}, "invalid_arguments"),
}


@pytest.mark.promise("P2", "P6")
@pytest.mark.usefixtures("alive")
@pytest.mark.parametrize(("prompt", "arguments", "code"), BAD_PROMPTS.values(), ids=BAD_PROMPTS)
def test_a_bad_prompt_call_is_answered_and_recorded(
    raw: Raw, prompt: str, arguments: dict[str, Any], code: str
) -> None:
    start = raw.records.head()
    error = raw.ask("prompts/get", {"name": prompt, "arguments": arguments})["error"]
    assert error["code"] == -32602
    assert error["message"].startswith(f"{code}: ")
    expect_rejected(raw.records.rows(start), error["data"]["command_id"], code)
    assert VALUE not in str(error) + str(raw.records.rows(start))


@pytest.mark.engine
@pytest.mark.usefixtures("alive")
@pytest.mark.parametrize(
    ("tool", "arguments", "code"),
    [
        ("inspect-container", ("container_name",), "container_not_found"),
        ("get-logs", ("container_name",), "container_not_found"),
        ("stop-container", ("container_name",), "container_not_found"),
        ("remove-container", ("container_name",), "container_not_found"),
        ("network-inspect", ("name",), "network_not_found"),
        ("network-remove", ("name",), "network_not_found"),
        ("network-connect", ("network", "container"), "network_not_found"),
    ],
)
def test_what_does_not_exist_is_named_with_the_call_that_shows_what_does(
    raw: Raw, name: Callable[[str], str], tool: str, arguments: tuple[str, ...], code: str
) -> None:
    missing = {argument: name("nobody") for argument in arguments}
    result = raw.ask("tools/call", {"name": tool, "arguments": missing})["result"]
    error = result["structuredContent"]["error"]
    assert result["isError"]
    assert error["code"] == code
    assert "shows what exists" in error["hint"]
    rows = raw.records.of(error["command_id"])
    assert [row.type for row in rows] == [
        "command.received",
        "command.authorized",
        "execution.started",
        "command.failed",
    ]
    assert (rows[-1].data["code"], rows[-1].data["applied"]) == (code, "none")


ODD_META: Final[dict[str, dict[str, Any]]] = {
    "a purpose of control characters": {"purpose": "a\0b\x1b[31mc\u202ed" * 200},
    "a purpose that is a list": {"purpose": [VALUE]},
    "a conversation that is a number": {"correlation_id": 5},
    "a conversation of 100 KB": {"correlation_id": "c" * 100_000},
    "a trace that is a number": {"traceparent": 5},
    "a trace that is none": {"traceparent": "x" * 10_000},
    "a trace state that is a list": {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "tracestate": [1], "baggage": {}},
    "unknown keys": {"example.com/x": {"deep": [[[VALUE]]]}},
}


@pytest.mark.usefixtures("alive")
@pytest.mark.parametrize("meta", ODD_META.values(), ids=ODD_META)
def test_odd_metadata_neither_stops_a_call_nor_enters_the_log_unescaped(raw: Raw, meta: dict[str, Any]) -> None:
    called = NO_COMMAND | {"_meta": meta}
    error = raw.ask("tools/call", called)["result"]["structuredContent"]["error"]
    assert error["code"] == "command_not_found"
    for row in raw.records.of(error["command_id"]):
        for text in (row.purpose or "", row.correlation_id or "", row.trace_id or ""):
            assert len(text) <= 256
            assert text.isprintable()
        assert VALUE not in str(row)
