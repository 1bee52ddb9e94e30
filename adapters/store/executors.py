"""Which server processes are alive: each holds a lock for its life, which the system frees when it dies.

No heartbeat decides, so a process that was only paused is never taken for dead.
"""

import fcntl
import os
from pathlib import Path
from typing import Protocol

from adapters.store.location import Location
from domain.errors import LogUnavailableError, TakenOverError
from domain.ports import Held


class HeldExecutors(Protocol):
    """Holds this process's executor id and asks after the others'."""

    seems_dead_s: float

    def hold(self, executor: str) -> None:
        """Take the lock of ``executor`` until :meth:`release` or the end of the process; again after it was lost.

        Raises:
            LogUnavailableError: if it cannot be taken now.
        """
        ...

    def is_alive(self, executor: str) -> bool: ...
    def fence(self) -> Held: ...
    def seems_lost(self) -> bool: ...
    def hold_on(self) -> None: ...

    def is_alone(self) -> bool:
        """Return whether no other process may hold an executor id of this log."""
        ...

    def release(self) -> None: ...


def executors_of(location: Location, timeout_s: float = 5.0) -> HeldExecutors:
    """Return the locks that belong to a log."""
    if location.path:
        return FileExecutors(location.path.with_name(location.path.name + ".executors"))
    from adapters.store.postgres_executors import PostgresExecutors

    return PostgresExecutors(location.url, timeout_s)


class FileExecutors:
    """One locked file per process, in a directory beside the SQLite database."""

    seems_dead_s = 0.0  # the system takes a file's lock from no living process

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._held: dict[str, int] = {}

    def hold(self, executor: str) -> None:
        if executor in self._held:
            return
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sweep()
            self._held[executor] = self._create(self._file(executor))
        except OSError as error:
            raise LogUnavailableError(f"no executor lock: {self._directory}: {error.strerror}") from error

    def is_alive(self, executor: str) -> bool:
        if executor in self._held:
            return True
        descriptor = _lock(self._file(executor), os.O_RDWR)
        if descriptor is None:
            return self._file(executor).exists()
        os.close(descriptor)
        return False

    def fence(self) -> Held:
        def check() -> None:
            if not self._held:
                raise TakenOverError

        return check

    def seems_lost(self) -> bool:
        return False

    def hold_on(self) -> None:
        """Nothing to do: the lock is never lost."""

    def is_alone(self) -> bool:
        try:
            return len(list(self._directory.glob("*.lock"))) <= len(self._held)
        except OSError:
            return False

    def release(self) -> None:
        for executor, descriptor in self._held.items():
            self._file(executor).unlink(missing_ok=True)
            os.close(descriptor)
        self._held.clear()

    def _create(self, file: Path) -> int:
        while True:
            descriptor = _lock(file, os.O_CREAT | os.O_RDWR)
            # Another process may have swept the file away before it was locked.
            if descriptor is not None and file.exists() and os.fstat(descriptor).st_ino == file.stat().st_ino:
                return descriptor
            if descriptor is not None:
                os.close(descriptor)

    def _sweep(self) -> None:
        """Remove the files of processes that died; nobody's lock is touched."""
        for file in self._directory.glob("*.lock"):
            descriptor = _lock(file, os.O_RDWR)
            if descriptor is not None:
                file.unlink(missing_ok=True)
                os.close(descriptor)

    def _file(self, executor: str) -> Path:
        return self._directory / f"{executor}.lock"


def _lock(file: Path, flags: int) -> int | None:
    """Return a descriptor that holds the file's lock; None if another process has it or the file is missing."""
    try:
        descriptor = os.open(file, flags | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
