"""Loads rows of the log with the database's guards and plain indexes away, and puts those back."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg

from adapters.store.location import Location
from adapters.store.session import EVENT_COLUMNS, statements

Rows = list[tuple[Any, ...]]
OpenCommands = list[tuple[str, int, str | None, str]]


def bulk_load(location: Location, chunks: Iterable[Rows], open_commands: Callable[[], OpenCommands]) -> None:
    """Write ``chunks`` of rows in the order of the log's columns, then the read model of open commands."""
    if location.path:
        with closing(sqlite3.connect(location.path, isolation_level=None)) as connection:
            _load_sqlite(connection, chunks, open_commands)
    else:
        with psycopg.connect(location.url, autocommit=True) as server:
            _load_postgres(server, chunks, open_commands)


def _load_sqlite(
    connection: sqlite3.Connection, chunks: Iterable[Rows], open_commands: Callable[[], OpenCommands]
) -> None:
    insert_event, insert_open, *_ = statements("?")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -200000")
    put_back = (
        "SELECT type, name, sql FROM sqlite_master WHERE tbl_name = 'event' AND type != 'table' AND sql IS NOT NULL"
    )
    taken = connection.execute(put_back).fetchall()
    for kind, name, _ in taken:
        connection.execute(f"DROP {kind} {name}")
    for rows in chunks:
        connection.execute("BEGIN")
        connection.executemany(insert_event, rows)
        connection.execute("COMMIT")
    connection.executemany(insert_open, open_commands())
    for _, _, sql in taken:
        connection.execute(sql)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _load_postgres(
    server: "psycopg.Connection[Any]", chunks: Iterable[Rows], open_commands: Callable[[], OpenCommands]
) -> None:
    copy = f"COPY event ({', '.join(EVENT_COLUMNS)}) FROM STDIN".encode()
    with _without_triggers_and_indexes(server):
        for rows in chunks:
            with server.cursor() as cursor, cursor.copy(copy) as stream:
                for row in rows:
                    stream.write_row(row)
        with server.cursor() as cursor:
            cursor.executemany(statements("%s")[1], open_commands())
    server.execute("VACUUM (ANALYZE) event")


@contextmanager
def _without_triggers_and_indexes(server: "psycopg.Connection[Any]") -> Iterator[None]:
    plain = (
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'event' "
        "AND indexname NOT IN (SELECT conname FROM pg_constraint WHERE conrelid = 'event'::regclass)"
    )
    taken = server.execute(plain).fetchall()
    server.execute("SET synchronous_commit = off")
    server.execute("ALTER TABLE event DISABLE TRIGGER USER")
    for name, _ in taken:
        server.execute(f"DROP INDEX {name}".encode())
    yield
    for _, definition in taken:
        server.execute(definition.encode())
    for (name,) in server.execute(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = 'event'::regclass AND NOT tgisinternal"
    ):
        server.execute(f"ALTER TABLE event ENABLE ALWAYS TRIGGER {name}".encode())
