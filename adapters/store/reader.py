"""Questions to the log, on read-only connections."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Executable, Row, create_engine, event, select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import SQLModel

from adapters.store import tables  # noqa: F401 (declares the tables)
from adapters.store.location import Location
from domain.errors import LogUnavailableError
from domain.events import RecordedEvent
from domain.lifecycle import Status
from domain.ports import OpenCommand
from domain.secrets import DataKey

EVENT: Final = SQLModel.metadata.tables["event"]
OPEN_COMMAND: Final = SQLModel.metadata.tables["open_command"]
IDEMPOTENCY_KEY: Final = SQLModel.metadata.tables["idempotency_key"]
DATA_KEY: Final = SQLModel.metadata.tables["data_key"]

_CLOSE_S: Final = 2.0
# Questions read an index in its order and stop when they have enough. PostgreSQL's estimates of how much that is go
# wrong where a principal or object was busy long ago; then it would rather sort, or compile the question first.
_NO_SORTS: Final = "-c enable_sort=off -c enable_incremental_sort=off -c jit=off"


class Reader:
    """Reads rows as the domain's types. Any thread may use it."""

    def __init__(self, location: Location, timeout_s: float) -> None:
        milliseconds = int(timeout_s * 1000)
        if location.is_sqlite:
            options: dict[str, Any] = {"connect_args": {"timeout": timeout_s}}
        else:
            parameters = f"-c default_transaction_read_only=on -c statement_timeout={milliseconds} {_NO_SORTS}"
            connect_args = {"connect_timeout": max(1, int(timeout_s)), "options": parameters}
            options = {"connect_args": connect_args, "pool_pre_ping": True, "isolation_level": "REPEATABLE READ"}
        self._engine = create_engine(location.sqlalchemy_url(read_only=True), **options)
        self._changed = threading.Condition()
        self._asking = 0
        self._closed = False
        if location.is_sqlite:
            # The driver by itself begins no transaction for questions, so that each would see another state.
            event.listen(self._engine, "connect", _without_transactions_of_the_driver)
            event.listen(self._engine, "begin", _begin)

    def stream(self, stream: str) -> list[RecordedEvent]:
        rows = self.rows(select(EVENT).where(EVENT.c.stream == stream).order_by(EVENT.c.stream_version))
        return [RecordedEvent(**row._mapping) for row in rows]

    def events(self, after: int, limit: int) -> list[RecordedEvent]:
        rows = self.rows(select(EVENT).where(EVENT.c.position > after).order_by(EVENT.c.position).limit(limit))
        return [RecordedEvent(**row._mapping) for row in rows]

    def open_commands(self) -> list[OpenCommand]:
        rows = self.rows(select(OPEN_COMMAND).order_by(OPEN_COMMAND.c.position))
        return [OpenCommand(**row._mapping) for row in rows]

    def running(self) -> list[RecordedEvent]:
        begun = EVENT.join(OPEN_COMMAND, EVENT.c.stream == OPEN_COMMAND.c.command_id)
        where = (OPEN_COMMAND.c.status == Status.RUNNING, EVENT.c.status == Status.RUNNING)
        return [RecordedEvent(**row._mapping) for row in self.rows(select(EVENT).select_from(begun).where(*where))]

    def data_key(self, command_id: str) -> DataKey | None:
        rows = self.rows(select(DATA_KEY).where(DATA_KEY.c.command_id == command_id))
        return DataKey(**rows[0]._mapping) if rows else None

    def command_of_key(self, principal: str, key: str) -> str | None:
        table = IDEMPOTENCY_KEY.c
        rows = self.rows(select(table.command_id).where(table.principal == principal, table.key == key))
        return str(rows[0].command_id) if rows else None

    def rows(self, query: Executable) -> Sequence[Row[Any]]:
        """Return what ``query`` selects."""
        with self.snapshot() as connection:
            return connection.execute(query).all()

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection for questions that belong together: all see the log as it stands at the first.

        Raises:
            LogUnavailableError: if the database does not answer.
        """
        with self._changed:
            self._asking += 1
        try:
            with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise LogUnavailableError("the event log cannot be read") from error
        finally:
            with self._changed:
                self._asking -= 1
                self._changed.notify_all()
            if self._closed:  # a late question keeps no connection
                self._engine.dispose()

    def close(self) -> None:
        """Close the connections, now and after every later question; those in use are waited for, a little."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._asking, _CLOSE_S)
        self._engine.dispose()


def _without_transactions_of_the_driver(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")
