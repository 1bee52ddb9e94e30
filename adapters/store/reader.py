"""Questions to the log that are put together from parts, through SQLAlchemy, on read-only connections."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Executable, Row, create_engine, event
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError
from sqlmodel import SQLModel

from adapters.store import tables  # noqa: F401 (declares the tables)
from adapters.store.connection import FOR_QUESTIONS
from adapters.store.location import Location
from domain.errors import LogUnavailableError

EVENT: Final = SQLModel.metadata.tables["event"]
OPEN_COMMAND: Final = SQLModel.metadata.tables["open_command"]
IDEMPOTENCY_KEY: Final = SQLModel.metadata.tables["idempotency_key"]
DATA_KEY: Final = SQLModel.metadata.tables["data_key"]

_CLOSE_S: Final = 2.0


class Reader:
    """Reads rows as the domain's types. Any thread may use it."""

    def __init__(self, location: Location, timeout_s: float) -> None:
        if location.is_sqlite:
            options: dict[str, Any] = {"connect_args": {"timeout": timeout_s}}
        else:
            parameters = {"statement_timeout": int(timeout_s * 1000), **FOR_QUESTIONS}
            given = " ".join(f"-c {name}={value}" for name, value in parameters.items())
            connect_args = {"connect_timeout": max(1, int(timeout_s)), "options": given}
            options = {"connect_args": connect_args, "pool_pre_ping": True, "isolation_level": "REPEATABLE READ"}
        self._engine = create_engine(location.sqlalchemy_url(read_only=True), **options)
        self._changed = threading.Condition()
        self._asking = 0
        self._closed = False
        if location.is_sqlite:
            # The driver by itself begins no transaction for questions, so that each would see another state.
            event.listen(self._engine, "connect", partial(_prepare, location))
            event.listen(self._engine, "begin", _begin)
            event.listen(self._engine, "checkout", partial(_check_file, location))

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


def _prepare(location: Location, connection: Any, record: Any) -> None:
    connection.isolation_level = None
    record.info["file"] = location.file_id()


def _check_file(location: Location, _connection: Any, record: Any, _proxy: Any) -> None:
    """Let a connection to a file that was replaced be made anew: it would go on to answer from the old one."""
    if record.info["file"] != location.file_id():
        raise DisconnectionError


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")
