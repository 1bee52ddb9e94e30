"""Who calls: credentials in every place a client can put them, believed or refused, and recorded either way."""

import json
import ssl
import time
from collections.abc import Callable, Iterator
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest

from domain.access.tokens import fingerprint, issue
from tests.conftest import free_port
from tests.protocol.servers import KEY, HttpServer, Message, Process, RawHttp, StdioServer, bearer, running, write_users
from tests.real.certificates import Authority
from tests.waiting import wait_for

SECRET = "a-secret-of-the-tests-0123456789"
CALL: Message = {"name": "get-command", "arguments": {"command_id": "01970000-0000-7000-8000-000000000001"}}
pytestmark = pytest.mark.promise("P7")


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    server = HttpServer(tmp_path_factory.mktemp("auth"), MCP_AUTH_SECRET=SECRET)
    write_users(server.state, admin="admin", alice="user")
    with running(server):
        yield server


@pytest.fixture
def unslowed(tmp_path: Path) -> Iterator[HttpServer]:
    """A server to which nobody has come with wrong credentials."""
    server = HttpServer(tmp_path, MCP_AUTH_SECRET=SECRET)
    write_users(server.state, admin="admin", alice="user")
    with running(server):
        yield server


@pytest.fixture
def stdio(tmp_path: Path) -> Iterator[StdioServer]:
    write_users(tmp_path, alice="user")
    server = StdioServer(tmp_path, MCP_AUTH_SECRET=SECRET)
    with running(server):
        yield server


def token(name: str = "alice", key: str | None = None, age_s: int = 0, secret: str = SECRET) -> str:
    return issue(secret.encode(), name, fingerprint(key or KEY + name), int(time.time()) - age_s).text()


def call(server: HttpServer, params: Any = CALL, method: str = "tools/call", **headers: str) -> tuple[int, Any, Any]:
    """Send a request with just these headers; return status, message and headers of the answer."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": meta(params)}).encode()
    basic = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    modern = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method}
    if "name" in params:
        modern["Mcp-Name"] = params["name"]
    status, answer, told = server.request("POST", "/mcp", body, basic | modern | headers)
    text = answer.decode()
    data = next((line[5:] for line in text.splitlines() if line.startswith("data:")), text)
    return status, json.loads(data), told


def meta(params: Message) -> Message:
    own = {"protocolVersion": "2026-07-28", "clientCapabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    named = {f"io.modelcontextprotocol/{key}": value for key, value in own.items()}
    return {**params, "_meta": {**named, **params.get("_meta", {})}}


def last(server: Process, kind: str) -> dict[str, Any]:
    """The newest event of a kind; it is recorded without anybody waiting for it."""
    wait_for(lambda: [row for row in server.records.rows() if row.type == kind], what=kind)
    return [row.data for row in server.records.rows() if row.type == kind][-1]


def who(server: Process) -> set[str]:
    """The principals of the newest command."""
    newest = [row.stream for row in server.records.rows() if row.tool][-1]
    return {row.principal for row in server.records.rows() if row.stream == newest}


@pytest.mark.parametrize(
    ("params", "headers"),
    [
        (CALL, bearer("alice")),
        (CALL, {"Authorization": "bearer TOKEN"}),
        ({**CALL, "_meta": {"authorization": "TOKEN"}}, {}),
        ({**CALL, "_meta": {"authorization": "Bearer TOKEN"}}, {}),
        ({**CALL, "metadata": {"authorization": "TOKEN"}}, {}),
        ({**CALL, "metadata": {"authorization": KEY + "alice"}}, {}),
    ],
    ids=["key as bearer", "token as bearer", "_meta", "_meta with Bearer", "metadata", "key in metadata"],
)
def test_a_credential_is_taken_from_every_place(http: HttpServer, params: Message, headers: dict[str, str]) -> None:
    filled = json.loads(json.dumps([params, headers]).replace("TOKEN", token()))
    status, answer, _ = call(http, filled[0], **filled[1])
    assert (status, "result" in answer) == (200, True), answer
    assert who(http) == {"alice"}


WRONG: dict[str, tuple[Callable[[], str], str]] = {
    "a key of nobody": (lambda: KEY + "nobody", "wrong_key"),
    "an old token": (lambda: token(age_s=3700), "expired"),
    "a token from the future": (lambda: token(age_s=-3700), "from_the_future"),
    "a token of another server": (lambda: token(secret="another-secret-of-the-tests"), "forged"),
    "a token of a rotated key": (lambda: token(key="dmk_rotated-away"), "forged"),
    "a token of a stranger": (lambda: token(name="bob"), "unknown_user"),
    "colons": (lambda: "a:b:c:d", "malformed"),
    "unicode": (lambda: "älice:1:" + "0" * 64, "malformed"),
    "too much": (lambda: "x" * 5000, "oversized"),
}


@pytest.mark.parametrize(
    ("place", "wrong"),
    [(place, name) for place in ("bearer", "_meta") for name in WRONG if (place, name) != ("bearer", "unicode")],
)
def test_a_wrong_credential_is_refused_alike_and_recorded_with_the_reason(
    unslowed: HttpServer, wrong: str, place: str
) -> None:
    http = unslowed
    credential, reason = WRONG[wrong][0](), WRONG[wrong][1]
    if place == "bearer":
        status, answer, headers = call(http, Authorization=f"Bearer {credential}")
        assert status == 401
        assert headers["WWW-Authenticate"] == 'Bearer realm="docker-mcp", error="invalid_token"'
        told = answer["error"]["message"]
    else:
        _, answer, _ = call(http, {**CALL, "_meta": {"authorization": credential}})
        told = answer["result"]["structuredContent"]["error"]["message"]
        assert who(http) == {"anonymous"}
    assert "the credentials are missing or not valid" in told.lower()
    assert last(http, "authentication.failed")["reason"] == reason
    assert credential.encode() not in http.records.text()


def test_a_call_without_credentials_is_challenged_and_recorded(http: HttpServer) -> None:
    status, _, headers = call(http)
    assert (status, headers["WWW-Authenticate"]) == (401, 'Bearer realm="docker-mcp"')
    assert who(http) == {"anonymous"}
    assert [row.status for row in http.records.rows() if row.tool][-1] == "rejected"


@pytest.mark.parametrize("header", ["Basic YWRtaW46eA==", "Bearer", "Bearer ", "x"])
def test_another_scheme_is_refused(http: HttpServer, header: str) -> None:
    assert call(http, Authorization=header)[0] == 401


def test_each_is_shown_what_it_may_call(http: HttpServer) -> None:
    def listed(**headers: str) -> set[str]:
        return {tool["name"] for tool in call(http, {}, "tools/list", **headers)[1]["result"]["tools"]}

    assert listed() == set()
    assert "remove-container" in listed(**bearer("admin"))
    assert "remove-container" not in listed(**bearer("alice"))
    assert "get-logs" in listed(**bearer("alice"))


def test_a_user_sees_only_its_own_records(http: HttpServer) -> None:
    call(http, **bearer("admin"))
    mine = call(http, {"name": "audit-logs"}, "prompts/get", **bearer("alice"))[1]["result"]
    entries = json.loads(mine["messages"][0]["content"]["text"])["entries"]
    assert {entry["principal"] for entry in entries} <= {"alice"}
    of_admin = next(row.stream for row in http.records.rows() if row.principal == "admin" and row.tool)
    look = {"name": "get-command", "arguments": {"command_id": of_admin}}
    refused = call(http, look, **bearer("alice"))[1]["result"]
    assert refused["structuredContent"]["error"]["code"] == "command_not_found"
    assert not call(http, look, **bearer("admin"))[1]["result"].get("isError")


def test_the_prompt_gives_a_token_and_binds_the_session(http: HttpServer) -> None:
    talk = RawHttp(http, "legacy", user=None)
    arguments = {"username": "alice", "api_key": KEY + "alice"}
    body = {
        "jsonrpc": "2.0",
        "id": 5,
        "method": "prompts/get",
        "params": {"name": "authenticate", "arguments": arguments},
    }
    session = {"Mcp-Session-Id": talk.session or "", "MCP-Protocol-Version": "2025-11-25"}
    basic = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}

    def post(message: Message) -> tuple[int, str]:
        status, answer, _ = http.request("POST", "/mcp", json.dumps(message).encode(), basic | session)
        return status, answer.decode()

    own = {"jsonrpc": "2.0", "id": 6, "method": "tools/call", "params": CALL}
    assert post(own)[0] == 401
    status, answer = post(body)
    assert status == 200
    given = json.loads(json.loads(answer[answer.index("{") :].strip())["result"]["messages"][0]["content"]["text"])
    assert given["token"].startswith("alice:")
    assert post(own)[0] == 200
    assert who(http) == {"alice"}
    assert last(http, "token.issued")["expires_at_s"] > time.time()
    written = http.records.text()
    assert given["token"].encode() not in written
    assert (KEY + "alice").encode() not in written


def test_a_session_belongs_to_whoever_used_it_first(http: HttpServer) -> None:
    talk = RawHttp(http, "legacy")
    assert not talk.ask("tools/call", CALL).get("error")
    headers = talk.headers("tools/call", CALL) | bearer("alice")
    body = json.dumps({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": CALL}).encode()
    _, answer, _ = http.post(body, headers)
    assert b"unauthenticated" in answer


def test_a_session_is_its_openers_before_the_first_call(http: HttpServer) -> None:
    talk = RawHttp(http, "legacy")
    body = json.dumps({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": CALL}).encode()
    assert http.post(body, talk.headers("tools/call", CALL), user="alice")[0] == 401
    assert http.request("DELETE", "/mcp", headers=talk.headers("", None) | bearer("alice"))[0] == 401
    assert not talk.ask("tools/call", CALL).get("error")


def test_rotation_and_removal_end_what_was_given(http: HttpServer) -> None:
    write_users(http.state, admin="admin", alice="user", carol="user")
    given = token("carol")
    assert call(http, Authorization=f"Bearer {given}")[0] == 200
    write_users(http.state, admin="admin", alice="user")
    assert call(http, Authorization=f"Bearer {given}")[0] == 401
    assert call(http, Authorization=f"Bearer {KEY}carol")[0] == 401


def test_a_broken_auth_file_changes_nothing_and_is_recorded(http: HttpServer) -> None:
    file = http.state / "config/docker-mcp/docker_mcp_auth.json"
    good = file.read_bytes()
    try:
        file.write_bytes(b'{"users": {"alice": {}}}')
        assert call(http, **bearer("alice"))[0] == 200
        assert "users.alice.role: Field required" in last(http, "policy.loaded")["problem"]
    finally:
        file.write_bytes(good)
    assert call(http, **bearer("alice"))[0] == 200


def test_failures_are_slowed_down_and_right_credentials_are_not(unslowed: HttpServer) -> None:
    def seconds(**headers: str) -> float:
        began = time.monotonic()
        call(unslowed, **headers)
        return time.monotonic() - began

    taken = [seconds(Authorization="Bearer wrong") for _ in range(8)]
    assert min(taken[:3]) < 0.9 < taken[-1]
    assert min(seconds(**bearer("alice")) for _ in range(5)) < 0.9


def test_stdio_with_users_wants_a_credential(stdio: StdioServer) -> None:
    assert stdio.ask("tools/list")["result"]["tools"] == []
    refused = stdio.ask("tools/call", CALL)["result"]["structuredContent"]["error"]
    assert refused["code"] == "unauthenticated"
    assert who(stdio) == {"anonymous"}
    wrong = {"name": "authenticate", "arguments": {"username": "alice", "api_key": "dmk_wrong"}}
    assert "unauthenticated" in stdio.ask("prompts/get", wrong)["error"]["message"]
    right = {"name": "authenticate", "arguments": {"username": "alice", "api_key": KEY + "alice"}}
    answer = stdio.ask("prompts/get", right)["result"]
    assert json.loads(answer["messages"][0]["content"]["text"]).keys() == {"token"}
    assert stdio.ask("tools/list")["result"]["tools"] != []
    stdio.ask("tools/call", CALL)
    assert who(stdio) == {"alice"}


@pytest.mark.parametrize("credential", ["key", "token"])
def test_a_stdio_server_takes_its_callers_credential_from_the_environment(tmp_path: Path, credential: str) -> None:
    write_users(tmp_path, alice="user")
    given = KEY + "alice" if credential == "key" else token()
    server = StdioServer(tmp_path, MCP_AUTH_SECRET=SECRET, DOCKER_MCP_TOKEN=given)
    with running(server):
        server.ask("tools/call", CALL)
        assert who(server) == {"alice"}


@pytest.mark.parametrize(
    ("setting", "value", "gone"),
    [("DOCKER_MCP_READ_ONLY", "true", "stop-container"), ("DOCKER_MCP_TOOLSETS", "networks", "list-containers")],
)
def test_the_operator_narrows_what_everybody_may(tmp_path: Path, setting: str, value: str, gone: str) -> None:
    narrowed: Any = {setting: value}
    server = StdioServer(tmp_path, **narrowed)
    with running(server):
        listed = {tool["name"] for tool in server.ask("tools/list")["result"]["tools"]}
        assert gone not in listed
        assert {"network-list", "get-command"} <= listed
        call = {"name": gone, "arguments": {"container_name": "x"} if gone == "stop-container" else {}}
        assert server.ask("tools/call", call)["result"]["structuredContent"]["error"]["code"] == "denied"


def test_beyond_loopback_a_declared_proxy_is_enough_but_users_are_needed(tmp_path: Path) -> None:
    server = Process(["server", "http"], tmp_path, DOCKER_MCP_HOST="0.0.0.0", DOCKER_MCP_TLS="terminated-upstream")
    with running(server):
        assert server.exit_code() == 2
        assert "docker-mcp user add admin --role admin" in server.stderr()


def test_tls_with_files_of_its_own(tmp_path: Path) -> None:
    files = Authority().equip(tmp_path / "tls", "server")
    write_users(tmp_path, alice="user")
    port = free_port()
    given = {"DOCKER_MCP_TLS_CERT": files / "cert.pem", "DOCKER_MCP_TLS_KEY": files / "key.pem"}
    server = Process(["server", "http", "--port", str(port)], tmp_path, False, **given)
    context = ssl.create_default_context(cafile=str(files / "ca.pem"))

    def status() -> int:
        connection = HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status
        except ConnectionRefusedError:
            return 0
        finally:
            connection.close()

    with running(server):
        wait_for(status, what="the server")
        assert status() == 200
