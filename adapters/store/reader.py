"""Questions to the log, on read-only connections."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Executable, Row, create_engine, select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import SQLModel

from adapters.store import tables  # noqa: F401 (declares the tables)
from adapters.store.location import Location
from domain.errors import LogUnavailableError
from domain.events import RecordedEvent
from domain.ports import OpenCommand
from domain.secrets import DataKey

EVENT: Final = SQLModel.metadata.tables["event"]
OPEN_COMMAND: Final = SQLModel.metadata.tables["open_command"]
IDEMPOTENCY_KEY: Final = SQLModel.metadata.tables["idempotency_key"]
DATA_KEY: Final = SQLModel.metadata.tables["data_key"]


class Reader:
    """Reads rows as the domain's types. Any thread may use it."""

    def __init__(self, location: Location, timeout_s: float) -> None:
        milliseconds = int(timeout_s * 1000)
        options: dict[str, Any] = (
            {"timeout": timeout_s}
            if location.is_sqlite
            else {
                "connect_timeout": max(1, int(timeout_s)),
                "options": f"-c default_transaction_read_only=on -c statement_timeout={milliseconds}",
            }
        )
        self._engine = create_engine(
            location.sqlalchemy_url(read_only=True), pool_pre_ping=not location.is_sqlite, connect_args=options
        )

    def stream(self, stream: str) -> list[RecordedEvent]:
        rows = self.rows(select(EVENT).where(EVENT.c.stream == stream).order_by(EVENT.c.stream_version))
        return [RecordedEvent(**row._mapping) for row in rows]

    def events(self, after: int, limit: int) -> list[RecordedEvent]:
        rows = self.rows(select(EVENT).where(EVENT.c.position > after).order_by(EVENT.c.position).limit(limit))
        return [RecordedEvent(**row._mapping) for row in rows]

    def open_commands(self) -> list[OpenCommand]:
        rows = self.rows(select(OPEN_COMMAND).order_by(OPEN_COMMAND.c.position))
        return [OpenCommand(**row._mapping) for row in rows]

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
        """A connection for questions that belong together.

        Raises:
            LogUnavailableError: if the database does not answer.
        """
        try:
            with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise LogUnavailableError("the event log cannot be read") from error

    def close(self) -> None:
        self._engine.dispose()
