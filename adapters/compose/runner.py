"""Runs the Compose plugin: an argument vector, an environment of our own, and limits of time, memory and output.

Nothing of the server's environment reaches it, and nothing secret stands on its command line: what it deploys goes in
by standard input. Each run is a process group of its own, which ends with the run, with the server, or at its limit.
"""

import os
import resource
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, Final

from opentelemetry.trace import StatusCode

from adapters import spans
from adapters.compose.plugin import find_plugin
from domain import failpoints
from domain.errors import ConfigurationError, EngineError, EngineInterruptedError, ShuttingDownError
from domain.failpoints import Failpoint

_MOST_OUTPUT: Final = 8 * 1024 * 1024
_MOST_ERRORS: Final = 256 * 1024
_LONGEST_LINE: Final = 8 * 1024
_MEMORY: Final = 4 * 1024**3
"""Address space of a rendering; Go reserves one gigabyte before it does anything."""
_FEWER_COLLECTIONS: Final = {"GOGC": "400"}
"""A run is short: most of what Go's garbage collector does in it is in vain, and a third of the time."""
_DRAIN_S: Final = 2.0
_PATIENCE_S: Final = 5.0

OnLine = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Finished:
    """How a run ended: a negative code says that it was killed. ``errors`` is the end of its standard error."""

    code: int
    output: bytes
    errors: str
    timed_out: bool


class ComposeRunner:
    """Starts the plugin, and ends what still runs when the server stops."""

    def __init__(self, named: str | None, engine_environment: Mapping[str, str], directory: Path) -> None:
        """Prepare.

        Args:
            named: the plugin's binary, None to look where Docker does.
            engine_environment: what tells Compose where the engine is.
            directory: of our own; Compose's working and configuration directories, both kept empty, are made in it.
        """
        self._named = named
        self._engine_environment = dict(engine_environment)
        self._directory = directory
        self._plugin: tuple[Path, str] | None = None
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def version(self) -> str:
        """Return the plugin's version.

        Raises:
            ComposeMissingError: if there is no plugin.
        """
        return self._found()[1]

    def run(
        self,
        arguments: Sequence[str],
        stdin: bytes = b"",
        *,
        limit_s: float,
        with_engine: bool = True,
        patient: bool = False,
        on_line: OnLine = lambda _line: None,
    ) -> Finished:
        """Run the plugin to its end and return how it ended.

        Args:
            arguments: after the program's name.
            stdin: what it reads.
            limit_s: seconds after which it is killed with its children.
            patient: whether it is asked to give up first, and gets a few seconds for that.
            with_engine: whether it learns where the engine is. Without, its memory and processor time are limited too.
            on_line: told each line of standard error, from another thread.

        Raises:
            ComposeMissingError: there is no plugin.
            ShuttingDownError: the server stops; nothing was started.
            EngineInterruptedError: the server stopped meanwhile.
            EngineError: it wrote too much.
        """
        with spans.span(f"compose {_verb(arguments)}", {"process.executable.name": "docker-compose"}) as span:
            finished = self._run(arguments, stdin, limit_s, with_engine, patient, on_line)
            span.set_attribute("process.exit.code", finished.code)
            if finished.code:
                span.set_attribute("error.type", "timed_out" if finished.timed_out else str(finished.code))
                span.set_status(StatusCode.ERROR)
            return finished

    def _run(
        self,
        arguments: Sequence[str],
        stdin: bytes,
        limit_s: float,
        with_engine: bool,
        patient: bool,
        on_line: OnLine,
    ) -> Finished:
        environment = {"COMPOSE_DISABLE_ENV_FILE": "1", **_FEWER_COLLECTIONS}
        if with_engine:  # a file may read the environment that it is rendered in, so there are no paths in that
            environment |= {**self._engine_environment, "DOCKER_CONFIG": str(self._made("config"))}
        command = [*_dies_with_us(), str(self._found()[0]), "--ansi", "never", "--progress", "plain", *arguments]
        said = " ".join(arguments)
        failpoints.reach(Failpoint.BEFORE_COMPOSE, said)
        process = self._start(command, environment)
        reader = _Reader(process, on_line)
        late = threading.Event()
        timer = threading.Timer(limit_s, _end, (process, late, _PATIENCE_S if patient else 0))
        try:
            timer.start()
            if not with_engine:
                _limit(process, limit_s)
            with suppress(BrokenPipeError), process.stdin as pipe:  # type: ignore[union-attr]
                pipe.write(stdin)
            failpoints.reach(Failpoint.IN_COMPOSE, said)
            code = process.wait()
            reader.finish(_DRAIN_S)
        finally:
            timer.cancel()
            if process.poll() is None:
                _kill(process)
            with self._lock:
                self._running.discard(process)
        failpoints.reach(Failpoint.AFTER_COMPOSE, said)
        if self._closed:
            raise EngineInterruptedError("the server stopped while Compose was at work")
        if reader.overflow:
            raise EngineError("Compose wrote more than it may", code="output_limit")
        return Finished(code, bytes(reader.output), reader.errors.decode(errors="replace"), late.is_set())

    def close(self) -> None:
        """End every run."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for process in running:
            _kill(process)

    def _found(self) -> tuple[Path, str]:
        if self._plugin is None:
            self._plugin = find_plugin(self._named)
        return self._plugin

    def _start(self, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise ShuttingDownError
            try:
                process = subprocess.Popen(  # noqa: S603 (an argument vector of ours, no shell)
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    cwd=self._made("empty"),
                    env=environment,
                    start_new_session=True,
                )
            except OSError as error:
                self._plugin = None
                raise EngineError(f"Compose cannot be started: {error.strerror}", code="compose_failed") from error
            self._running.add(process)
            return process

    def _made(self, name: str) -> Path:
        directory = self._directory / name
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"Compose needs the directory {directory}: {error.strerror}", hint="set DOCKER_MCP_STATE_DIR"
            ) from error
        return directory


class _Reader:
    """Reads both outputs on threads of its own, within limits."""

    def __init__(self, process: subprocess.Popen[bytes], on_line: OnLine) -> None:
        self.output = bytearray()
        self.errors = bytearray()
        self.overflow = False
        self._process = process
        self._on_line = on_line
        self._threads = [
            threading.Thread(target=self._read_output, args=(process.stdout,), daemon=True),
            threading.Thread(target=self._read_errors, args=(process.stderr,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def finish(self, timeout_s: float) -> None:
        """Wait for the rest; not for ever, since a child of the child may hold the pipe."""
        for thread in self._threads:
            thread.join(timeout_s)

    def _read_output(self, pipe: IO[bytes]) -> None:
        with pipe:
            while chunk := pipe.read(64 * 1024):
                self.output += chunk
                if len(self.output) > _MOST_OUTPUT:
                    self.overflow = True
                    _kill(self._process)
                    return

    def _read_errors(self, pipe: IO[bytes]) -> None:
        with pipe:
            while line := pipe.readline(_LONGEST_LINE):
                self.errors += line
                del self.errors[:-_MOST_ERRORS]
                self._on_line(line.decode(errors="replace").strip())


@cache
def _dies_with_us() -> list[str]:
    """Return the words that make the kernel end a run when this process dies, however it dies; Linux only."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return []
    words = [setpriv, "--pdeathsig", "KILL", "--"]
    tried = subprocess.run([*words, setpriv, "--version"], capture_output=True, check=False)  # noqa: S603 (fixed words)
    return words if tried.returncode == 0 else []


def _verb(arguments: Sequence[str]) -> str:
    """Return what Compose is to do: the first word after the options, of which each has a value."""
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        del rest[:2]
    return rest[0] if rest else ""


def _limit(process: subprocess.Popen[Any], limit_s: float) -> None:
    """Limit a process that has not read its input yet, so that nothing has happened in it."""
    if hasattr(resource, "prlimit"):
        with suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_AS, (_MEMORY, _MEMORY))
            resource.prlimit(process.pid, resource.RLIMIT_CPU, (int(limit_s) + 1, int(limit_s) + 1))


def _end(process: subprocess.Popen[Any], late: threading.Event, patience_s: float) -> None:
    late.set()
    if patience_s:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    if process.poll() is None:
        _kill(process)


def _kill(process: subprocess.Popen[Any]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
