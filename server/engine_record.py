"""Turns the engine's events into records: bounded, tied to the commands that caused them, in the engine's order."""

import time
from collections import OrderedDict
from dataclasses import replace
from typing import Final

from domain.engine_budget import EngineBudget
from domain.engine_causes import LATE_MS, Causes
from domain.engine_cursor import MOST_KNOWN, Cursor
from domain.engine_events import EngineEvent, engine_time, observed
from domain.engine_ports import EngineEvents, EngineLog
from domain.errors import EngineError
from domain.events import EngineFollowed, EngineGap, Event
from server.engine_stream import EngineStream

_MOST_CONTAINERS: Final = 1000
_NS_PER_MS: Final = 1_000_000
_OF_NO_NOTE: Final = 64
"""So many events that are not recorded are worth a record of how far they were seen: the engine remembers 256."""
_MARK_EVERY_S: Final = 300.0


class EngineRecord:
    """What was seen of an engine, and what of it still has to be recorded."""

    def __init__(self, stream: EngineStream, events: EngineEvents, log: EngineLog, budget: EngineBudget) -> None:
        """Go on from where ``stream`` ends.

        Args:
            stream: takes the records.
            events: tells names of containers.
            log: tells of commands.
            budget: how many events are recorded.
        """
        self._stream = stream
        self._events = events
        self._log = log
        self._budget = budget
        self._causes = Causes()
        self._containers: OrderedDict[str, EngineEvent] = OrderedDict()
        self._gap: EngineGap | None = None
        self._pending: list[EngineEvent] = []
        self._of_no_note = 0
        self._marked_s = time.monotonic()
        self.ahead_ms = 0
        """How far the engine's clock is ahead of ours."""
        self.seen: Cursor | None = stream.cursor
        """How far the engine's events were seen, recorded or not; None before the first record."""
        self._known = dict.fromkeys(stream.known)

    def miss(self, since_ns: int | None, until_ns: int, last: EngineEvent | None) -> None:
        """Take down that events may be missing between two times; ``last`` is the engine's last event by now."""
        time_ns, newest = (last.time_ns, last.digest) if last else (until_ns, None)
        self._gap = EngineGap(
            engine=self._stream.engine_id,
            since_ms=since_ns // _NS_PER_MS if since_ns is not None else None,
            until_ms=until_ns // _NS_PER_MS,
            engine_time=engine_time(time_ns),
            newest=newest,
        )
        self.seen = Cursor(0, time_ns, newest, until_ns)

    def take(self, events: list[EngineEvent]) -> None:
        """Take in the next events, leaving out those that are known; :meth:`flush` records them."""
        floor_ns = self.seen.floor_ns if self.seen else 0
        for event in events:
            digest = event.digest
            if digest in self._known:
                continue
            self._know(digest)
            self.seen = Cursor(0, event.time_ns, digest, floor_ns)
            if not event.is_recorded:
                self._of_no_note += 1
            elif self._budget.spend(event.object_id):
                self._pending.append(event)
            else:
                self._budget.count(event)

    def _know(self, digest: str) -> None:
        self._known[digest] = None
        if len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]

    def flush(self, *, closing: bool = False) -> None:
        """Record what is due, in one append; with ``closing`` also how far the events were seen.

        Raises:
            ConcurrentAppendError: another observer has written.
            StoppedError: this process stops before the log accepts it.
        """
        now_s = time.monotonic()
        is_over = self._budget.is_over(now_s)
        due: list[Event] = [self._gap] if self._gap else []
        due += self._observed()
        # Each append accounts for all that happened before it: whoever goes on after a crash looks no further back.
        if (is_over or closing or due) and (suppressed := self._budget.take(self._stream.engine_id)):
            due.append(suppressed)
        if is_over:
            self._budget.turn(now_s)
        self._stream.write(due)
        if due:
            self._gap, self._of_no_note = None, 0
            self._pending.clear()
        if closing or (self._of_no_note >= _OF_NO_NOTE and now_s - self._marked_s >= _MARK_EVERY_S):
            self._mark()

    def _mark(self) -> None:
        """Record how far the events were seen, if the last record does not say so."""
        self._marked_s, self._of_no_note = time.monotonic(), 0
        recorded, seen = self._stream.cursor, self.seen
        if seen and seen.newest and (recorded is None or recorded.newest != seen.newest):
            engine_id = self._stream.engine_id
            mark = EngineFollowed(engine=engine_id, engine_time=engine_time(seen.time_ns), newest=seen.newest)
            self._stream.write([mark])

    def _observed(self) -> list[Event]:
        if not self._pending:
            return []
        since_ms = min(event.at_ms for event in self._pending) - self.ahead_ms - LATE_MS
        works = self._stream.patiently(lambda: self._log.works(since_ms))
        found: list[Event] = []
        for each in self._pending:
            event = self._with_container(each)
            cause = self._causes.of(event, works, self.ahead_ms)
            command_id, tied_by = cause or (None, None)
            found.append(observed(self._stream.engine_id, event, command_id, tied_by))
        return found

    def _with_container(self, event: EngineEvent) -> EngineEvent:
        """Return an event of a network with what is known of its other end."""
        if event.kind == "container":
            self._remember(event.object_id, event)
        if event.kind != "network" or not event.container:
            return event
        known = self._containers.get(event.container) or self._asked(event.container)
        if known is None:
            return event
        return replace(event, container_name=known.name, stack=known.stack, label=known.label)

    def _asked(self, container_id: str) -> EngineEvent | None:
        try:
            known = self._events.container(container_id)
        except EngineError:
            return None
        if known:
            self._remember(container_id, known)
        return known

    def _remember(self, container_id: str, event: EngineEvent) -> None:
        self._containers[container_id] = event
        self._containers.move_to_end(container_id)
        if len(self._containers) > _MOST_CONTAINERS:
            self._containers.popitem(last=False)
