"""One moment of a PostgreSQL log."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg

from adapters.store.postgres import connect
from adapters.store.session import EVENT_SQL
from adapters.store.snapshot import LogDamagedError, Progress, Rows, WholeSnapshot
from domain.errors import LogUnavailableError
from domain.events import RecordedEvent

_BEGIN: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_BATCH: Final = 128
"""More would keep more objects alive at a time, and Python would spend its time looking through them."""


@contextmanager
def open_postgres_snapshot(url: str, timeout_s: float) -> Iterator[WholeSnapshot]:
    """Read the log on a server, see :func:`adapters.store.snapshot.open_snapshot`."""
    with closing(connect(url, timeout_s)) as server:
        # Between two batches one is checked, which takes its time.
        server.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
        server.execute(_BEGIN)
        yield _PostgresSnapshot(server)


class _PostgresSnapshot:
    is_sqlite = False

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection

    def query(self, sql: str, *values: object) -> Rows:
        with _explained():
            return self._connection.execute(sql.replace("?", "%s").encode(), values).fetchall()

    def renew(self) -> None:
        with _explained():
            self._connection.execute("COMMIT")
            self._connection.execute(_BEGIN)

    def copy_to(self, target: Path, progress: Progress) -> None:
        from adapters.store.postgres_copy import copy_out

        copy_out(self._rows, target, progress)

    def batches(self, after: int | None = None) -> Iterator[Sequence[RecordedEvent]]:
        condition, values = ("", ()) if after is None else (" WHERE position > %s", (after,))
        for batch in self._rows(f"{EVENT_SQL}{condition} ORDER BY position", *values):
            yield list(map(RecordedEvent._make, batch))

    def _rows(self, sql: str, *values: object) -> Iterator[Rows]:
        # Closed twice: a connection that breaks while a cursor is being closed leaves it open.
        with _explained(), closing(self._connection.cursor(name="log", binary=True)) as cursor, cursor:
            cursor.execute(sql.encode(), values)
            while batch := cursor.fetchmany(_BATCH):
                yield batch


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except psycopg.errors.UndefinedTable as error:
        raise LogUnavailableError("the database holds no log", hint="correct DOCKER_MCP_DATABASE_URL") from error
    except psycopg.errors.InternalError as error:  # a page that is not what it should be
        raise LogDamagedError(f"the database is damaged: {type(error).__name__}") from error
    except psycopg.Error as error:
        raise LogUnavailableError(f"the event log cannot be read: {type(error).__name__}") from error
