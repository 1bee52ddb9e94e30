"""A person's shell: bash in an empty home, where ``docker-mcp`` is found and starts quickly.

``docker-mcp`` is a small program there that hands its words, environment and files to us; we run the real one, forked
from a process that has imported the libraries already. What serves until it is stopped is stopped once it has begun.
"""

import json
import os
import shutil
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from tests.forked import ForkedProcess

LIMIT_S: Final = 500
"""Seconds that a script may take: on a busy machine some start a dozen programs at a minute's cost."""

_LOOK_S: Final = 0.02
_ENDLESS: Final = frozenset({"http", "stdio", "tail", "--follow", "--serve"})
_NUMBER: Final = struct.Struct("!i")
_PROGRAM: Final = """\
#!{python} -IS
import json, os, socket, struct, sys
talk = socket.socket(socket.AF_UNIX)
talk.connect({address!r})
told = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(talk, [struct.pack("!i", len(told))], [0, 1, 2])
talk.sendall(told)
sys.exit(struct.unpack("!i", talk.recv(4))[0])
"""


class Shell:
    """Runs scripts one after the other, in the same home."""

    def __init__(self, **variables: str) -> None:
        """Make the home; ``variables`` are added to an environment that has nothing of ours."""
        self._all = ExitStack()
        self.home = Path(self._all.enter_context(tempfile.TemporaryDirectory(prefix="dm")))
        programs = self.home / ".venv/bin"
        programs.mkdir(parents=True)
        address = str(self.home / ".talk")
        self._server = self._all.enter_context(_Server(address, _Talk))
        serving = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        self._all.callback(serving.join)
        self._all.callback(self._server.shutdown)
        program = programs / "docker-mcp"
        program.write_text(_PROGRAM.format(python=sys.executable, address=address))
        program.chmod(0o700)
        self.environment = {
            "HOME": str(self.home),
            "PATH": f"{programs}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            **{name: os.environ[name] for name in ("DOCKER_HOST", "DOCKER_CONFIG") if name in os.environ},
            **variables,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._all.close()

    def run(self, script: str) -> "subprocess.CompletedProcess[str]":
        """Run ``script`` in the home; it ends at the first command that fails, also within a pipe."""
        file = self.home / ".script"
        file.write_text(script)
        return subprocess.run(
            ["bash", "-euxo", "pipefail", str(file)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
            cwd=self.home,
            env=self.environment,
        )


class _Server(socketserver.ThreadingUnixStreamServer):
    def __init__(self, address: str, talk: type["_Talk"]) -> None:
        super().__init__(address, talk)
        self.forking = threading.Lock()
        """Held while a process is started or asked whether it has ended: the library does not expect threads there."""


class _Talk(socketserver.BaseRequestHandler):
    """One run of the small program."""

    server: _Server

    def handle(self) -> None:
        size, descriptors, _, _ = socket.recv_fds(self.request, _NUMBER.size, 3)
        with ExitStack() as files:
            stdin, stdout, stderr = (
                files.enter_context(os.fdopen(number, mode))
                for number, mode in zip(descriptors, ("rb", "wb", "wb"), strict=True)
            )
            words, cwd, environment = json.loads(self._read(*_NUMBER.unpack(size)))
            if _ENDLESS.isdisjoint(words) and words[:2] != ["start", "docker-mcp"]:
                code = self._to_its_end(words, environment, cwd, (stdin, stdout, stderr))
            else:
                code = self._until_it_has_begun(words, environment, cwd, stdout)
        self.request.sendall(_NUMBER.pack(code))

    def _read(self, size: int) -> bytes:
        read = bytearray()
        while len(read) < size and (more := self.request.recv(size - len(read))):
            read += more
        return bytes(read)

    def _to_its_end(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        cwd: str,
        files: tuple[IO[bytes], IO[bytes], IO[bytes]],
    ) -> int:
        stdin, stdout, stderr = files
        with self.server.forking:
            process = ForkedProcess(["server", *words], environment, cwd, stderr, stdout, stdin)
        return self._wait(process)

    def _until_it_has_begun(self, words: Sequence[str], environment: Mapping[str, str], cwd: str, to: IO[bytes]) -> int:
        with tempfile.TemporaryFile() as printed:
            with self.server.forking:
                process = ForkedProcess(["server", *words], environment, cwd, printed, printed)
            deadline = time.monotonic() + LIMIT_S
            while (
                os.fstat(printed.fileno()).st_size == 0 and self._code(process) is None and time.monotonic() < deadline
            ):
                time.sleep(_LOOK_S)
            process.send_signal(signal.SIGINT)
            code = self._wait(process)
            printed.seek(0)
            shutil.copyfileobj(printed, to)
        return code

    def _code(self, process: ForkedProcess) -> int | None:
        with self.server.forking:
            return process.poll()

    def _wait(self, process: ForkedProcess) -> int:
        deadline = time.monotonic() + LIMIT_S
        while (code := self._code(process)) is None:
            if time.monotonic() > deadline:
                process.kill()
            time.sleep(_LOOK_S)
        return code
