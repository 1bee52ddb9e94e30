"""A socket in front of the engine's socket: counts what is asked, and breaks when told to."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal

ENGINE_SOCKET: Final = "/var/run/docker.sock"
_REQUEST: Final = re.compile(rb"(GET|POST|PUT|DELETE|HEAD) (\S+) HTTP/1\.1\r\n")
_READ_ONLY: Final = re.compile(r"GET .*|HEAD /_ping")

Fault = Literal["none", "refuse", "hang", "cut", "mute"]
"""What becomes of a request.

refuse: the engine does not see it, the connection is closed. hang: the engine does not see it, nothing happens.
cut: the engine sees it, the connection is closed instead of its answer. mute: the engine sees it, nothing is answered.
"""


class EngineProxy:
    """Forwards whole connections; ``requests`` holds what passed, as ``GET /v1.41/containers/json?...``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.requests: list[str] = []
        self.fault: Fault = "none"
        self.only = ""
        """A regular expression: only requests that match it meet the fault."""
        self.met = threading.Event()
        """Set when a request has met the fault."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    def changes(self) -> list[str]:
        """The requests that ask for more than a look."""
        return [request for request in self.requests if not _READ_ONLY.fullmatch(request)]

    def close(self) -> None:
        """Stop as an engine stops: no new connections, the open ones broken."""
        self._listener.close()
        self.path.unlink(missing_ok=True)
        for end in list(self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as engine:
            engine.connect(ENGINE_SOCKET)
            self._open |= {client, engine}
            lost: list[Fault] = []
            threading.Thread(target=self._answer, args=(engine, client, lost), daemon=True).start()
            with suppress(OSError):
                while data := client.recv(65536):
                    fault = self._seen(data)
                    if fault == "refuse":
                        break
                    if fault == "hang":
                        while client.recv(65536):
                            pass
                        break
                    if fault != "none":
                        lost.append(fault)
                    engine.sendall(data)
            self._open -= {client, engine}

    def _answer(self, engine: socket.socket, client: socket.socket, lost: list[Fault]) -> None:
        with suppress(OSError):
            while data := engine.recv(65536):
                if "cut" in lost:
                    break
                if not lost:
                    client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)

    def _seen(self, data: bytes) -> Fault:
        request = _REQUEST.match(data)
        if not request:
            return "none"
        line = f"{request[1].decode()} {request[2].decode()}"
        self.requests.append(line)
        if self.fault == "none" or not re.search(self.only, line):
            return "none"
        self.met.set()
        return self.fault


@contextmanager
def engine_proxy(directory: Path) -> Iterator[EngineProxy]:
    proxy = EngineProxy(directory / "engine.sock")
    try:
        yield proxy
    finally:
        proxy.close()
