"""A socket in front of the engine's that records each request and fails the chosen ones as networks and engines do."""

import contextlib
import json
import os
import re
import socket
import threading
from enum import Enum, auto
from pathlib import Path
from typing import Final

LONGEST_S: Final = 120
"""Seconds after which a fault ends by itself."""


class Fault(Enum):
    """How a request fails."""

    CUT = auto()
    """The engine carries it out; the connection breaks before the answer."""
    MUTE = auto()
    """The engine carries it out; the connection stays open and nothing comes back."""
    HANG = auto()
    """Nothing reaches the engine, nothing comes back."""
    STALL = auto()
    """The engine carries it out; of the answer only the first part arrives, and then nothing more."""
    TRUNCATE = auto()
    """The engine carries it out; the answer ends in the middle."""
    HOLD = auto()
    """The engine carries it out; the answer comes when the proxy is healed."""
    LAST = auto()
    """It is answered, but from then on nobody listens."""


class EngineProxy:
    """Serves each connection for one request, so that every request is seen."""

    def __init__(self, path: Path) -> None:
        self.url = f"unix://{path}"
        self.requests: list[str] = []
        self.met = threading.Event()
        """Set when a request has met a fault."""
        self._path = path
        self._rules: list[tuple[re.Pattern[str], Fault]] = []
        self._replies: list[tuple[re.Pattern[str], bytes]] = []
        self._closed = threading.Event()
        self._healed = threading.Event()
        self.listen()

    def changes(self) -> list[str]:
        """Return the requests that ask for more than a look."""
        return [request for request in self.requests if not request.startswith(("GET ", "HEAD "))]

    def fail(self, pattern: str, fault: Fault) -> None:
        """Let requests whose ``METHOD /path?query`` matches ``pattern`` fail."""
        self._healed.clear()
        self._rules.append((re.compile(pattern), fault))

    def reply(self, pattern: str, status: int, message: str) -> None:
        """Answer matching requests with what an engine has been heard to say, without asking this one."""
        body = json.dumps({"message": message})
        answer = (
            f"HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )
        self._replies.append((re.compile(pattern), answer.encode()))

    def heal(self) -> None:
        self._rules.clear()
        self._healed.set()

    def listen(self) -> None:
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self) -> None:
        """Refuse connections from now on."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def close(self) -> None:
        self._closed.set()
        if self._listener.fileno() >= 0:
            self.refuse()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as engine:
            request = _read_request(client)
            if not request:
                return
            line = request.partition(b" HTTP/1.1\r\n")[0].decode()
            self.requests.append(line)
            fault = next((fault for pattern, fault in self._rules if pattern.search(line)), None)
            reply = next((reply for pattern, reply in self._replies if pattern.search(line)), None)
            if fault:
                self.met.set()
            if reply:
                client.sendall(reply)
                return
            if fault is Fault.HANG:
                self._closed.wait(LONGEST_S)
                return
            engine.connect(_engine_socket())
            engine.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            if fault is Fault.LAST:
                self.refuse()
            self._answer(client, engine, fault)

    def _answer(self, client: socket.socket, engine: socket.socket, fault: Fault | None) -> None:
        parts = iter(lambda: engine.recv(65536), b"")
        if fault in (Fault.CUT, Fault.MUTE, Fault.STALL, Fault.TRUNCATE):
            answer = b"".join(parts)
            middle = (answer.index(b"\r\n\r\n") + 4 + len(answer)) // 2
            parts = iter([] if fault in (Fault.CUT, Fault.MUTE) else [answer[:middle]])
        if fault is Fault.HOLD:
            parts = iter(list(parts))
            self._healed.wait(LONGEST_S)
        with contextlib.suppress(OSError):  # whoever asked may have given up
            for part in parts:
                client.sendall(part)
        if fault in (Fault.MUTE, Fault.STALL):
            self._closed.wait(LONGEST_S)


def _engine_socket() -> str:
    url = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    assert url.startswith("unix://"), "these tests need an engine on this machine"
    return url.removeprefix("unix://")


def _read_request(client: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        part = client.recv(65536)
        if not part:
            return b""
        request += part
    head, _, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    while length and len(body) < int(length[1]):
        part = client.recv(65536)
        request, body = request + part, body + part
    return request
