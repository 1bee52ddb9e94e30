"""A connection for what is derived from the log: reads it in batches, and keeps read models beside it.

Its commits do not wait for the disk. If the last of them are lost in a power cut, so is everything after them, and the
fold goes on from there; what it has read was durable before it could be read.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from adapters.store.connection import Connection
from adapters.store.location import Location
from domain.projections.folded import EventPart

EVENTS_IN_A_BATCH: Final = 2000

_PARTS_SQL: Final = (
    f"SELECT {', '.join(EventPart._fields)} FROM event WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"  # noqa: S608
)


class Beside(Connection):
    """A connection that reads the log and changes what is kept beside it."""

    failing = "the read models cannot be used"

    def __init__(self, location: Location, timeout_s: float) -> None:
        """Connect to an existing log.

        Raises:
            LogUnavailableError: if it cannot be reached; so do all methods.
        """
        super().__init__(location, timeout_s, read_only=False)
        if self._is_sqlite:
            self.query("PRAGMA synchronous = NORMAL")
        else:
            self.set(synchronous_commit="off")

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
