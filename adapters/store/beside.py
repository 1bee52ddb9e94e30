"""A connection for what is derived from the log: reads it in batches, and keeps read models beside it.

Its commits do not wait for the disk. If the last of them are lost in a power cut, so is everything after them, and the
fold goes on from there; what it has read was durable before it could be read.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, Self
from urllib.parse import quote

from adapters.store.location import Location
from domain.errors import LogUnavailableError
from domain.projections.folded import EventPart

EVENTS_IN_A_BATCH: Final = 2000

_PARTS_SQL: Final = (
    f"SELECT {', '.join(EventPart._fields)} FROM event WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"  # noqa: S608
)


class Beside:
    """A connection for one thread. Statements have ``?`` for parameters on both databases."""

    def __init__(self, location: Location, timeout_s: float) -> None:
        """Connect to an existing log.

        Raises:
            LogUnavailableError: if it cannot be reached; so do all methods.
        """
        self._is_sqlite = location.is_sqlite
        self._connection: Any
        self._failures: type[Exception]
        if location.path:
            self._failures = sqlite3.Error
            with self._explained():
                self._connection = sqlite3.connect(
                    f"file:{quote(str(location.path))}?mode=rw", uri=True, timeout=timeout_s, isolation_level=None
                )
                self._connection.execute("PRAGMA synchronous = NORMAL")
        else:
            import psycopg

            from adapters.store.postgres import connect

            self._failures = psycopg.Error
            self._connection = connect(location.url, timeout_s)
            self.query("SELECT set_config('synchronous_commit', 'off', false)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        with suppress(self._failures):
            self._connection.close()

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a statement."""
        with self._explained():
            rows: list[tuple[Any, ...]] = self._connection.execute(self._sql(sql), values).fetchall()
        return rows

    def change(self, sql: str, *parameters: object) -> int:
        """Run a statement; return how many rows it changed."""
        with self._explained():
            return int(self._connection.execute(self._sql(sql), parameters).rowcount)

    def change_many(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """Run a statement for each of ``rows``."""
        with self._explained():
            self._connection.cursor().executemany(self._sql(sql), rows)

    def parts(self, after: int, end: int, limit: int = EVENTS_IN_A_BATCH) -> list[EventPart]:
        """Return up to ``limit`` events beyond position ``after`` and up to ``end``, in order, as folds read them."""
        # Positions have no gaps, and a narrow range is read by its index whatever the planner knows of the table. Only
        # a log that somebody has taken records out of needs the second question.
        near = min(end, after + limit)
        rows = self.query(_PARTS_SQL, after, near, limit) or (
            self.query(_PARTS_SQL, after, end, limit) if near < end else []
        )
        return list(map(EventPart._make, rows))

    def batches(self, after: int, end: int) -> Iterator[list[EventPart]]:
        """Yield the events beyond ``after`` and up to ``end`` in batches; memory does not grow with their number."""
        while after < end and (batch := self.parts(after, end)):
            after = batch[-1].position
            yield batch

    def head(self) -> int:
        """Return the position of the newest event, 0 for an empty log."""
        return int(self.query("SELECT coalesce(max(position), 0) FROM event")[0][0])

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all questions within see the database at one moment. Nobody waits for it."""
        begin = "BEGIN" if self._is_sqlite else "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
        with self._transaction(begin):
            yield

    @contextmanager
    def changes(self, *, appends_wait: bool = False) -> Iterator[None]:
        """Make all changes within at once, or none if an error leaves the block.

        ``appends_wait``: take the lock of the appends first, so that the head stays where it is. SQLite has one lock
        for all who write.
        """
        with self._transaction("BEGIN IMMEDIATE" if self._is_sqlite else "BEGIN"):
            if appends_wait and not self._is_sqlite:
                from adapters.store.postgres import APPEND_LOCK

                self.query("SELECT pg_advisory_xact_lock(?)", APPEND_LOCK)
            yield

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        with self._explained():
            self._connection.execute(begin)
        try:
            yield
            with self._explained():
                self._connection.execute("COMMIT")
        except BaseException:
            with suppress(self._failures):
                self._connection.execute("ROLLBACK")
            raise

    def _sql(self, sql: str) -> str:
        return sql if self._is_sqlite else sql.replace("?", "%s")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except self._failures as error:  # only the name of the failure: a driver's own words may quote values
            raise LogUnavailableError(f"the read models cannot be used: {type(error).__name__}") from error
