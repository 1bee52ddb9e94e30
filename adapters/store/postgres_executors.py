"""Which server processes are alive, on PostgreSQL."""

import hashlib
import select
import threading
from typing import Any

import psycopg

from adapters.store.postgres import connect
from domain.errors import LogUnavailableError, TakenOverError
from domain.ports import Held


class PostgresExecutors:
    """One session-level advisory lock per process, on a connection of its own."""

    seems_dead_s = 3.0

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._executor: str | None = None
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._lock = threading.Lock()

    def hold(self, executor: str) -> None:
        with self._lock:
            self._executor = executor
            if not self._still_held():
                self._take(executor)

    def seems_lost(self) -> bool:
        connection = self._connection
        try:
            # A server that ends closes its connections: there is something to read where nothing was asked.
            return connection is None or bool(select.select([connection], [], [], 0)[0])
        except (psycopg.Error, ValueError):
            return True

    def hold_on(self) -> None:
        with self._lock:  # whoever has released it in the meantime does not get it back
            if self._executor and not self._still_held():
                self._take(self._executor)

    def fence(self) -> Held:
        held_by = self._connection

        def check() -> None:
            with self._lock:
                if held_by is not self._connection or not self._still_held():
                    raise TakenOverError

        return check

    def is_alone(self) -> bool:
        return False  # to find out would cost as much as to look again

    def _still_held(self) -> bool:
        try:
            if self._connection is not None:
                self._connection.execute("SELECT 1")
                return True
        except psycopg.Error:
            self._drop()
        return False

    def _take(self, executor: str) -> None:
        connection = connect(self._url, self._timeout_s)
        try:
            connection.execute("SELECT pg_advisory_lock(%s)", (_key(executor),))
        except psycopg.Error as error:
            connection.close()
            raise LogUnavailableError("no executor lock: the database did not grant it") from error
        self._connection = connection

    def is_alive(self, executor: str) -> bool:
        if executor == self._executor:
            return True  # whoever asks lives, with its lock or without
        try:
            with connect(self._url, self._timeout_s) as connection:
                row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_key(executor),)).fetchone()
                return not (row and row[0])  # a lock that was free goes with the connection
        except psycopg.Error as error:
            raise LogUnavailableError("the database did not say which servers are alive") from error

    def release(self) -> None:
        with self._lock:
            self._executor = None
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def _key(executor: str) -> int:
    return int.from_bytes(hashlib.sha256(executor.encode()).digest()[:8], "big", signed=True)
