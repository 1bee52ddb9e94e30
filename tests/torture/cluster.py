"""Three servers on one log, each of which may die at any moment and is started again."""

import contextlib
import http.client
import itertools
import json
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Final

from mcp.shared.inbound import encode_header_value

from tests.conftest import free_port
from tests.forked import FORKED
from tests.protocol.servers import KEY, VERSIONS, message

CALL_S: Final = 45
"""What an answer may take, a pause of the server included; then the caller gives up."""
USERS: Final = {"admin": "admin", "worker": "admin", "asker": "asker"}
_ids = itertools.count(1)

Message = dict[str, Any]


class LostCallError(Exception):
    """No answer came: nobody can tell from here what became of the call."""


class Slot:
    """A place for a server process, on HTTP or on standard input and output; a new one takes it when one has died."""

    def __init__(self, number: int, transport: str, environment: Mapping[str, str], directory: Path) -> None:
        self.transport = transport
        self.port = free_port() if transport == "http" else 0
        self.rules = ""
        self.starts = 0
        self._started = 0.0
        self.exits: list[int | None] = []
        self._environment = dict(environment)
        self._stderr = directory / f"server-{number}.log"
        self._process: ForkServerProcess | None = None
        self._wire: _Wire | None = None

    def start(self, rules: str = "") -> None:
        from tests.torture.server import run

        ours, theirs = socket.socketpair() if self.transport == "stdio" else (None, None)
        self.rules = rules
        self.starts += 1
        self._started = time.monotonic()
        process = FORKED.Process(
            target=run, args=(self.transport, self.port, theirs, self._environment, str(self._stderr), rules)
        )
        process.start()
        self._process = process
        if theirs and ours:
            theirs.close()
            self._wire = _Wire(ours)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def age_s(self) -> float:
        return time.monotonic() - self._started

    def alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    def paused(self) -> bool:
        with contextlib.suppress(OSError):
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2][0] == "T"
        return False

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, TypeError):
            os.kill(self.pid, number)  # type: ignore[arg-type]

    def bury(self) -> int | None:
        """Forget a dead process; return its exit code, negative if a signal ended it."""
        assert self._process
        self._process.join()
        code = self._process.exitcode
        self.exits.append(code)
        self._process.close()
        self._process = None
        if self._wire:
            self._wire.close()
        return code

    def end(self) -> None:
        """Let it stop as an operator would."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        if self._process:
            self._process.join(30)
            if self._process.is_alive():
                self._process.kill()
            self.bury()

    def call(self, user: str, params: Message, timeout_s: float = CALL_S) -> Message:
        """Make a tool call; return the JSON-RPC message that answers it.

        Raises:
            LostCallError: none came.
        """
        number = next(_ids)
        body = json.dumps(message("tools/call", params, "modern", number)).encode()
        if self.transport == "http":
            return self._post(body, params["name"], user, timeout_s)
        if self._wire is None:
            raise LostCallError
        return self._wire.ask(body, number, timeout_s)

    def _post(self, body: bytes, tool: str, user: str, timeout_s: float) -> Message:
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "Authorization": f"Bearer {KEY}{user}",
            "MCP-Protocol-Version": VERSIONS["modern"],
            "Mcp-Method": "tools/call",
            "Mcp-Name": encode_header_value(tool),
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request("POST", "/mcp", body, headers)
            response = connection.getresponse()
            answer = response.read()
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                found: Message = json.loads(answer)
                return found
            lines = [line[5:] for line in answer.splitlines() if line.startswith(b"data:") and line[5:].strip()]
            found = json.loads(lines[-1])
            if "id" not in found:
                raise LostCallError
            return found
        except (OSError, http.client.HTTPException, ValueError, IndexError) as error:
            raise LostCallError from error
        finally:
            connection.close()


class _Wire:
    """Lines to and from a server's standard input and output."""

    def __init__(self, wire: socket.socket) -> None:
        self._wire = wire
        self._answers: dict[int, Message | None] = {}
        self._news = threading.Condition()
        self._closed = False
        threading.Thread(target=self._read, daemon=True).start()

    def ask(self, body: bytes, number: int, timeout_s: float) -> Message:
        deadline = time.monotonic() + timeout_s
        with self._news:
            try:
                self._wire.sendall(body + b"\n")
            except OSError as error:
                raise LostCallError from error
            while number not in self._answers:
                left = deadline - time.monotonic()
                if self._closed or left <= 0:
                    raise LostCallError
                self._news.wait(left)
            found = self._answers.pop(number)
        if found is None:
            raise LostCallError
        return found

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._wire.shutdown(socket.SHUT_RDWR)
        self._wire.close()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError), self._wire.makefile("rb") as lines:
            for line in lines:
                found = json.loads(line)
                if "id" in found:
                    with self._news:
                        self._answers[found["id"]] = found
                        self._news.notify_all()
        with self._news:
            self._closed = True
            self._news.notify_all()


class Cluster:
    """The slots, and who watches over them."""

    def __init__(self, transports: tuple[str, ...], environment: Mapping[str, str], directory: Path) -> None:
        """Prepare; a stdio server acts for one user, whose key it has."""
        self.slots = []
        for number, transport in enumerate(transports):
            user = {"DOCKER_MCP_TOKEN": KEY + "worker"} if transport == "stdio" else {}
            self.slots.append(Slot(number, transport, {**environment, **user}, directory))

    def any(self, dice: random.Random, user: str) -> Slot:
        """Return a slot by which ``user`` may call."""
        return dice.choice([slot for slot in self.slots if slot.transport == "http" or user == "worker"])
