"""Copies whole tables between PostgreSQL and a SQLite file, row by row and unchanged."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

import adapters.store.tables  # noqa: F401 (declares the tables)
from adapters.store.location import Location
from adapters.store.migrate import migrate
from adapters.store.postgres import APPEND_LOCK, connect
from adapters.store.session import marks
from adapters.store.snapshot import Progress, Rows
from domain.errors import InvalidArgumentsError, LogUnavailableError

_BATCH: Final = 256
_EVENTS: Final = "event"


def tables() -> dict[str, list[str]]:
    """Return the columns of every table of a log, the events first."""
    from sqlmodel import SQLModel

    found = {table.name: [column.name for column in table.columns] for table in SQLModel.metadata.sorted_tables}
    return {_EVENTS: found.pop(_EVENTS), **found}


def copy_out(rows: Callable[[str], Iterator[Rows]], target: Path, progress: Progress) -> None:
    """Write the tables into an empty SQLite file. ``rows`` reads the rows of a statement in batches.

    Its guards look at each record and would take most of the time, so they are put back when all are in: what was
    written is verified as a whole before it counts as a copy.
    """
    migrate(Location(path=target))
    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        copy.execute("BEGIN")
        guards = copy.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in guards:
            copy.execute(f"DROP TRIGGER {name}")
        for table, columns in tables().items():
            if table != _EVENTS:  # what a migration puts into the others
                copy.execute(f"DELETE FROM {table}")  # noqa: S608 (fixed names)
            names = ", ".join(columns)
            insert = f"INSERT INTO {table} ({names}) VALUES ({marks(columns)})"  # noqa: S608 (fixed names)
            done = 0
            for batch in rows(f"SELECT {names} FROM {table} ORDER BY {columns[0]}"):  # noqa: S608
                copy.executemany(insert, batch)
                done += len(batch)
                progress(done, None)
        for _, guard in guards:
            copy.execute(guard)
        copy.execute("COMMIT")


def copy_into(url: str, source: Path, timeout_s: float, progress: Progress) -> None:
    """Fill the empty tables of a migrated PostgreSQL database from a SQLite file, in one transaction.

    Raises:
        InvalidArgumentsError: if there is a log in it.
        LogUnavailableError: if the database does not take it.
    """
    try:
        with (
            closing(connect(url, timeout_s)) as server,
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as copy,
            server.transaction(),
        ):
            server.execute("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
            server.execute("SELECT pg_advisory_xact_lock(%s)", [APPEND_LOCK])
            if server.execute("SELECT 1 FROM event LIMIT 1").fetchone():
                raise InvalidArgumentsError(
                    "the database holds a log already, and a log is never overwritten",
                    hint="set DOCKER_MCP_DATABASE_URL to an empty database",
                )
            for table, columns in tables().items():
                _fill(server, copy, table, columns, progress)
    except psycopg.Error as error:
        raise LogUnavailableError(f"the database does not take the log: {type(error).__name__}") from error


def _fill(
    server: psycopg.Connection[tuple[Any, ...]],
    copy: sqlite3.Connection,
    table: str,
    columns: list[str],
    progress: Progress,
) -> None:
    if table != _EVENTS:
        server.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    into = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)
    rows = copy.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY {columns[0]}")  # noqa: S608
    with server.cursor() as cursor, cursor.copy(into) as stream:
        for done, row in enumerate(rows, 1):
            stream.write_row(row)
            if done % _BATCH == 0:
                progress(done, None)
