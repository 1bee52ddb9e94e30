"""Group commit: one thread appends for the whole process and shares each sync among all who wait.

Producers hand over events and wait for a future. Whatever waits when the thread is free goes into one transaction,
so that many callers cost about as many syncs as one, and no connection starves another.
"""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from adapters.store.session import (
    EVENT_COLUMNS,
    ROTATED_SQL,
    Changes,
    ConflictInLogError,
    Head,
    Session,
    SessionLostError,
    rotated_to,
)
from domain import failpoints
from domain.chain import seal_event
from domain.errors import (
    ConcurrentAppendError,
    DockerMcpError,
    LogFilesRemovedError,
    LogInDoubtError,
    LogLostError,
    LogUnavailableError,
    RecordRefusedError,
    SealingKeyRotatedError,
)
from domain.events import NewEvent, RecordedEvent
from domain.failpoints import Failpoint
from domain.ports import Clock
from domain.projections.idempotency_keys import claims
from domain.projections.open_commands import standings
from domain.secrets import DataKey

MOST_EVENTS_IN_A_BATCH: Final = 256
_STOP: Final = None
_PROBE: Final = ("probe", 0, None, None)
"""A row that is written and removed in one transaction."""

logger = logging.getLogger(__name__)

Recorded = tuple[RecordedEvent, ...]


@dataclass(frozen=True, slots=True)
class _Append:
    events: Sequence[NewEvent]
    data_key: DataKey | None
    future: Future[Recorded] = field(default_factory=Future)


class GroupCommitWriter:
    """Appends events on a thread of its own, on a connection of its own."""

    def __init__(self, open_session: Callable[[], Session], clock: Clock, queue_limit: int = 4096) -> None:
        """Prepare the writer; nothing is opened before :meth:`open` or the first append.

        Args:
            open_session: connects, checks schema and guards; may raise ``LogUnavailableError``.
            clock: the recorder's clock.
            queue_limit: appends that may wait; one more is refused at once.
        """
        self._open_session = open_session
        self._clock = clock
        self._queue: queue.SimpleQueue[_Append | None] = queue.SimpleQueue()
        self._queue_limit = queue_limit
        self._session: Session | None = None
        self._newest: RecordedEvent | None = None
        self._thread = threading.Thread(target=self._run, name="event-log-writer", daemon=True)
        self._thread.start()

    def submit(self, events: Sequence[NewEvent], data_key: DataKey | None = None) -> Future[Recorded]:
        """Queue ``events`` for one atomic append, as ``EventStore`` says. No events: ask for the append lock only."""
        append = _Append(events, data_key)
        if self._queue.qsize() < self._queue_limit:
            self._queue.put(append)
        else:
            append.future.set_exception(LogUnavailableError("too many appends are waiting for the event log"))
        return append.future

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what is queued and close the connection; gives up after ``timeout_s`` seconds."""
        self._queue.put(_STOP)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (first := self._queue.get()) is not _STOP:
            if first.future.set_running_or_notify_cancel():
                self._append(self._gathered([first]), top_up=True)
        if self._session:
            self._session.close()

    def _gathered(self, batch: list[_Append]) -> list[_Append]:
        """Add to ``batch`` what waits and has room in it, and return it."""
        size = sum(len(append.events) for append in batch)
        while size < MOST_EVENTS_IN_A_BATCH:
            try:
                append = self._queue.get_nowait()
            except queue.Empty:
                break
            if append is _STOP:
                self._queue.put(_STOP)  # for the loop: it stands behind all that was submitted
                break
            if append.future.set_running_or_notify_cancel():
                batch.append(append)
                size += len(append.events)
        return batch

    def _append(self, batch: list[_Append], *, top_up: bool = False) -> None:
        try:
            recorded = self._commit(batch, top_up=top_up)
        except (ConflictInLogError, RecordRefusedError) as refused:
            if len(batch) > 1:  # only the one that is refused may fail
                for append in batch:
                    self._append([append])
            elif isinstance(refused, ConflictInLogError):
                batch[0].future.set_exception(ConcurrentAppendError(f"the log has moved on: {refused}"))
            else:
                batch[0].future.set_exception(refused)
        except SessionLostError as error:
            self._settle_lost_session(batch, error)
        except DockerMcpError as error:
            self._fail(batch, error)
        except Exception as error:  # the thread must outlive whatever goes wrong with one batch
            logger.exception("append failed")
            self._fail(batch, LogUnavailableError(f"the event log cannot be written: {type(error).__name__}"))
        else:
            for append, events in zip(batch, recorded, strict=True):
                append.future.set_result(events)

    def _commit(self, batch: list[_Append], *, top_up: bool) -> list[Recorded]:
        """Record ``batch`` in one transaction.

        With ``top_up`` also what was handed over while this process waited for its turn to append: with several on one
        log the turn comes round rarely, and who has it pays the same for a few events as for many.
        """
        failpoints.reach(Failpoint.BEFORE_APPEND, _types(batch))
        session, head = self._begun()
        try:
            self._check_head(head)
            if top_up:
                self._gathered(batch)
            types = _types(batch)
            failpoints.reach(Failpoint.IN_APPEND, types)
            _check_sealing_key(session, batch)
            recorded = self._seal(batch, head, session)
            changes = self._changes(batch, recorded)
            session.commit(changes)
            failpoints.reach(Failpoint.AFTER_COMMIT, types)
        except SessionLostError:
            self._drop_session()
            raise
        except Exception:
            session.rollback()
            raise
        if changes.events:
            self._newest = changes.events[-1]
        return recorded

    def _begun(self) -> tuple[Session, Head]:
        """Return the session with a transaction begun; a new one if the old one broke while nobody used it."""
        was_open = self._session is not None
        session = self._connected()
        try:
            return session, session.begin()
        except SessionLostError:
            self._drop_session()
            if not was_open:
                raise
        return self._begun()

    def _connected(self) -> Session:
        """Return the session; a new one only to the log that this process has written so far."""
        if self._session is None:
            session = self._open_session()
            if self._newest and session.hash_at(self._newest.position) != self._newest.event_hash:
                session.close()
                raise LogLostError
            self._session = session
        return self._session

    def _check_head(self, head: Head) -> None:
        """Refuse to go on from a head that this process has left behind: the log was cut, or is an older copy."""
        newest = self._newest
        if newest and (
            head.position < newest.position
            or (head.position == newest.position and head.event_hash != newest.event_hash)
        ):
            raise LogLostError

    def _seal(self, batch: list[_Append], head: Head, session: Session) -> list[Recorded]:
        position, previous_hash = head.position, head.event_hash
        at_ms = max(self._clock(), head.occurred_at_ms)
        given: dict[str, int] = {}
        recorded: list[Recorded] = []
        for append in batch:
            rows = []
            for event in append.events:
                version = event.stream_version or given.get(event.stream, session.last_version(event.stream)) + 1
                given[event.stream] = version
                position += 1
                row = seal_event(event, position=position, version=version, at_ms=at_ms, previous_hash=previous_hash)
                previous_hash = row.event_hash
                rows.append(row)
            recorded.append(tuple(rows))
        return recorded

    def _changes(self, batch: list[_Append], recorded: list[Recorded]) -> Changes:
        events = [event for each in recorded for event in each]
        if not events:  # asked whether the log can be written: only a write tells
            return Changes(events=(), opened=[_PROBE], closed=[_PROBE[0]], data_keys=())
        latest = standings(events)
        opened = [(command_id, *standing) for command_id, standing in latest.items() if standing]
        closed = [command_id for command_id, standing in latest.items() if standing is None]
        keys = [append.data_key for append in batch if append.data_key]
        return Changes(events=events, opened=opened, closed=closed, data_keys=keys, claims=claims(events))

    def _settle_lost_session(self, batch: list[_Append], error: SessionLostError) -> None:
        """Find out what a commit did whose connection broke; never append again what may be there."""
        for append in batch:
            try:
                recorded = self._read_back(append)
            except (SessionLostError, DockerMcpError):
                self._drop_session()
                append.future.set_exception(LogInDoubtError(f"nobody can tell whether it was recorded: {error}"))
            else:
                if recorded and len(recorded) == len(append.events):
                    append.future.set_result(recorded)
                else:
                    append.future.set_exception(LogUnavailableError(f"the event log could not be written: {error}"))

    def _read_back(self, append: _Append) -> Recorded:
        session = self._connected()
        session.begin()  # the append lock: waits for the lost transaction to end one way or the other
        try:
            rows = [row for event in append.events if (row := session.find(event.event_id))]
        finally:
            session.rollback()
        return tuple(RecordedEvent(**dict(zip(EVENT_COLUMNS, row, strict=True))) for row in rows)

    def _drop_session(self) -> None:
        if self._session:
            self._session.close()
        self._session = None

    def _fail(self, batch: list[_Append], error: DockerMcpError) -> None:
        # A fresh connection for the next batch: what broke this one may have broken the connection too. Not so where
        # other connections of this process still use files that are gone: together they would damage the database.
        if not isinstance(error, LogFilesRemovedError):
            self._drop_session()
        for append in batch:
            append.future.set_exception(error)


def _types(batch: list[_Append]) -> str:
    return " ".join(event.type for append in batch for event in append.events)


def _check_sealing_key(session: Session, batch: list[_Append]) -> None:
    """Refuse data keys that are wrapped by a key from before the last rotation: no later server could open them."""
    used = {append.data_key.key_id for append in batch if append.data_key}
    current = rotated_to(session.query(ROTATED_SQL)) if used else None
    if current and used != {current}:
        raise SealingKeyRotatedError
