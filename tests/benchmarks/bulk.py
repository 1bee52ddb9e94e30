"""Loads rows of the log with the database's guards, indexes and constraints away, and puts those back."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

import psycopg

from adapters.store.location import Location
from adapters.store.session import EVENT_COLUMNS, statements

Rows = list[tuple[Any, ...]]

_OPEN_COLUMNS: Final = ("command_id", "position", "status", "executor")
_FAST: Final = (
    "journal_mode = OFF",
    "synchronous = OFF",
    "cache_size = -1000000",
    "temp_store = MEMORY",
    "ignore_check_constraints = ON",
)


def bulk_load(location: Location, chunks: Iterable[Rows]) -> None:
    """Write chunks of rows in the order of the log's columns; the last one holds the read model of open commands."""
    if location.path:
        with closing(sqlite3.connect(location.path, isolation_level=None)) as connection:
            _load_sqlite(connection, chunks)
            connection.execute("PRAGMA journal_mode = WAL")
    else:
        with psycopg.connect(location.url, autocommit=True) as server:
            _load_postgres(server, chunks)


def _load_sqlite(connection: sqlite3.Connection, chunks: Iterable[Rows]) -> None:
    insert_event, insert_open, *_ = statements("?")
    for setting in _FAST:
        connection.execute(f"PRAGMA {setting}")
    put_back = (
        "SELECT type, name, sql FROM sqlite_master WHERE tbl_name = 'event' AND type != 'table' AND sql IS NOT NULL"
    )
    taken = connection.execute(put_back).fetchall()
    for kind, name, _ in taken:
        connection.execute(f"DROP {kind} {name}")
    for rows in chunks:
        connection.execute("BEGIN")
        connection.executemany(insert_event if _are_events(rows) else insert_open, rows)
        connection.execute("COMMIT")
    for _, _, sql in taken:
        connection.execute(sql)


def _load_postgres(server: "psycopg.Connection[Any]", chunks: Iterable[Rows]) -> None:
    with _without_triggers_and_indexes(server):
        for rows in chunks:
            table, columns = ("event", EVENT_COLUMNS) if _are_events(rows) else ("open_command", _OPEN_COLUMNS)
            copy = f"COPY {table} ({', '.join(columns)}) FROM STDIN".encode()
            with server.cursor() as cursor, cursor.copy(copy) as stream:
                stream.write(_copied(rows))
    server.execute("VACUUM (ANALYZE) event")


def _are_events(rows: Rows) -> bool:
    return bool(rows) and len(rows[0]) == len(EVENT_COLUMNS)


def _copied(rows: Rows) -> str:
    """Return rows in the text form of COPY. No text of a made log holds NUL, tabs or line feeds."""
    lines = ["\t".join(["\0" if value is None else str(value) for value in row]) for row in rows]
    return "".join(f"{line}\n" for line in lines).replace("\\", r"\\").replace("\0", r"\N")


@contextmanager
def _without_triggers_and_indexes(server: "psycopg.Connection[Any]") -> Iterator[None]:
    unique = (
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE conrelid = 'event'::regclass AND contype IN ('p', 'u') ORDER BY oid"
    )
    server.execute("SET synchronous_commit = off; SET maintenance_work_mem = '512MB'")
    server.execute("ALTER TABLE event DISABLE TRIGGER USER")
    constraints = server.execute(unique).fetchall()
    for name, _ in constraints:
        server.execute(f"ALTER TABLE event DROP CONSTRAINT {name}".encode())
    indexes = server.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'event'").fetchall()
    for name, _ in indexes:
        server.execute(f"DROP INDEX {name}".encode())
    yield
    for name, definition in constraints:
        server.execute(f"ALTER TABLE event ADD CONSTRAINT {name} {definition}".encode())
    for _, definition in indexes:
        server.execute(definition.encode())
    for (name,) in server.execute(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = 'event'::regclass AND NOT tgisinternal"
    ):
        server.execute(f"ALTER TABLE event ENABLE ALWAYS TRIGGER {name}".encode())
