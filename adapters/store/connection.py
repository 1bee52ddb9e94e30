"""A connection to an existing log by the database's own driver, with the same words for both databases."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Self
from urllib.parse import quote

from adapters.store.location import Location
from domain.errors import LogUnavailableError

# Questions read an index in its order and stop when they have enough. PostgreSQL's estimates of how much that is go
# wrong where a principal or object was busy long ago; then it would rather sort, or compile the question first.
FOR_QUESTIONS: Final = {
    "default_transaction_read_only": "on",
    "enable_sort": "off",
    "enable_incremental_sort": "off",
    "jit": "off",
}
"""Parameters of PostgreSQL for connections that only ask."""


class Connection:
    """A connection, used by one thread at a time. Statements have ``?`` for parameters on both databases."""

    failing: str = "the event log cannot be read"
    """What is said when the database does not answer."""

    def __init__(self, location: Location, timeout_s: float, *, read_only: bool) -> None:
        """Connect.

        Args:
            location: the database; it has to be there.
            timeout_s: seconds that one statement or lock may take.
            read_only: the database refuses every change.

        Raises:
            LogUnavailableError: if it cannot be reached; so do all methods.
        """
        self._location = location
        self._is_sqlite = location.is_sqlite
        self._connection: Any
        self._failures: type[Exception]
        if location.path:
            self._failures = sqlite3.Error
            self._file_id = location.file_id()
            file = f"file:{quote(str(location.path))}?mode={'ro' if read_only else 'rw'}"
            with self._explained():
                self._connection = sqlite3.connect(
                    file, uri=True, timeout=timeout_s, isolation_level=None, check_same_thread=False
                )
        else:
            import psycopg

            from adapters.store.postgres import connect

            self._failures = psycopg.Error
            self._connection = connect(location.url, timeout_s)
            if read_only:
                self.set(**FOR_QUESTIONS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, whatever state it is in."""
        with suppress(self._failures):
            self._connection.close()

    def answers(self) -> bool:
        """Return whether the server is still there, or the file that was opened still is the log."""
        if self._is_sqlite:
            return self._location.file_id() == self._file_id
        with suppress(LogUnavailableError):
            return bool(self.query("SELECT 1"))
        return False

    def set(self, **parameters: str) -> None:
        """Set run-time parameters of PostgreSQL for this connection."""
        calls = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in parameters.items())
        self.query(f"SELECT {calls}")

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a statement."""
        with self._explained():
            rows: list[tuple[Any, ...]] = self._connection.execute(self._sql(sql), values).fetchall()
        return rows

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all questions within see the database at one moment. Nobody waits for it."""
        with self._transaction("BEGIN" if self._is_sqlite else "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"):
            yield

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        with self._explained():
            self._connection.execute(begin)
        try:
            yield
            with self._explained():
                self._connection.execute("COMMIT")
        except BaseException:
            with suppress(self._failures):
                self._connection.execute("ROLLBACK")
            raise

    def _sql(self, sql: str) -> str:
        return sql if self._is_sqlite else sql.replace("?", "%s")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except self._failures as error:  # only the name of the failure: a driver's own words may quote values
            raise LogUnavailableError(f"{self.failing}: {type(error).__name__}") from error
