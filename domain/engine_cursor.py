"""Where the observation of an engine stands: in the log, and in what the engine tells again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from domain.engine_events import NS_PER_MS, EngineEvent, digest_of, engine_time, time_ns_of
from domain.events import EngineFollowed, EngineGap, EngineObserved, EngineSuppressed, RecordedEvent, decode

STREAM_PREFIX: Final = "engine/"

DISORDER_NS: Final = 1_000_000_000
"""What happens at the same time an engine tells in one order when it happens, and in another when it tells it again:
it notes an event and tells it in two steps (moby, ``daemon/events``). So long before the last one seen another may be
missing."""
MOST_KNOWN: Final = 1000
"""So many of the last events are known one by one. An engine remembers 256."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far an engine's events are in the log: the version of its stream, and the last event that was seen.

    ``newest`` is None if the engine remembered no event when the observation began at ``time_ns``. What was before
    ``floor_ns`` is accounted for, recorded or not.
    """

    version: int
    time_ns: int
    newest: str | None
    floor_ns: int = 0

    @property
    def since_ns(self) -> int:
        """From when on an event may be missing although a later one was seen."""
        return max(self.time_ns - DISORDER_NS, self.floor_ns)


def cursor_of(last: RecordedEvent) -> Cursor | None:
    """Return what the last record of an engine's stream says; None if it is none that says it."""
    if not last.type.startswith("engine."):
        return None
    event = decode(last.type, last.data)
    if not isinstance(event, EngineObserved | EngineSuppressed | EngineGap | EngineFollowed):
        return None
    time_ns, version = time_ns_of(event.engine_time), last.stream_version
    if isinstance(event, EngineObserved):
        return Cursor(version, time_ns, digest_of(event.engine_time, event.kind, event.action, event.object_id))
    if isinstance(event, EngineGap):
        return Cursor(version, time_ns, event.newest, event.until_ms * NS_PER_MS)
    is_complete = isinstance(event, EngineSuppressed) or version == 1
    return Cursor(version, time_ns, event.newest, time_ns if is_complete else 0)


def resumed(records: Sequence[RecordedEvent]) -> tuple[Cursor | None, list[str]]:
    """Return where the observation goes on, and the digests of known events.

    Args:
        records: the last :data:`MOST_KNOWN` records of an engine's stream, or all of it, in their order.
    """
    cursors = [cursor for record in records if (cursor := cursor_of(record))]
    if not cursors:
        return None, []
    last, floor_ns = cursors[-1], max(cursor.floor_ns for cursor in cursors)
    known = [cursor.newest for cursor in cursors if cursor.newest]
    return Cursor(last.version, last.time_ns, last.newest, floor_ns), known


def carried_on(last: RecordedEvent) -> EngineFollowed | EngineGap | None:
    """Return what begins an engine's stream in a log that continues another, whose stream ended with ``last``."""
    cursor = cursor_of(last)
    if cursor is None:
        return None
    engine, time = last.stream.removeprefix(STREAM_PREFIX), engine_time(cursor.time_ns)
    if cursor.newest is None:
        return EngineGap(engine=engine, until_ms=cursor.time_ns // NS_PER_MS, engine_time=time)
    return EngineFollowed(engine=engine, engine_time=time, newest=cursor.newest)


def unseen(told: list[EngineEvent], cursor: Cursor) -> tuple[list[EngineEvent], bool]:
    """Return which of the engine's remembered events may be new, and whether any may be missing before them.

    Those that come after the cursor are, and those at about its time that may have been told in another order: whoever
    takes them has to leave out what is known. The engine remembers an unbroken run of its last few hundred events, and
    none from before its own start.
    """
    place = next((at for at in range(len(told) - 1, -1, -1) if told[at].digest == cursor.newest), None)
    if place is not None:
        return [event for at, event in enumerate(told) if at > place or _may_be_new(event, cursor)], False
    missing = all(event.time_ns > cursor.time_ns for event in told) and (bool(told) or cursor.newest is not None)
    return [event for event in told if _may_be_new(event, cursor)], missing


def _may_be_new(event: EngineEvent, cursor: Cursor) -> bool:
    return event.time_ns >= cursor.since_ns and event.digest != cursor.newest
