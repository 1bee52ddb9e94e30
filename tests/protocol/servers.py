"""Real server processes, and raw JSON-RPC to them: what no client library would send."""

import getpass
import http.client
import itertools
import json
import os
import queue
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

from mcp.shared.inbound import encode_header_value

from domain.access.tokens import fingerprint
from tests.conftest import MANY_REFUSALS, OPENED, free_port, write_rules
from tests.forked import ForkedProcess
from tests.protocol.records import Records
from tests.waiting import WAIT_S, wait_for

Era = Literal["legacy", "modern"]
Message = dict[str, Any]

VERSIONS: dict[Era, str] = {"legacy": "2025-11-25", "modern": "2026-07-28"}
CLIENT = {"name": "protocol-test", "version": "7.1"}
ROOT = Path(__file__).parents[2]

NO_COMMAND: Message = {"name": "get-command", "arguments": {"command_id": str(uuid.UUID(int=0))}}
"""A call that needs no engine and always ends alike: no such command."""

_ENVELOPE = "io.modelcontextprotocol/"
_BASIC_HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
_ids = itertools.count(1)


def environment(state: Path, **changes: object) -> dict[str, str]:
    """What a server of its own state directory is started with."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_HOST") if name in os.environ}
    own = {
        "DOCKER_MCP_STATE_DIR": state,
        "XDG_CONFIG_HOME": state / "config",
        "DOCKER_MCP_REFUSALS_PER_MINUTE": MANY_REFUSALS,
        "DOCKER_MCP_ENGINE_EVENTS": False,  # of the objects of all other tests
        "LOG_LEVEL": "DEBUG",
    }
    return inherited | {name: str(value) for name, value in (own | changes).items()}


def enveloped(params: Message, era: Era) -> Message:
    """``params`` with the ``_meta`` that every modern request carries."""
    if era == "legacy":
        return params
    own = {"protocolVersion": VERSIONS[era], "clientCapabilities": {}, "clientInfo": CLIENT}
    meta = params.get("_meta", {})
    named = {_ENVELOPE + name: value for name, value in own.items()}
    return {**params, "_meta": named | meta if isinstance(meta, dict) else meta}


class Process:
    """``python -m server …``; its standard error goes to a file."""

    def __init__(self, arguments: list[str], state: Path, pipes: bool = False, **changes: object) -> None:
        state.mkdir(parents=True, exist_ok=True)
        if not (state / "config").exists():
            write_rules(state / "config", host_safety=OPENED)
        self.state = state
        self.records = Records(state / "ledger.db")
        self._stderr = state / "stderr"
        with self._stderr.open("wb") as stderr:
            self.process = ForkedProcess(arguments, environment(state, **changes), ROOT, stderr, pipes=pipes)

    def stderr(self) -> str:
        return self._stderr.read_text(errors="replace")

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def exit_code(self, timeout_s: float = WAIT_S) -> int:
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        self.process.close()


class Raw(Protocol):
    """Raw JSON-RPC over one transport in one era."""

    records: Records
    era: Era
    transport: str
    principal: str

    def ask(self, method: str, params: Any = None) -> Message:
        """Send a request as it stands, in the era's envelope; return the response message."""
        ...

    def exchange(self, method: str, params: Any = None, listen_s: float = 0) -> list[Message]:
        """Send a request; return all that comes back, with what still follows in the ``listen_s`` after it."""
        ...

    def tell(self, method: str, params: Any = None) -> None: ...


class StdioServer(Process):
    """A server on its standard input and output, spoken to line by line."""

    transport = "stdio"
    principal = f"local:{getpass.getuser()}"

    def __init__(
        self,
        state: Path,
        era: Era = "legacy",
        module: tuple[str, ...] = ("server", "stdio"),
        greet: bool = True,
        **changes: object,
    ) -> None:
        super().__init__(list(module), state, True, **changes)
        self.era: Era = era
        self.raw_lines: list[bytes] = []
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if greet:
            self.greet()

    def greet(self) -> None:
        if self.era == "legacy":
            hello = {"protocolVersion": VERSIONS[self.era], "capabilities": {}, "clientInfo": CLIENT}
            assert self.ask("initialize", hello)["result"]["protocolVersion"] == VERSIONS[self.era]
            self.tell("notifications/initialized")
        else:
            assert VERSIONS[self.era] in self.ask("server/discover")["result"]["supportedVersions"]

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.raw_lines.append(line)
            self._lines.put(line)
        self._lines.put(b"")

    def write(self, line: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def send(self, method: str, params: Any = None) -> int:
        number = next(_ids)
        self.write(json.dumps(message(method, params, self.era, number)).encode())
        return number

    def next_message(self, timeout_s: float = WAIT_S) -> Message | None:
        """The next line of the server, None at its end."""
        line = self._lines.get(timeout=timeout_s)
        return json.loads(line) if line else None

    def answer(self, number: int | None, timeout_s: float = WAIT_S) -> Message:
        """The response to request ``number``; what comes before it is passed over."""
        while (found := self.next_message(timeout_s)) is not None:
            if "id" in found and found["id"] == number:
                return found
        raise AssertionError(f"the server ended without an answer to {number}\n{self.stderr()[-2000:]}")

    def ask(self, method: str, params: Any = None) -> Message:
        return self.answer(self.send(method, params))

    def exchange(self, method: str, params: Any = None, listen_s: float = 0) -> list[Message]:
        said, number = len(self.raw_lines), self.send(method, params)
        self.answer(number)
        time.sleep(listen_s)
        self.ask("tools/list")
        heard: list[Message] = [json.loads(line) for line in self.raw_lines[said:]]
        # Others' requests to the same server may be answered meanwhile.
        return [each for each in heard if "method" in each or each.get("id") == number]

    def tell(self, method: str, params: Any = None) -> None:
        self.write(
            json.dumps({"jsonrpc": "2.0", "method": method, **({} if params is None else {"params": params})}).encode()
        )

    def close_input(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()


KEY = "dmk_" + "k" * 43
"""The API key of the user that calls HTTP servers of the tests."""


def write_users(state: Path, **roles: str) -> None:
    """Give the servers of a state directory users; all have the key of the tests followed by their name."""
    users = {name: {"role": role, "key_sha256": fingerprint(KEY + name)} for name, role in roles.items()}
    write_rules(state / "config", users=users, host_safety=OPENED)


def bearer(name: str = "admin") -> dict[str, str]:
    return {"Authorization": f"Bearer {KEY}{name}"}


class HttpServer(Process):
    """A server on a port of its own, ready when it answers."""

    def __init__(
        self,
        state: Path,
        module: tuple[str, ...] = ("server", "http"),
        port: int | None = None,
        role: str = "admin",
        **changes: object,
    ) -> None:
        """Start on a free port and wait until it answers; on a given ``port``, do not wait.

        ``role`` is its caller's.
        """
        state.mkdir(parents=True, exist_ok=True)
        write_users(state, admin=role)
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}/mcp"
        super().__init__([*module, "--port", str(self.port)], state, False, **changes)
        if port:
            return
        try:
            wait_for(self._answers, what="the HTTP server")
            if self.records.path.exists():
                self.post(b"hello")  # so that the first success, which is recorded, is over
                wait_for(lambda: "authentication.succeeded" in [row.type for row in self.records.rows()])
        except AssertionError:
            self.kill()
            raise

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.stderr()
        try:
            return self.get("/healthz")[0] == 200
        except OSError:
            return False

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read(), response.headers
        finally:
            connection.close()

    def get(self, path: str) -> tuple[int, Any]:
        status, body, _ = self.request("GET", path)
        return status, json.loads(body)

    def post(
        self, body: bytes, headers: dict[str, str] | None = None, user: str | None = "admin"
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        """Post as a user, None: as nobody."""
        credentials = bearer(user) if user else {}
        return self.request("POST", "/mcp", body, _BASIC_HEADERS | credentials | (headers or {}))


class RawHttp:
    """Raw JSON-RPC to an HTTP server; a legacy talk has a session."""

    transport = "http"

    def __init__(self, server: HttpServer, era: Era, user: str | None = "admin") -> None:
        """Begin a talk as a user, None: as nobody."""
        self.server = server
        self.user = user
        self.principal = user or "anonymous"
        self.records = server.records
        self.era: Era = era
        self.session: str | None = None
        if era == "legacy":
            hello = {"protocolVersion": VERSIONS[era], "capabilities": {}, "clientInfo": CLIENT}
            body = json.dumps(message("initialize", hello, era, next(_ids))).encode()
            status, _, headers = server.post(body, user=user)
            assert status == 200
            self.session = headers["mcp-session-id"]
            self.tell("notifications/initialized")

    def headers(self, method: str, params: Any) -> dict[str, str]:
        given = {"MCP-Protocol-Version": VERSIONS[self.era]}
        if self.session:
            given["Mcp-Session-Id"] = self.session
        if self.era == "modern":
            given["Mcp-Method"] = method
            name = params.get("name") if isinstance(params, dict) else None
            if isinstance(name, str) and name.isascii():
                given["Mcp-Name"] = encode_header_value(name)
        return given

    def ask(self, method: str, params: Any = None) -> Message:
        return self.exchange(method, params)[-1]

    def exchange(self, method: str, params: Any = None, listen_s: float = 0) -> list[Message]:
        body = json.dumps(message(method, params, self.era, next(_ids))).encode()
        _, answer, headers = self.server.post(body, self.headers(method, params), self.user)
        if not headers.get("content-type", "").startswith("text/event-stream"):
            return [json.loads(answer)]
        lines = answer.splitlines()
        return [json.loads(line[5:]) for line in lines if line.startswith(b"data:") and line[5:].strip()]

    def call_and_leave(self, params: Any, number: int) -> http.client.HTTPConnection:
        """Send a tool call and do not wait for its answer."""
        body = json.dumps(message("tools/call", params, self.era, number)).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=WAIT_S)
        connection.request("POST", "/mcp", body, _BASIC_HEADERS | bearer() | self.headers("tools/call", params))
        return connection

    def tell(self, method: str, params: Any = None) -> None:
        told = {"jsonrpc": "2.0", "method": method, **({} if params is None else {"params": params})}
        status, _, _ = self.server.post(json.dumps(told).encode(), self.headers(method, params), self.user)
        assert status == 202


def message(method: str, params: Any, era: Era, number: int) -> Message:
    if isinstance(params, dict) or (params is None and era == "modern"):
        params = enveloped(params or {}, era)
    return {"jsonrpc": "2.0", "id": number, "method": method, **({} if params is None else {"params": params})}


@contextmanager
def running(server: Process) -> Iterator[None]:
    try:
        yield
    finally:
        server.kill()
