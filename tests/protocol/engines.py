"""Sockets in the engine's place: one that notes what is asked of the real engine, one that never answers."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REAL = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")


class RecordingEngine:
    """Passes every byte on to the real engine and keeps the request lines."""

    def __init__(self) -> None:
        self.requests: list[str] = []

    def changes(self) -> list[str]:
        return [line for line in self.requests if not line.startswith(("GET ", "HEAD "))]

    def _serve(self, client: socket.socket) -> None:
        with socket.socket(socket.AF_UNIX) as real:
            real.connect(REAL)
            answers = threading.Thread(target=self._pass_on, args=(real, client, False), daemon=True)
            answers.start()
            self._pass_on(client, real, True)
            answers.join(10)
        client.close()

    def _pass_on(self, source: socket.socket, sink: socket.socket, noted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if noted and (line := data.partition(b"\r\n")[0]).endswith(b" HTTP/1.1"):
                    self.requests.append(line.decode())
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    @contextmanager
    def listening(self, path: Path) -> Iterator[str]:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(64)
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
            yield f"unix://{path}"
            listener.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()


@contextmanager
def silent_engine(path: Path) -> Iterator[str]:
    """An engine that takes connections and never says a word."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(64)
        yield f"unix://{path}"
