"""What somebody can do to a log who holds the database and its owner's rights."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

import psycopg

from adapters.store.location import Location
from adapters.store.session import EVENT_COLUMNS
from domain.chain import seal_event
from domain.events import NewEvent, RecordedEvent
from migrations.guards import POSTGRES_TRIGGERS, SQLITE_TRIGGERS
from tests.contract.rows import execute, rows

_COLUMNS = ", ".join(EVENT_COLUMNS)


@contextmanager
def unguarded(location: Location) -> Iterator[None]:
    """Take the guards away and put them back, as an attacker who wants to stay unnoticed does."""
    if location.path:
        execute(location, *(f"DROP TRIGGER {name}" for name in SQLITE_TRIGGERS))
        yield
        execute(location, *SQLITE_TRIGGERS.values())
    else:
        execute(location, "ALTER TABLE event DISABLE TRIGGER ALL")
        yield
        execute(location, *(f"ALTER TABLE event ENABLE ALWAYS TRIGGER {name}" for name in POSTGRES_TRIGGERS))


def tamper(location: Location, *statements: str) -> None:
    """Run ``statements`` while the guards are away."""
    with unguarded(location):
        execute(location, *statements)


def without_rules(location: Location) -> None:
    """Make the table take anything, twice and of any type, with its guards in place."""
    if location.path:
        execute(
            location,
            "PRAGMA legacy_alter_table = ON",
            "ALTER TABLE event RENAME TO was",
            f"CREATE TABLE event ({_COLUMNS})",
            f"INSERT INTO event SELECT {_COLUMNS} FROM was",
            "DROP TABLE was",
            *SQLITE_TRIGGERS.values(),
        )
        return
    named = rows(location, "SELECT conname FROM pg_constraint WHERE conrelid = 'event'::regclass")
    execute(location, *(f'ALTER TABLE event DROP CONSTRAINT "{name}"' for (name,) in named))
    execute(location, "DROP INDEX event_one_final_status")
    free = [column for column in EVENT_COLUMNS if column != "position"]
    execute(location, *(f"ALTER TABLE event ALTER COLUMN {column} DROP NOT NULL" for column in free))


def events(location: Location) -> list[RecordedEvent]:
    return [RecordedEvent(*row) for row in rows(location, f"SELECT {_COLUMNS} FROM event ORDER BY position")]


def put(location: Location, records: Sequence[RecordedEvent]) -> None:
    """Put ``records`` in the place of all that the table holds."""
    with unguarded(location):
        if location.path:
            with closing(sqlite3.connect(location.path)) as connection, connection:
                connection.execute("DELETE FROM event")
                marks = ", ".join("?" * len(EVENT_COLUMNS))
                connection.executemany(f"INSERT INTO event ({_COLUMNS}) VALUES ({marks})", records)
        else:
            with psycopg.connect(location.url) as server, server.cursor() as cursor:
                cursor.execute("DELETE FROM event")
                marks = ", ".join(["%s"] * len(EVENT_COLUMNS))
                cursor.executemany(f"INSERT INTO event ({_COLUMNS}) VALUES ({marks})".encode(), records)


def forged(
    records: Sequence[RecordedEvent], change: Callable[[RecordedEvent], RecordedEvent | None]
) -> list[RecordedEvent]:
    """Return the log with every record changed or left out, and all positions, links and hashes made right again."""
    made: list[RecordedEvent] = []
    versions: dict[str, int] = {}
    for record in records:
        if (changed := change(record)) is None:
            continue
        version = versions[changed.stream] = versions.get(changed.stream, 0) + 1
        made.append(
            seal_event(
                NewEvent(**{name: getattr(changed, name) for name in NewEvent._fields}),
                position=len(made) + 1,
                version=version,
                at_ms=changed.occurred_at_ms,
                previous_hash=made[-1].event_hash if made else None,
            )
        )
    return made
