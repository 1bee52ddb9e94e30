"""The rare changes to the data keys of a log: one is forgotten, or all are wrapped anew. Each is recorded with it."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from adapters.store.event_store import open_postgres
from adapters.store.location import Location
from adapters.store.session import DATA_KEYS_SQL, Changes, Head, Session, SessionLostError
from adapters.store.sqlite import SqliteSession
from domain.chain import seal_event
from domain.errors import LogInDoubtError, LogUnavailableError
from domain.events import NewEvent
from domain.ports import Clock
from domain.secrets import DataKey


class LockedLog:
    """A log that nobody else appends to, until one change of its data keys is made or given up."""

    def __init__(self, session: Session, head: Head, clock: Clock) -> None:
        self._session = session
        self._head = head
        self._clock = clock

    def data_keys(self) -> list[DataKey]:
        """Return all data keys, oldest command first."""
        return [DataKey(*row) for row in self._session.query(DATA_KEYS_SQL)]

    def forget(self, command_id: str, event: NewEvent) -> None:
        """Delete the data key of a command; ``event`` is recorded in the same transaction."""
        self._session.delete_data_key(command_id)
        self._record(event)

    def replace(self, keys: Sequence[DataKey], event: NewEvent) -> None:
        """Put ``keys`` in the place of all data keys; ``event`` is recorded in the same transaction."""
        self._session.replace_data_keys(keys)
        self._record(event)

    def _record(self, event: NewEvent) -> None:
        head = self._head
        row = seal_event(
            event,
            position=head.position + 1,
            version=self._session.last_version(event.stream) + 1,
            at_ms=max(self._clock(), head.occurred_at_ms),
            previous_hash=head.event_hash,
        )
        self._session.commit(Changes(events=[row], opened=(), closed=(), data_keys=()))


@contextmanager
def locked_log(location: Location, clock: Clock, timeout_s: float) -> Iterator[LockedLog]:
    """Hold the append lock of an existing log.

    Raises:
        LogUnavailableError: if nothing was changed; ``LogInDoubtError`` if that is not certain.
    """
    with _session(location, timeout_s) as session:
        try:
            yield LockedLog(session, session.begin(), clock)
        finally:
            session.rollback()


def wipe(location: Location, timeout_s: float) -> bool:
    """Take the bytes of deleted data keys out of the database's files; return whether that was possible now."""
    try:
        with _session(location, timeout_s) as session:
            return session.wipe()
    except LogUnavailableError:
        return False


@contextmanager
def _session(location: Location, timeout_s: float) -> Iterator[Session]:
    with closing(_open(location, timeout_s)) as session:
        try:
            yield session
        except SessionLostError as error:
            raise LogInDoubtError(f"{error}: nobody can tell whether it was done", hint="run it again") from error


def _open(location: Location, timeout_s: float) -> Session:
    if location.path:
        return SqliteSession(location.path, timeout_s)
    session = open_postgres(location, timeout_s)
    # Wrapping many keys takes its time, on both sides; only locks are not waited for longer than usual.
    session.query("SELECT set_config('statement_timeout', '0', false)")
    session.query("SELECT set_config('idle_in_transaction_session_timeout', '0', false)")
    return session
