"""Appends to PostgreSQL: an advisory lock orders the writers, synchronous commit makes them durable."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple
from typing import Any, Final

import orjson
import psycopg
from psycopg import errors

from adapters.store.session import (
    EVENT_COLUMNS,
    EVENT_SQL,
    HEAD_SQL,
    NEWER_WINS,
    Changes,
    ConflictInLogError,
    Head,
    SessionLostError,
    statements,
)
from domain.errors import LogUnavailableError, RecordRefusedError
from domain.projections.open_commands import NOBODY
from domain.secrets import DataKey

CHANNEL: Final = "docker_mcp_log"
"""On which waiting processes hear that commands have ended."""

APPEND_LOCK: Final = 0x646D6370
"""Key of the advisory lock that every append holds until its commit; advisory keys are per database."""

# Three statements in one round trip. The head must not be read by the statement that takes the lock: its snapshot
# would be older than the lock and the chain would fork.
_BEGIN: Final = f"BEGIN; SELECT pg_advisory_xact_lock({APPEND_LOCK}); {HEAD_SQL}"

_NOTIFY: Final = f"NOTIFY {CHANNEL}"
"""Once per transaction that ends commands: every NOTIFY takes a lock that all commits of the server share."""

# Rows as JSON, any number of them in one statement: each statement costs messages, and a wait on both sides.
_INSERT_EVENTS: Final = (
    f"INSERT INTO event ({', '.join(EVENT_COLUMNS)}) "  # noqa: S608 (fixed names)
    f"SELECT {', '.join(EVENT_COLUMNS)} FROM json_populate_recordset(NULL::event, %s)"
)
_UPSERT_OPEN: Final = (
    "INSERT INTO open_command (command_id, position, status, executor) "  # noqa: S608 (fixed names)
    f"SELECT command_id, position, status, coalesce(executor, '{NOBODY}') "
    f"FROM json_populate_recordset(NULL::open_command, %s) {NEWER_WINS}"
)
_DELETE_OPEN: Final = "DELETE FROM open_command WHERE command_id = ANY(%s)"
*_, _INSERT_KEY, _INSERT_CLAIM = statements("%s")


def connect(url: str, timeout_s: float) -> "psycopg.Connection[tuple[Any, ...]]":
    """Return a connection on which no statement waits for longer than about ``timeout_s`` seconds.

    Raises:
        LogUnavailableError: if the server does not accept it.
    """
    milliseconds = int(timeout_s * 1000)
    try:
        connection = psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=max(1, int(timeout_s)),
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=milliseconds * 2,
            application_name="docker-mcp",
        )
    except psycopg.OperationalError as error:
        raise LogUnavailableError(f"cannot connect to the database: {str(error).splitlines()[-1].strip()}") from error
    except psycopg.Error as error:
        raise LogUnavailableError("cannot connect to the database: the URL is not understood") from error
    try:
        with _explained():
            connection.execute(
                f"SET synchronous_commit = on; SET lock_timeout = {milliseconds}; "
                f"SET statement_timeout = {milliseconds}; "
                f"SET idle_in_transaction_session_timeout = {milliseconds * 2}; "
                "SET default_transaction_isolation = 'read committed'"
            )
    except SessionLostError as error:
        connection.close()
        raise LogUnavailableError(f"cannot connect to the database: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection


class PostgresSession:
    """A connection to the server, for one thread at a time."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self.connection = connect(url, timeout_s)

    def begin(self) -> Head:
        with _explained():
            cursor = self.connection.execute(_BEGIN)
            while cursor.nextset():
                pass
            row = cursor.fetchone()
        return Head(*row) if row else Head()

    def last_version(self, stream: str) -> int:
        sql = "SELECT coalesce(max(stream_version), 0) FROM event WHERE stream = %s"
        with _explained():
            row = self.connection.execute(sql, (stream,)).fetchone()
        return int(row[0]) if row else 0

    def commit(self, changes: Changes) -> None:
        with _explained(), self.connection.pipeline(), self.connection.cursor() as cursor:
            events = _rows(EVENT_COLUMNS, changes.events)
            inserted = self.connection.execute(_INSERT_EVENTS, (events,), prepare=True)
            if changes.opened:
                opened = _rows(("command_id", "position", "status", "executor"), changes.opened)
                cursor.execute(_UPSERT_OPEN, (opened,), prepare=True)
            if changes.closed:
                cursor.execute(_DELETE_OPEN, (list(changes.closed),), prepare=True)
            if changes.data_keys:
                cursor.executemany(_INSERT_KEY, map(astuple, changes.data_keys))
            if changes.claims:
                cursor.executemany(_INSERT_CLAIM, changes.claims)
            if changes.closed:
                cursor.execute(_NOTIFY)
            cursor.execute("COMMIT")
        if inserted.rowcount < len(changes.events):
            raise SessionLostError("the database drops records")  # so that the writer looks which of them are there

    def rollback(self) -> None:
        with suppress(psycopg.Error):
            self.connection.execute("ROLLBACK")

    def hash_at(self, position: int) -> str | None:
        sql = "SELECT event_hash FROM event WHERE position = %s"
        with _explained():
            row = self.connection.execute(sql, (position,)).fetchone()
        return str(row[0]) if row else None

    def find(self, event_id: str) -> tuple[Any, ...] | None:
        with _explained():
            return self.connection.execute(f"{EVENT_SQL} WHERE event_id = %s", (event_id,)).fetchone()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with _explained():
            return self.connection.execute(sql.encode()).fetchall()

    def delete_data_key(self, command_id: str) -> None:
        with _explained():
            self.connection.execute("DELETE FROM data_key WHERE command_id = %s", (command_id,))

    def replace_data_keys(self, keys: Sequence[DataKey]) -> None:
        with _explained(), self.connection.cursor() as cursor:
            cursor.execute("DELETE FROM data_key")
            cursor.executemany(_INSERT_KEY, map(astuple, keys))

    def wipe(self) -> bool:
        # Plain VACUUM frees the place of a row and may leave its bytes there; FULL writes the table anew.
        warnings: list[str | None] = []
        self.connection.add_notice_handler(lambda notice: warnings.append(notice.message_primary))
        with _explained():
            self.connection.execute("VACUUM (FULL) data_key")
        return not warnings  # a role that does not own the table gets a warning, and nothing happens

    def close(self) -> None:
        with suppress(psycopg.Error):
            self.connection.close()


def _rows(columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> str:
    """Return rows as JSON objects."""
    return orjson.dumps([dict(zip(columns, row, strict=True)) for row in rows]).decode()


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (errors.UniqueViolation, errors.CheckViolation) as error:
        if isinstance(error, errors.CheckViolation) and error.diag.constraint_name:
            raise RecordRefusedError from error
        raise ConflictInLogError(error.diag.constraint_name or "chain") from error
    except (errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow) as error:
        raise SessionLostError("the database is shutting down") from error
    except psycopg.OperationalError as error:
        if error.sqlstate is None:
            raise SessionLostError("the connection to the database is gone") from error
        raise LogUnavailableError(f"the event log cannot be written: {_reason(error)}") from error
    except psycopg.Error as error:
        raise LogUnavailableError(f"the event log cannot be written: {_reason(error)}") from error


def _reason(error: psycopg.Error) -> str:
    # Only the condition's name: the full text of a driver error may quote values.
    with suppress(KeyError):
        return errors.lookup(error.sqlstate or "").__name__
    return type(error).__name__
