"""One moment of a SQLite log, also of a copy that lies where nothing can be written."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from adapters.store.session import EVENT_SQL
from adapters.store.snapshot import LogDamagedError, Progress, Rows, WholeSnapshot
from domain.errors import LogUnavailableError
from domain.events import RecordedEvent

_BATCH: Final = 128
"""More would keep more objects alive at a time, and Python would spend its time looking through them."""
_PAGES: Final = 4096
"""Copied in one step: 16 MiB."""
_CANNOT_OPEN: Final = ("SQLITE_CANTOPEN", "SQLITE_READONLY_DIRECTORY", "SQLITE_READONLY_CANTINIT")


@contextmanager
def open_sqlite_snapshot(path: Path, timeout_s: float) -> Iterator[WholeSnapshot]:
    """Read the log in a file, see :func:`adapters.store.snapshot.open_snapshot`."""
    with closing(_open(path, timeout_s)) as connection:
        yield _SqliteSnapshot(connection)


class _SqliteSnapshot:
    is_sqlite = True

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def query(self, sql: str, *values: object) -> Rows:
        with _explained():
            return self._connection.execute(sql, values).fetchall()

    def batches(self, after: int | None = None) -> Iterator[Sequence[RecordedEvent]]:
        seen = after
        rows = self._from(seen)
        while True:
            with _explained(f" after position {seen or 0}"):
                try:
                    batch = rows.fetchmany(_BATCH)
                except sqlite3.OperationalError as error:
                    if "decode" not in str(error):
                        raise
                    batch = self._undecoded(seen)  # text that is none
                    rows = self._from(batch[-1][0])
            if not batch:
                return
            seen = batch[-1][0]
            yield list(map(RecordedEvent._make, batch))

    def copy_to(self, target: Path, progress: Progress) -> None:
        # The read transaction of this connection goes on, so that all steps copy one moment.
        with _explained(), closing(sqlite3.connect(target, isolation_level=None)) as copy:
            self._connection.backup(
                copy, pages=_PAGES, progress=lambda _status, left, all_of: progress(all_of - left, all_of)
            )
            copy.execute("PRAGMA journal_mode = DELETE")

    def renew(self) -> None:
        with _explained():
            self._connection.execute("COMMIT")
            self._connection.execute("BEGIN")

    def _from(self, after: int | None) -> sqlite3.Cursor:
        if after is None:
            return self._connection.execute(f"{EVENT_SQL} ORDER BY position")
        return self._connection.execute(f"{EVENT_SQL} WHERE position > ? ORDER BY position", (after,))

    def _undecoded(self, after: int | None) -> Rows:
        self._connection.text_factory = _whatever
        try:
            return self._from(after).fetchmany(_BATCH)
        finally:
            self._connection.text_factory = str


def _open(path: Path, timeout_s: float) -> sqlite3.Connection:
    if not path.is_file():
        raise LogUnavailableError(f"there is no log: {path}", hint="correct DOCKER_MCP_DATABASE_URL")
    with _explained():
        try:
            return _begin(path, "mode=ro", timeout_s)
        except sqlite3.OperationalError as error:
            # SQLite wants to make a file beside the database to read it in WAL mode. Without a write-ahead log there
            # is nothing in it, so a copy on a read-only medium can do without.
            wal = path.with_name(path.name + "-wal")
            if error.sqlite_errorname not in _CANNOT_OPEN or (wal.exists() and wal.stat().st_size):
                raise
            return _begin(path, "mode=ro&immutable=1", timeout_s)


def _begin(path: Path, options: str, timeout_s: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?{options}", uri=True, timeout=timeout_s, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM event LIMIT 1")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _explained(where: str = "") -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            raise LogUnavailableError("the database holds no log", hint="correct DOCKER_MCP_DATABASE_URL") from error
        raise LogUnavailableError(f"the event log cannot be read: {error}") from error
    except sqlite3.Error as error:
        raise LogDamagedError(f"the database file is damaged{where}: {error}") from error


def _whatever(text: bytes) -> str:
    return text.decode(errors="surrogateescape")
