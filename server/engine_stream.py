"""The stream of one engine in the log, written by one observer."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from typing import Final, TypeVar

from domain.engine_cursor import MOST_KNOWN, STREAM_PREFIX, Cursor, cursor_of, resumed
from domain.engine_ports import EngineLog
from domain.errors import ConcurrentAppendError, LogUnavailableError, RecordRefusedError
from domain.events import EngineObserved, Event, NewEvent, RecordedEvent, event_of
from domain.objects import Kind, column_name
from domain.ports import NewId
from domain.principal import SYSTEM
from domain.text import COLUMN_LIMIT

Append = Callable[[Sequence[NewEvent]], "Future[tuple[RecordedEvent, ...]]"]

_FIRST_RETRY_S: Final = 0.5
_LONGEST_RETRY_S: Final = 5.0
_KINDS: Final = frozenset(Kind)

T = TypeVar("T")

logger = logging.getLogger(__name__)


class StoppedError(Exception):
    """This process stops while the log does not answer."""


class EngineStream:
    """Counts the stream's versions itself: if another observer has written, an append is refused."""

    def __init__(
        self,
        engine_id: str,
        log: EngineLog,
        append: Append,
        new_id: NewId,
        wait: Callable[[float], bool],
        timeout_s: float,
    ) -> None:
        """Read how far the engine's events are recorded: ``cursor``, None if none is, and digests of those ``known``.

        Args:
            engine_id: the engine.
            log: tells what is recorded.
            append: records events.
            new_id: makes ids of events.
            wait: waits some seconds; returns True once this process stops.
            timeout_s: seconds that one append may take.

        Raises:
            StoppedError: if the log does not answer until this process stops.
        """
        self.engine_id: Final = engine_id
        self._name = f"{STREAM_PREFIX}{engine_id}"
        self._log = log
        self._append = append
        self._new_id = new_id
        self._wait = wait
        self._timeout_s = timeout_s
        records = self.patiently(lambda: self._log.newest(self._name, MOST_KNOWN))
        self._version = records[-1].stream_version if records else 0
        self.cursor: Cursor | None
        self.cursor, self.known = resumed(records)

    def write(self, events: Sequence[Event]) -> None:
        """Record events together, however long the log takes to accept them.

        Raises:
            ConcurrentAppendError: another observer has written.
            StoppedError: this process stops before the log has accepted them.
        """
        rows = [self._enveloped(event, self._version + number) for number, event in enumerate(events, 1)]
        if not rows:
            return
        recorded = self.patiently(lambda: self._try(rows))
        self._version = recorded.stream_version
        self.cursor = cursor_of(recorded)

    def patiently(self, question: Callable[[], T]) -> T:
        """Return what ``question`` returns; ask again while the log does not answer.

        Raises:
            RecordRefusedError: if asking again would not help.
            StoppedError: if this process stops before it does.
        """
        delay = _FIRST_RETRY_S
        while True:
            try:
                return question()
            except RecordRefusedError:
                raise
            except LogUnavailableError as error:
                level = logging.WARNING if delay == _FIRST_RETRY_S else logging.DEBUG  # told once
                logger.log(level, "the engine's events wait for the log: %s", error.describe())
                if self._wait(delay):
                    raise StoppedError from error
                delay = min(delay * 2, _LONGEST_RETRY_S)

    def _try(self, rows: Sequence[NewEvent]) -> RecordedEvent:
        appended = self._append(rows)
        try:
            return appended.result(self._timeout_s)[-1]
        except ConcurrentAppendError:
            last = self._log.newest(self._name, 1)
            if last and last[-1].event_id == rows[-1].event_id:
                return last[-1]  # an earlier try was recorded after all
            raise
        except (TimeoutError, CancelledError):
            appended.cancel()
            raise LogUnavailableError("the event log did not answer in time") from None

    def _enveloped(self, event: Event, version: int) -> NewEvent:
        name = None
        if isinstance(event, EngineObserved) and event.kind in _KINDS:
            name = column_name(Kind(event.kind), event.name or event.object_id)
        row = event_of(SYSTEM, event, self._name, self._new_id())
        return row._replace(stream_version=version, object=name and name[:COLUMN_LIMIT])
