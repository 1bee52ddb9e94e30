"""Which server processes are alive, on PostgreSQL."""

import hashlib
from typing import Any

import psycopg

from adapters.store.postgres import connect
from domain.errors import LogUnavailableError


class PostgresExecutors:
    """One session-level advisory lock per process, on a connection of its own."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._held: str | None = None
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def hold(self, executor: str) -> None:
        try:
            if self._connection is not None:
                self._connection.execute("SELECT 1")
                return
        except psycopg.Error:
            self.release()
        connection = connect(self._url, self._timeout_s)
        try:
            connection.execute("SELECT pg_advisory_lock(%s)", (_key(executor),))
        except psycopg.Error as error:
            connection.close()
            raise LogUnavailableError("no executor lock: the database did not grant it") from error
        self._connection, self._held = connection, executor

    def is_alive(self, executor: str) -> bool:
        if executor == self._held:
            return True
        try:
            with connect(self._url, self._timeout_s) as connection:
                row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_key(executor),)).fetchone()
                return not (row and row[0])  # a lock that was free goes with the connection
        except psycopg.Error as error:
            raise LogUnavailableError("the database did not say which servers are alive") from error

    def release(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._held = None


def _key(executor: str) -> int:
    return int.from_bytes(hashlib.sha256(executor.encode()).digest()[:8], "big", signed=True)
