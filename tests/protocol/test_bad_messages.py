"""What is no message of the protocol at all: it is answered, leaves no record, and the server goes on."""

import json
import socket
from pathlib import Path
from typing import Any, Final

import pytest

from server.mcp_server import MOST_MESSAGE_BYTES
from tests.protocol.servers import VERSIONS, Era, HttpServer, Raw, RawHttp, StdioServer, message, running

CALL: Final = {"name": "list-containers", "arguments": {}}


def call(params: Any, number: int = 1) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}).encode()


NO_MESSAGES: Final[dict[str, bytes]] = {
    "nothing": b"",
    "no JSON": b"{",
    "words": b"hello, are you there?",
    "a number": b"7",
    "a list of messages": b"[" + call(CALL) + b"]",
    "another protocol": b'{"jsonrpc": "1.0", "id": 1, "method": "tools/call"}',
    "parameters in a list": call(["hunter2"]),
    "half a surrogate pair": b'{"jsonrpc": "2.0", "id": 1, "method": "tools/\\ud800"}',
    "bytes that are no UTF-8": b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call\xff\xfe"}',
    "a number of 10,000 digits": call({"name": "x", "arguments": {}}).replace(b'"x"', b"9" * 10_000),
    "100,000 open brackets": b"[" * 100_000,
    "a deep tree": call({"name": "x", "arguments": {}}).replace(b"{}", b'{"a":' * 5000 + b"1" + b"}" * 5000),
}


@pytest.fixture(params=["legacy", "modern"])
def stdio(request: pytest.FixtureRequest) -> StdioServer:
    found: StdioServer = request.getfixturevalue(f"stdio_{request.param}")
    return found


@pytest.mark.promise("P6")
@pytest.mark.parametrize("line", NO_MESSAGES.values(), ids=NO_MESSAGES)
def test_a_line_that_is_no_message_is_answered(stdio: StdioServer, line: bytes) -> None:
    start, said = stdio.records.head(), len(stdio.stderr())
    stdio.write(line)
    assert stdio.answer(None)["error"]["code"] == -32700
    assert "tools" in stdio.ask("tools/list")["result"]
    assert stdio.records.rows(start) == []
    assert "hunter2" not in stdio.stderr()[said:]


@pytest.mark.promise("P9")
@pytest.mark.parametrize("size", [MOST_MESSAGE_BYTES + 1, 5_000_000])
def test_a_line_beyond_the_limit_is_refused_and_passed_over(stdio: StdioServer, size: int) -> None:
    start = stdio.records.head()
    stdio.write(call({"name": "get-logs", "arguments": {"container_name": "x" * size}}))
    error = stdio.answer(None)["error"]
    assert error["code"] == -32700
    assert str(MOST_MESSAGE_BYTES) in error["message"]
    assert "tools" in stdio.ask("tools/list")["result"]
    assert stdio.records.rows(start) == []


def test_a_long_line_within_the_limit_is_a_call(stdio: StdioServer) -> None:
    result = stdio.ask("tools/call", {"name": "get-logs", "arguments": {"container_name": "x" * 900_000}})["result"]
    assert result["structuredContent"]["error"]["code"] == "invalid_arguments"


JUNK: Final[list[tuple[str, Any]]] = [
    ("notifications/cancelled", None),
    ("notifications/cancelled", {"requestId": 999_999}),
    ("notifications/cancelled", {"requestId": {"a": []}}),
    ("notifications/cancelled", {"requestId": "0" * 10_000, "reason": 7}),
    ("notifications/progress", {"progressToken": "x", "progress": "much"}),
    ("notifications/initialized", {"_meta": []}),
    ("notifications/no-such-thing", {"a": [[[]]]}),
    ("tools/call", {"name": "remove-container", "arguments": {"container_name": "web", "force": True}}),
]


@pytest.mark.parametrize(("method", "params"), JUNK)
def test_junk_notifications_change_nothing(raw: Raw, method: str, params: Any) -> None:
    start = raw.records.head()
    raw.tell(method, params)
    assert "tools" in raw.ask("tools/list")["result"]
    assert raw.records.rows(start) == [], "a call that asks for no answer is no call"


@pytest.mark.promise("P2")
def test_a_call_before_the_handshake_is_refused_and_recorded(tmp_path: Path) -> None:
    server = StdioServer(tmp_path, "legacy", greet=False)
    with running(server):
        error = server.ask("tools/call", CALL)["error"]
        assert error["code"] == -32602
        assert "initialize" in error["message"]
        assert server.records.types(error["data"]["command_id"]) == ["command.received", "command.rejected"]
        server.greet()
        assert "tools" in server.ask("tools/list")["result"]


@pytest.fixture(params=["legacy", "modern"])
def web(request: pytest.FixtureRequest, http_server: HttpServer) -> RawHttp:
    return RawHttp(http_server, request.param)


@pytest.mark.promise("P6")
@pytest.mark.parametrize("body", NO_MESSAGES.values(), ids=NO_MESSAGES)
def test_a_body_that_is_no_message_is_refused(web: RawHttp, body: bytes) -> None:
    start = web.records.head()
    status, answer, _ = web.server.post(body, web.headers("tools/call", {"name": "x"}))
    assert status == 400
    assert json.loads(answer)["error"]["code"] in (-32700, -32600, -32602, -32020)
    assert b"Traceback" not in answer
    assert b"hunter2" not in answer
    assert "tools" in web.ask("tools/list")["result"]
    assert web.records.rows(start) == []


@pytest.mark.promise("P9")
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_beyond_the_limit_is_refused(web: RawHttp, chunked: bool) -> None:
    start = web.records.head()
    body = call({"name": "get-logs", "arguments": {"container_name": "x" * MOST_MESSAGE_BYTES}})
    headers = web.headers("tools/call", {"name": "get-logs"})
    given: Any = iter([body[:1000], body[1000:]]) if chunked else body
    status, _, _ = web.server.post(given, headers)
    assert status == 413
    assert "tools" in web.ask("tools/list")["result"]
    assert web.records.rows(start) == []


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Host", "evil.example", 421),
        ("Host", "127.0.0.1.evil.example:3334", 421),
        ("Host", "", 421),
        ("Origin", "https://evil.example", 403),
        ("Origin", "null", 403),
        ("Content-Type", "text/plain", 400),
        ("Accept", "text/html", 406),
    ],
)
def test_requests_that_a_browser_elsewhere_could_send_are_refused(
    web: RawHttp, header: str, value: str, status: int
) -> None:
    start = web.records.head()
    body = json.dumps(message("tools/call", CALL, web.era, 1)).encode()
    answered, _, _ = web.server.post(body, web.headers("tools/call", CALL) | {header: value})
    assert answered == status
    assert web.records.rows(start) == []


def test_requests_of_this_machine_are_served(web: RawHttp) -> None:
    body = json.dumps(message("tools/list", {}, web.era, 1)).encode()
    for host, origin in (("localhost:1", "http://localhost:3000"), ("[::1]:8", "http://127.0.0.1:1")):
        headers = web.headers("tools/list", {}) | {"Host": host, "Origin": origin}
        assert web.server.post(body, headers)[0] == 200


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_a_client_that_leaves_in_the_middle_of_its_request_harms_nobody(http_server: HttpServer, era: Era) -> None:
    with socket.create_connection(("127.0.0.1", http_server.port)) as connection:
        head = f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nMCP-Protocol-Version: {VERSIONS[era]}\r\n"
        connection.sendall(head.encode() + b"Content-Length: 1000\r\n\r\n{")
    assert "tools" in RawHttp(http_server, era).ask("tools/list")["result"]


@pytest.mark.engine
@pytest.mark.promise("P2")
@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_calls_whose_clients_leave_at_once_all_end_in_the_log(http_server: HttpServer, era: Era) -> None:
    talk = RawHttp(http_server, era)
    start = http_server.records.head()
    for number in range(8):
        for params in (CALL, {"name": "no-such-tool", "arguments": {}}):
            talk.call_and_leave(params, 500 + number).close()
    talk.ask("tools/call", CALL)
    for command_id in http_server.records.commands(after=start):
        http_server.records.outcome(command_id)


def test_an_unknown_session_is_refused(http_server: HttpServer) -> None:
    talk = RawHttp(http_server, "legacy")
    talk.session = "no-such-session"
    body = json.dumps(message("tools/call", CALL, "legacy", 1)).encode()
    assert http_server.post(body, talk.headers("tools/call", CALL))[0] == 404
