"""The event store port on SQLite and PostgreSQL: appends by the group-commit writer, reads by fixed questions."""

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import Span, SpanKind

from adapters import spans
from adapters.store.connection import Connection
from adapters.store.executors import executors_of
from adapters.store.location import Location
from adapters.store.object_locks import shared_locks_of
from adapters.store.questions import Questions
from adapters.store.rights import EVERY_APPEND, GRANT, missing_rights
from adapters.store.schema import check_guards, check_revision, revision
from adapters.store.session import ROTATED_SQL, Session, rotated_to
from adapters.store.sqlite import SqliteSession
from adapters.store.writer import GroupCommitWriter
from domain.errors import ConfigurationError, LogUnavailableError
from domain.events import NewEvent, RecordedEvent
from domain.ports import Clock, OpenCommand
from domain.secrets import DataKey

_KEY_QUESTION_TIMEOUT_S: Final = 5.0
_INSERT: Final = {"db.operation.name": "INSERT", "db.collection.name": "event"}

if TYPE_CHECKING:
    from adapters.store.commit_watch import CommitWatch
    from adapters.store.postgres import PostgresSession


class SqlEventStore:
    """The append-only log. Satisfies ``domain.ports.EventStore``."""

    def __init__(self, location: Location, clock: Clock, executor: str, timeout_s: float = 5.0) -> None:
        """Prepare the store; nothing is opened before :meth:`check` or the first use.

        Args:
            location: the database.
            clock: the recorder's clock.
            executor: the id of this process.
            timeout_s: seconds that one statement or lock may take.
        """
        self.location = location
        self.executors = executors_of(location, timeout_s)
        self.object_locks = shared_locks_of(location, timeout_s)
        self._executor = executor
        self._timeout_s = timeout_s
        self._opened = False
        self._writer = GroupCommitWriter(self._open_session, clock)
        self.questions = Questions(location, timeout_s)

    def check(self) -> None:
        """Connect, create or migrate the SQLite database, and check schema and guards.

        Raises:
            ConfigurationError: the database must not be written by this version, or is not guarded.
            LogUnavailableError: it cannot be written now.
        """
        self._writer.submit(()).result()

    def append(self, events: Sequence[NewEvent], data_key: DataKey | None = None) -> Future[tuple[RecordedEvent, ...]]:
        if not spans.is_traced():
            return self._writer.submit(events, data_key)
        with_db = {"db.system.name": "sqlite" if self.location.is_sqlite else "postgresql", **_INSERT}
        span = spans.begin("INSERT event", {**with_db, "db.operation.batch.size": len(events)}, SpanKind.CLIENT)
        appended = self._writer.submit(events, data_key)
        if span.is_recording():
            appended.add_done_callback(partial(_end, span))
        return appended

    def read_stream(self, stream: str) -> list[RecordedEvent]:
        return self.questions.stream(stream)

    def read(self, after: int = 0, limit: int = 1000) -> list[RecordedEvent]:
        return self.questions.after(after, limit)

    def open_commands(self) -> list[OpenCommand]:
        return self.questions.open_commands()

    def running(self) -> list[RecordedEvent]:
        return self.questions.running()

    def command_of_key(self, principal: str, key: str) -> str | None:
        return self.questions.command_of_key(principal, key)

    def data_key(self, command_id: str) -> DataKey | None:
        return self.questions.data_key(command_id)

    @cached_property
    def watch(self) -> "CommitWatch":
        """Tells those who wait that the log has grown."""
        from adapters.store.commit_watch import CommitWatch

        return CommitWatch(self.location, self._timeout_s)

    def close(self) -> None:
        """Write what is queued, then close every connection."""
        self._writer.close()
        self.executors.release()
        self.object_locks.close()
        self.questions.close()

    def _open_session(self) -> Session:
        opened = self._open_sqlite() if self.location.path else open_postgres(self.location, self._timeout_s)
        try:
            check_revision(revision(opened))
            check_guards(opened)
            if not self.location.is_sqlite:
                _check_rights(opened)
            self.executors.hold(self._executor)
            self._opened = True
        except BaseException as error:
            opened.close()
            if isinstance(error, ConfigurationError) and self._opened:  # calls in progress hear of it, no start fails
                raise LogUnavailableError(error.message, hint=error.hint) from error
            raise
        return opened

    def _open_sqlite(self) -> SqliteSession:
        path = self.location.path
        assert path is not None  # noqa: S101 (checked by the only caller)
        if self._opened and not path.exists():
            raise LogUnavailableError(f"the database file is gone: {path}", hint="bring it back")
        self.location.make_file()
        session = SqliteSession(path, self._timeout_s)
        if revision(session) is None:
            from adapters.store.migrate import migrate

            migrate(self.location)
        return session


def _check_rights(session: Session) -> None:
    """Refuse a role that could record nothing, before a call finds that out."""
    if missing := missing_rights(session.query, EVERY_APPEND):
        raise LogUnavailableError(f"the role of the database URL lacks {', '.join(missing)}", hint=GRANT)


def _end(span: Span, appended: Future[Any]) -> None:
    if appended.cancelled():
        spans.failed(span, CancelledError())
    elif error := appended.exception():
        spans.failed(span, error)
    span.end()


def open_postgres(location: Location, timeout_s: float) -> "PostgresSession":
    """Return a connection to a PostgreSQL log.

    Raises:
        LogUnavailableError: if the server does not accept it.
    """
    from adapters.store.postgres import PostgresSession

    return PostgresSession(location.url, timeout_s)


def newest_key_id(location: Location) -> str | None:
    """Return the id of the log's sealing key: the one it went over to last, else the one that was used last.

    None if nothing is sealed or the log cannot be asked.
    """
    try:
        with Connection(location, _KEY_QUESTION_TIMEOUT_S, read_only=True) as connection:
            return _key_id(connection.query)
    except LogUnavailableError:
        return None


def _key_id(query: Callable[[str], list[tuple[Any, ...]]]) -> str | None:
    rows = query("SELECT key_id FROM data_key ORDER BY command_id DESC LIMIT 1")
    return rotated_to(query(ROTATED_SQL)) or (str(rows[0][0]) if rows else None)
