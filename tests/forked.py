"""Processes of ours without the cost of a start: forked from one that has imported the libraries already.

Each is as real as any other: it has its own memory, environment, folder and files, and can be killed.
"""

import contextlib
import multiprocessing
import multiprocessing.reduction
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

FORKED: Final = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["tests.preloaded"])


class ForkedProcess:
    """``python -m MODULE ARGUMENT…``, with what :class:`subprocess.Popen` has of methods."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        cwd: Path | str,
        stderr: IO[bytes] | None = None,
        stdout: IO[bytes] | None = None,
        stdin: IO[bytes] | None = None,
        *,
        pipes: bool = False,
    ) -> None:
        """Start ``command``: a module and its arguments.

        Args:
            command: what to run.
            environment: all of its variables.
            cwd: its folder.
            stderr: takes its standard error, None: ours does.
            stdout: takes its standard output, None: nobody does, unless ``pipes``.
            stdin: gives its standard input, None: nobody does, unless ``pipes``.
            pipes: whether ``stdin`` and ``stdout`` lead to it.
        """
        self.args = list(command)
        self.stdin: IO[bytes] | None = None
        self.stdout: IO[bytes] | None = None
        with Path(os.devnull).open("r+b", buffering=0) as nothing:
            its = [(stdin or nothing).fileno(), (stdout or nothing).fileno(), stderr.fileno() if stderr else 2]
            if pipes:
                its[0], ours_in = os.pipe()
                ours_out, its[1] = os.pipe()
                self.stdin, self.stdout = os.fdopen(ours_in, "wb"), os.fdopen(ours_out, "rb")
            self._process = FORKED.Process(
                target=_run, args=(self.args, dict(environment), str(cwd), [*map(_Descriptor, its)])
            )
            self._process.start()
            for descriptor in its[:2] if pipes else ():
                os.close(descriptor)
        assert self._process.pid
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Kill it, unless it has ended, and let go of its pipes."""
        self.kill()
        self.wait()
        for pipe in (self.stdin, self.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def docker_mcp_command(
    arguments: Sequence[str], environment: Mapping[str, str], cwd: Path | str, limit_s: float
) -> "subprocess.CompletedProcess[str]":
    """Run ``docker-mcp`` to its end, with nothing on its standard input.

    Raises:
        subprocess.TimeoutExpired: after ``limit_s`` seconds; it was killed.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = ForkedProcess(["server", *arguments], environment, cwd, err, out)
        try:
            code = process.wait(limit_s)
        finally:
            process.close()
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(process.args, code, out.read().decode(), err.read().decode())


class _Descriptor:
    """A file descriptor that goes with a new process."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (multiprocessing.reduction.DupFd(self.number),)


def _received(descriptor: Any) -> _Descriptor:
    return _Descriptor(descriptor.detach())


def _run(command: Sequence[str], environment: Mapping[str, str], cwd: str, files: Sequence[_Descriptor]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    for number, file in enumerate(files):
        os.dup2(file.number, number)
        os.close(file.number)
    sys.stdin = os.fdopen(0, closefd=False)
    module, *sys.argv[1:] = command
    runpy.run_module(module, run_name="__main__", alter_sys=True)
