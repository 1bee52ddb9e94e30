"""Turns for commands on the same object, also between processes: a lock per object, freed when its process dies."""

import fcntl
import hashlib
import os
import struct
from collections.abc import Sequence
from pathlib import Path

from adapters.store.location import Location
from domain.errors import LogUnavailableError
from domain.ports import HeldLocks, SharedLocks


def shared_locks_of(location: Location, timeout_s: float) -> SharedLocks:
    """Return the locks that all processes of a log share."""
    if location.path:
        return FileLocks(location.path.with_name(location.path.name + ".locks"))
    from adapters.store.postgres_locks import PostgresLocks

    return PostgresLocks(location.url, timeout_s)


class FileLocks:
    """One byte per object of one file beside the SQLite database, locked by open file descriptions (fcntl(2))."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def try_hold(self, keys: Sequence[str]) -> HeldLocks | None:
        try:
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LogUnavailableError(f"the lock file cannot be used: {self._file}: {error.strerror}") from error
        try:
            for key in keys:
                fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _byte(number_of(key, 62)))
        except (BlockingIOError, PermissionError):
            os.close(descriptor)
            return None
        except OSError as error:
            os.close(descriptor)
            raise LogUnavailableError(f"the lock file cannot be used: {self._file}: {error.strerror}") from error
        return _HeldFile(descriptor)

    def close(self) -> None:
        """Nothing is kept open between commands."""


class _HeldFile:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self) -> None:
        os.close(self._descriptor)

    def check(self) -> None:
        """Pass: nobody takes a lock from an open file."""


def number_of(key: str, bits: int) -> int:
    """Return a number for a key; two objects that share one by chance only take turns."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> (64 - bits)


def _byte(start: int) -> bytes:
    """Return the ``struct flock`` that locks one byte for writing; ``l_pid`` is 0, as these locks demand."""
    return struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, start, 1, 0)
