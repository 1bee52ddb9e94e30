"""Questions to the log, by the database's own driver: SQLAlchemy takes 20 MB, and longer than most answers do."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, LifoQueue
from typing import Any, Final

from adapters.store.connection import Connection
from adapters.store.location import Location
from adapters.store.session import EVENT_COLUMNS, EVENT_SQL
from domain.errors import LogUnavailableError
from domain.events import RecordedEvent
from domain.lifecycle import Status
from domain.ports import OpenCommand
from domain.secrets import DataKey

_MOST_CONNECTIONS: Final = 10
_CLOSE_S: Final = 2.0

OF_OPEN_COMMANDS: Final = (
    f"SELECT {', '.join(f'e.{column}' for column in EVENT_COLUMNS)} FROM event e JOIN open_command o"  # noqa: S608
)
"""Selects events of open commands; ``ON`` and what else follows is to be added."""
_STREAM: Final = f"{EVENT_SQL} WHERE stream = ? ORDER BY stream_version"
_NEWEST: Final = f"{_STREAM} DESC LIMIT ?"
_AFTER: Final = f"{EVENT_SQL} WHERE position > ? ORDER BY position LIMIT ?"
_OPEN: Final = "SELECT command_id, position, status, executor FROM open_command ORDER BY position"
_RUNNING: Final = f"{OF_OPEN_COMMANDS} ON e.stream = o.command_id WHERE o.status = ? AND e.status = ?"
_DATA_KEY: Final = "SELECT command_id, key_id, wrapped FROM data_key WHERE command_id = ?"
_OF_KEY: Final = "SELECT command_id FROM idempotency_key WHERE principal = ? AND key = ?"

Ask = Callable[..., list[tuple[Any, ...]]]
"""Takes a statement and the values of its parameters, which stand as ``?``; returns the rows."""


class Questions:
    """Asks on connections that cannot write and are kept. Any thread may ask."""

    def __init__(self, location: Location, timeout_s: float) -> None:
        """Prepare; a connection is opened when there is something to ask.

        Args:
            location: the database.
            timeout_s: seconds that one question, or waiting for a connection, may take.
        """
        self._location = location
        self._timeout_s = timeout_s
        self._closed = False
        # The one used last comes first; None stands for one that is not open.
        self._kept: LifoQueue[Connection | None] = LifoQueue()
        for _ in range(_MOST_CONNECTIONS):
            self._kept.put(None)

    def stream(self, stream: str) -> list[RecordedEvent]:
        """Return the events of a stream in order."""
        return self.events(_STREAM, stream)

    def newest(self, stream: str, most: int) -> list[RecordedEvent]:
        """Return up to ``most`` events of a stream, the newest, in order."""
        return self.events(_NEWEST, stream, most)[::-1]

    def after(self, position: int, limit: int) -> list[RecordedEvent]:
        """Return up to ``limit`` events beyond ``position``."""
        return self.events(_AFTER, position, limit)

    def open_commands(self) -> list[OpenCommand]:
        """Return the commands without a final status, in order."""
        return [OpenCommand(*row) for row in self.rows(_OPEN)]

    def running(self) -> list[RecordedEvent]:
        """Return how the commands were started that run."""
        return self.events(_RUNNING, Status.RUNNING, Status.RUNNING)

    def data_key(self, command_id: str) -> DataKey | None:
        """Return the data key of a command."""
        rows = self.rows(_DATA_KEY, command_id)
        return DataKey(*rows[0]) if rows else None

    def command_of_key(self, principal: str, key: str) -> str | None:
        """Return the id of the command that an idempotency key belongs to."""
        rows = self.rows(_OF_KEY, principal, key)
        return str(rows[0][0]) if rows else None

    def events(self, sql: str, *values: object) -> list[RecordedEvent]:
        """Return the events that a statement selects."""
        return list(map(RecordedEvent._make, self.rows(sql, *values)))

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Return what a statement selects.

        Raises:
            LogUnavailableError: if the database does not answer.
        """
        with self._connection() as connection:
            return connection.query(sql, *values)

    @contextmanager
    def snapshot(self) -> Iterator[Ask]:
        """For questions that belong together: all see the log as it stands at the first.

        Raises:
            LogUnavailableError: if the database does not answer.
        """
        with self._connection() as connection, connection.snapshot():
            yield connection.query

    def close(self) -> None:
        """Close the connections, now and after every later question; those in use are waited for, a little."""
        self._closed = True
        end_s = time.monotonic() + _CLOSE_S
        with suppress(Empty):
            for _ in range(_MOST_CONNECTIONS):
                _close(self._kept.get(timeout=max(0.0, end_s - time.monotonic())))

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        connection = None if self._closed else self._take()
        try:
            if connection and not connection.answers():  # the server may have ended it long ago
                _close(connection)
                connection = None
            if connection is None:
                connection = Connection(self._location, self._timeout_s, read_only=True)
            yield connection
        finally:
            if self._closed:
                _close(connection)
                connection = None
            self._kept.put(connection)

    def _take(self) -> Connection | None:
        try:
            return self._kept.get(timeout=self._timeout_s)
        except Empty:
            raise LogUnavailableError("the event log cannot be read: too many questions at a time") from None


def _close(connection: Connection | None) -> None:
    if connection:
        connection.close()
