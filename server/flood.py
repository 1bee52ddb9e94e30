"""Floods of refused calls: past a budget they are counted, and the log gets the counts once a minute."""

import asyncio
import threading
from collections.abc import Callable
from typing import Final

from domain.errors import DockerMcpError
from domain.events import CallsSuppressed, NewEvent, event_of
from domain.flood import RefusalBudget, Source, Suppressed
from domain.ports import Clock, NewId
from server.call import Answer
from server.journal import Journal

_MINUTE_S: Final = 60
_COUNTED: Final = "this call was counted in the log, not recorded, so it has no command id"


class Refusals:
    """Decides which refused calls are recorded. Any thread may ask."""

    def __init__(
        self, per_minute: int, journal: Journal, has_room: Callable[[], bool], stream: str, clock: Clock, new_id: NewId
    ) -> None:
        """Take what is needed.

        Args:
            per_minute: how many refused calls of one source are recorded in a minute.
            journal: records the counts.
            has_room: tells whether the log may take more than it must.
            stream: where the counts are recorded.
            clock: tells since when they were counted.
            new_id: for the ids of events.
        """
        self._budget = RefusalBudget(per_minute)
        self._journal = journal
        self._has_room = has_room
        self._stream = stream
        self._clock = clock
        self._new_id = new_id
        self._since_ms = clock()
        self._lock = threading.Lock()

    def admits(self, source: Source) -> bool:
        """Return whether a call may go on of which only a part of its record tells whether it is refused."""
        with self._lock:
            return self._budget.admits(source)

    def records(self, source: Source, code: str) -> bool:
        """Return whether a refused call is to be recorded; if not, it is counted."""
        has_room = self._has_room()
        with self._lock:
            if has_room and self._budget.spend(source):
                return True
            self._budget.count(source, code)
            return False

    def spend(self, source: Source) -> None:
        """Hold a refused call against its source that is recorded in any case, since its beginning is."""
        with self._lock:
            self._budget.spend(source)

    @staticmethod
    def counted(error: DockerMcpError) -> Answer:
        """Return the answer to a call that was counted only: no id of a command, since the log has none."""
        error.hint = f"{error.hint}; {_COUNTED}" if error.hint else _COUNTED
        return Answer("", error=error)

    async def keep_recording(self) -> None:
        """Record the counts of each minute until cancelled."""
        while True:
            await asyncio.sleep(_MINUTE_S)
            await self.turn()

    async def turn(self, *, closing: bool = False) -> None:
        """Begin a new minute. The counts of the last one are recorded, or kept while the log cannot take them.

        ``closing`` records them even if there is little room left.
        """
        has_room = closing or self._has_room()
        with self._lock:
            suppressed = self._budget.turn()
            if not has_room:
                self._budget.count_again(suppressed)
                return
        if not suppressed:
            self._since_ms = self._clock()
            return
        try:
            await self._journal.append([self._event(each) for each in suppressed])
        except DockerMcpError:
            with self._lock:
                self._budget.count_again(suppressed)
        else:
            self._since_ms = self._clock()

    def _event(self, suppressed: Suppressed) -> NewEvent:
        counted = CallsSuppressed(
            source=suppressed.source.address,
            since_ms=self._since_ms,
            total=sum(times for _, times in suppressed.codes),
            codes=suppressed.codes,
        )
        return event_of(suppressed.source.principal, counted, self._stream, self._new_id())
