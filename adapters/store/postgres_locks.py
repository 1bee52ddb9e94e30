"""Turns for commands on the same object, between processes that share a PostgreSQL log."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import psycopg

from adapters.store.object_locks import number_of
from adapters.store.postgres import connect
from domain.errors import LogUnavailableError, TurnLostError
from domain.ports import HeldLocks

_CLASS: Final = 0x646D63
"""The first key of our advisory locks on objects; those of processes have one key only, a space of its own."""


class PostgresLocks:
    """Session-level advisory locks, all on one connection."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._lock = threading.Lock()

    def try_hold(self, keys: Sequence[str]) -> HeldLocks | None:
        numbers = [number_of(key, 31) for key in keys]
        with self._lock:
            try:
                connection = self._connected()
                taken = self._take(connection, numbers)
            except LogUnavailableError:  # it may have broken while nobody used it
                connection = self._connected()
                taken = self._take(connection, numbers)
        return _Held(self, connection, numbers) if taken else None

    def close(self) -> None:
        """Free every lock."""
        with self._lock:
            self._drop()

    def _take(self, connection: "psycopg.Connection[tuple[Any, ...]]", numbers: Sequence[int]) -> bool:
        for taken, number in enumerate(numbers):
            if not self._ask(connection, "pg_try_advisory_lock", number):
                for earlier in numbers[:taken]:
                    self._ask(connection, "pg_advisory_unlock", earlier)
                return False
        return True

    def _connected(self) -> "psycopg.Connection[tuple[Any, ...]]":
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url, self._timeout_s)
        return self._connection

    def _ask(self, connection: "psycopg.Connection[tuple[Any, ...]]", function: str, number: int) -> bool:
        try:
            row = connection.execute(f"SELECT {function}(%s, %s)".encode(), (_CLASS, number)).fetchone()
        except psycopg.Error as error:
            self._drop()
            raise LogUnavailableError("the database did not answer for a lock") from error
        return bool(row and row[0])

    def release(self, connection: "psycopg.Connection[tuple[Any, ...]]", numbers: Sequence[int]) -> None:
        """Free locks that were taken on a connection."""
        with self._lock, suppress(LogUnavailableError):  # with the connection the locks are gone as well
            if connection is self._connection:
                for number in numbers:
                    self._ask(connection, "pg_advisory_unlock", number)

    def check(self, connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
        """Ask whether a connection stands, and with it the locks that were taken on it.

        Raises:
            TurnLostError: if it does not.
        """
        with self._lock:
            try:
                if connection is self._connection:
                    connection.execute("SELECT 1")
                    return
            except psycopg.Error:
                self._drop()
        raise TurnLostError

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
        self._connection = None


class _Held:
    def __init__(
        self, locks: PostgresLocks, connection: "psycopg.Connection[tuple[Any, ...]]", numbers: Sequence[int]
    ) -> None:
        self._locks = locks
        self._connection = connection
        self._numbers = numbers

    def __call__(self) -> None:
        self._locks.release(self._connection, self._numbers)

    def check(self) -> None:
        self._locks.check(self._connection)
