"""Appends to SQLite: WAL, a full sync at every commit, one writer at a time."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, Final

from adapters.store.session import (
    DATA_KEYS_SQL,
    EVENT_SQL,
    HEAD_SQL,
    Changes,
    ConflictInLogError,
    Head,
    statements,
)
from domain.errors import ConfigurationError, LogFilesRemovedError, LogUnavailableError, RecordRefusedError
from domain.events import RecordedEvent
from domain.secrets import DataKey

OLDEST_SQLITE: Final = (3, 38, 0)
"""The first version with the operators that the audit view uses."""

_ROWS_AT_ONCE: Final = 32
"""Events that one statement inserts. What the conditions of the partial indexes compare with is prepared once a
statement, and only once a statement can another thread take the interpreter's lock, for which this one then waits."""

_INSERT_EVENT, _UPSERT_OPEN, _DELETE_OPEN, _INSERT_KEY, _INSERT_CLAIM = statements("?")


class SqliteSession:
    """A connection to the database file, for one thread at a time."""

    def __init__(self, path: Path, busy_timeout_s: float) -> None:
        """Open ``path``, creating it if it is missing.

        Raises:
            LogUnavailableError: if it cannot be opened for writing.
            ConfigurationError: if the SQLite library is too old.
        """
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise ConfigurationError(f"SQLite {sqlite3.sqlite_version} is too old; 3.38 or newer is needed")
        self._path = path
        with _explained():
            self.connection = sqlite3.connect(
                path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False, cached_statements=64
            )
            self.connection.execute("PRAGMA journal_mode = WAL")
            self.connection.execute("PRAGMA synchronous = FULL")
            self._inode = path.stat().st_ino
            real = path.resolve()  # SQLite keeps them beside the file that a link leads to
            self._files_beside = [real.with_name(real.name + suffix) for suffix in ("-wal", "-shm")]
            self._beside: list[int | None] = []

    def begin(self) -> Head:
        with _explained():
            self._check_files()
            self.connection.execute("BEGIN IMMEDIATE")
            self._beside = self._beside or _inodes(self._files_beside)  # the first transaction makes them
            row = self.connection.execute(HEAD_SQL).fetchone()
        return Head(*row) if row else Head()

    def _check_files(self) -> None:
        """Refuse to write into files that were removed or replaced: they take it, and nobody would ever find it."""
        if self._path.stat().st_ino != self._inode:
            raise LogUnavailableError(f"the database file was replaced while it was open: {self._path}")
        if not self._beside or (beside := _inodes(self._files_beside)) == self._beside:
            return
        if None in beside:  # nobody has opened the database since, so what was committed can still be saved
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        raise LogFilesRemovedError

    def last_version(self, stream: str) -> int:
        sql = "SELECT coalesce(max(stream_version), 0) FROM event WHERE stream = ?"
        with _explained():
            return int(self.connection.execute(sql, (stream,)).fetchone()[0])

    def commit(self, changes: Changes) -> None:
        execute_many = self.connection.executemany
        with _explained():
            if self._insert(changes.events) < len(changes.events):
                raise LogUnavailableError("the event log cannot be written: the database drops records")
            if changes.opened:
                execute_many(_UPSERT_OPEN, changes.opened)
            if changes.closed:
                execute_many(_DELETE_OPEN, [(command_id,) for command_id in changes.closed])
            if changes.data_keys:
                execute_many(_INSERT_KEY, map(astuple, changes.data_keys))
            if changes.claims:
                execute_many(_INSERT_CLAIM, changes.claims)
            self.connection.execute("COMMIT")

    def _insert(self, events: Sequence[RecordedEvent]) -> int:
        """Insert ``events``; return how many the database took."""
        parts = [events[first : first + _ROWS_AT_ONCE] for first in range(0, len(events), _ROWS_AT_ONCE)]
        execute = self.connection.execute
        return sum(execute(_insert_of(len(rows)), tuple(chain.from_iterable(rows))).rowcount for rows in parts)

    def rollback(self) -> None:
        # After "disk full" the transaction is still open and would block every other process.
        if self.connection.in_transaction:
            with suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")

    def hash_at(self, position: int) -> str | None:
        sql = "SELECT event_hash FROM event WHERE position = ?"
        with _explained():
            row = self.connection.execute(sql, (position,)).fetchone()
        return str(row[0]) if row else None

    def find(self, event_id: str) -> tuple[Any, ...] | None:
        with _explained():
            row: tuple[Any, ...] | None = self.connection.execute(
                f"{EVENT_SQL} WHERE event_id = ?", (event_id,)
            ).fetchone()
        return row

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with _explained():
            return self.connection.execute(sql).fetchall()

    def delete_data_key(self, command_id: str) -> None:
        self.replace_data_keys([DataKey(*row) for row in self.query(DATA_KEYS_SQL) if row[0] != command_id])

    def replace_data_keys(self, keys: Sequence[DataKey]) -> None:
        # Pages that were split keep copies of rows in their free space, and SQLite can be built to leave them there.
        # So the table is emptied, which overwrites all its pages, and filled again.
        with _explained():
            self.connection.execute("PRAGMA secure_delete = ON")
            self.connection.execute("DELETE FROM data_key")
            self.connection.executemany(_INSERT_KEY, map(astuple, keys))

    def wipe(self) -> bool:
        with _explained():
            busy, *_ = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self.connection.close()


@cache
def _insert_of(rows: int) -> str:
    """Return the statement that inserts so many events."""
    one = _INSERT_EVENT.partition(" VALUES ")[2]
    return _INSERT_EVENT + f", {one}" * (rows - 1)


def _inodes(files: Sequence[Path]) -> list[int | None]:
    """Return what tells each of ``files`` from another one that takes its place; None for one that is missing."""
    found: list[int | None] = []
    for file in files:
        try:
            found.append(file.stat().st_ino)
        except FileNotFoundError:
            found.append(None)
    return found


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorname == "SQLITE_CONSTRAINT_CHECK":
            raise RecordRefusedError from error
        raise ConflictInLogError(str(error)) from error
    except (sqlite3.Error, OSError) as error:
        raise LogUnavailableError(f"the event log cannot be written: {_reason(error)}") from error


def _reason(error: sqlite3.Error | OSError) -> str:
    if isinstance(error, OSError):
        return (error.strerror or "the file cannot be read").lower()
    return str(error)
