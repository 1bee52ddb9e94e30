"""A log goes on in a new database: the old one is closed by its last record, the new one begins with the old head."""

import os
import sqlite3
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from adapters.private_file import sync
from adapters.store.event_store import open_postgres
from adapters.store.location import Location
from adapters.store.session import Changes, Head
from adapters.store.snapshot import Snapshot, last_of, open_snapshot
from adapters.store.sqlite import SqliteSession
from domain.chain import seal_event
from domain.engine_cursor import STREAM_PREFIX
from domain.errors import DockerMcpError, InvalidArgumentsError
from domain.events import LogRotated, NewEvent, RecordedEvent

_OTHER_LOCKS_SQL: Final = """
SELECT count(*) FROM pg_locks
 WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND pid <> pg_backend_pid()
"""


STREAM: Final = "log"
"""The stream of the records that close a log and begin the next one."""


class LogInUseError(DockerMcpError):
    """A server holds the log, so it cannot be rotated."""

    code = "log_in_use"
    hint = "stop every server of this log first"


def check_unused(location: Location, timeout_s: float, *, but: str) -> None:
    """Refuse a log that a process holds; each server holds a lock for its life.

    Args:
        location: the log.
        timeout_s: seconds that the database may take.
        but: the executor id of this process.

    Raises:
        LogInUseError: if there is one.
    """
    if location.path:
        from adapters.store.executors import FileExecutors

        directory = location.path.with_name(location.path.name + ".executors")
        executors = FileExecutors(directory)
        names = {file.stem for file in directory.glob("*.lock")} - {but}
        held = any(executors.is_alive(name) for name in names)
    else:
        with closing(open_postgres(location, timeout_s)) as session:
            held = session.query(_OTHER_LOCKS_SQL)[0][0] > 1  # one is that of this process
    if held:
        raise LogInUseError


def closed_at(location: Location, timeout_s: float) -> int | None:
    """Return the position of the record that closed the log for a new database; None if it is not closed.

    Raises:
        LogUnavailableError: if the log cannot be read.
    """
    with open_snapshot(location, timeout_s) as snapshot:
        return closing_record(snapshot)


def closing_record(snapshot: Snapshot) -> int | None:
    """Return the position of the record that closed the log for a new database; None if it is not closed."""
    last = last_of(snapshot, STREAM)
    return last.position if last and last.type == LogRotated.type else None


def check_settled(snapshot: Snapshot) -> None:
    """Refuse a log with commands that have no final status.

    Raises:
        InvalidArgumentsError: naming some of them.
    """
    rows = snapshot.query("SELECT command_id, coalesce(status, 'authorized') FROM open_command ORDER BY position")
    if rows:
        named = ", ".join(f"{command} ({status})" for command, status in rows[:3])
        raise InvalidArgumentsError(
            f"{len(rows)} commands have no final status: {named}",
            hint="start a server, which settles them; approve or refuse what waits for approval",
        )


def last_of_engines(snapshot: Snapshot) -> list[RecordedEvent]:
    """Return the last record of each engine whose events the log holds."""
    streams = snapshot.query("SELECT DISTINCT stream FROM event WHERE stream LIKE ?", f"{STREAM_PREFIX}%")
    return [last for (stream,) in sorted(streams) if (last := last_of(snapshot, stream))]


def begin_log(location: Location, events: list[NewEvent], at_ms: int, timeout_s: float) -> None:
    """Append the first records to an empty, migrated log.

    Raises:
        InvalidArgumentsError: if it is not empty.
    """
    session: Any = SqliteSession(location.path, timeout_s) if location.path else open_postgres(location, timeout_s)
    with closing(session):
        head: Head = session.begin()
        try:
            if head.position:
                raise InvalidArgumentsError("the new database holds a log already", hint="give an empty database")
            rows, previous, versions = [], None, Counter[str]()
            for position, event in enumerate(events, 1):
                versions[event.stream] += 1
                version = versions[event.stream]
                row = seal_event(event, position=position, version=version, at_ms=at_ms, previous_hash=previous)
                previous = row.event_hash
                rows.append(row)
            session.commit(Changes(events=rows, opened=(), closed=(), data_keys=()))
        except BaseException:
            session.rollback()
            raise
        if location.path:
            session.wipe()


def take_place(new: Path, current: Path, kept: Path) -> None:
    """Put the database ``new`` in the place of ``current``, which is kept as ``kept``. There is one at every moment.

    Raises:
        LogInUseError: if a process has opened ``current``.
    """
    with closing(sqlite3.connect(current, timeout=0)) as connection:
        # Only the one user of a database can leave WAL mode. It also leaves the old file whole by itself.
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = DELETE")
        if connection.execute("PRAGMA journal_mode").fetchone() != ("delete",):
            raise LogInUseError
    os.link(current, kept)
    new.replace(current)
    sync(current.parent)
