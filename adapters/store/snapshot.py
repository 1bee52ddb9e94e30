"""One moment of a log, read row by row with the raw driver: what verification, archives and rotation work on.

Nothing of it can write, and it takes whatever the database holds, also what no log could hold by itself.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from adapters.store.location import Location
from adapters.store.session import EVENT_SQL
from domain.errors import DockerMcpError
from domain.events import RecordedEvent
from domain.stream_check import Last

Rows = list[tuple[Any, ...]]

Progress = Callable[[int, int | None], None]
"""Hears how many rows or pages are done, and of how many, if that is known."""


class LogDamagedError(DockerMcpError):
    """The database cannot read its own file, so nothing can be said about the records in it."""

    code = "log_damaged"
    hint = "keep the file as evidence and verify a backup"


class Snapshot(Protocol):
    """A log as it was at one moment. Every method may raise ``LogDamagedError`` or ``LogUnavailableError``."""

    @property
    def is_sqlite(self) -> bool: ...

    def query(self, sql: str, *values: object) -> Rows:
        """Return the rows of a statement; its values stand as ``?``."""
        ...

    def batches(self, after: int | None = None) -> Iterator[Sequence[RecordedEvent]]:
        """Yield the records with a position beyond ``after`` (None: all), in order."""
        ...

    def renew(self) -> None:
        """Go on with the log as it is now, so that a long look does not hold up the database's own cleaning."""
        ...


class WholeSnapshot(Snapshot, Protocol):
    """A log that can be copied with all that is beside it."""

    def copy_to(self, target: Path, progress: Progress) -> None:
        """Copy the whole database into the empty file ``target``, as a SQLite log that is one file."""
        ...


def record_at(snapshot: Snapshot, position: int) -> RecordedEvent | None:
    """Return the record at a position."""
    rows = snapshot.query(f"{EVENT_SQL} WHERE position = ?", position)
    return RecordedEvent(*rows[0]) if rows else None


def hash_at(snapshot: Snapshot, position: int) -> str | None:
    """Return the hash of the record at a position."""
    rows = snapshot.query("SELECT event_hash FROM event WHERE position = ?", position)
    return rows[0][0] if rows else None


def newest(snapshot: Snapshot) -> RecordedEvent | None:
    """Return the last record."""
    rows = snapshot.query(f"{EVENT_SQL} ORDER BY position DESC LIMIT 1")
    return RecordedEvent(*rows[0]) if rows else None


def last_of(snapshot: Snapshot, stream: str) -> RecordedEvent | None:
    """Return the latest record of a stream."""
    rows = snapshot.query(f"{EVENT_SQL} WHERE stream = ? ORDER BY stream_version DESC LIMIT 1", stream)
    return RecordedEvent(*rows[0]) if rows else None


def earlier(snapshot: Snapshot, stream: str, version: int, before: int) -> Last | None:
    """Return the event of ``stream`` with ``version`` if it stands before a position."""
    sql = "SELECT position, stream_version, type, status FROM event WHERE stream = ? AND stream_version = ? "
    rows = snapshot.query(sql + "AND position < ? ORDER BY position LIMIT 1", stream, version, before)
    return Last(*rows[0]) if rows else None


def open_snapshot(location: Location, timeout_s: float) -> AbstractContextManager[WholeSnapshot]:
    """Read a log as it is now, without waiting for those who append, and without holding them up.

    Raises:
        LogUnavailableError: if the database does not answer or holds no log.
        LogDamagedError: if the file is damaged.
    """
    if location.path:
        from adapters.store.sqlite_snapshot import open_sqlite_snapshot

        return open_sqlite_snapshot(location.path, timeout_s)
    from adapters.store.postgres_snapshot import open_postgres_snapshot

    return open_postgres_snapshot(location.url, timeout_s)
