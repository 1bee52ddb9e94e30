"""Satisfies ``domain.catalogue.replay.Replay``. Reads the log alone; what the engine shows now is handed in."""

from collections.abc import Callable, Sequence
from typing import Final

from adapters.store.location import Location
from adapters.store.snapshot import Snapshot, open_snapshot
from adapters.store.world_log import Progress, WorldLog, no_progress
from domain.catalogue.replay import (
    DEFAULT_STRETCH,
    MOST_EVENTS_REVIEWED,
    MOST_FACT_BYTES,
    IncidentFacts,
    IncidentReview,
    ReplayLog,
    ReplayRange,
)
from domain.catalogue.tool import Run
from domain.catalogue.values import parse_moment_ms
from domain.chain import timestamp
from domain.errors import DockerMcpError, InvalidArgumentsError
from domain.events import RecordedEvent
from domain.objects import ObjectState
from domain.replay.drift import drift
from domain.replay.entry import Wanted
from domain.replay.review import facts_of
from domain.replay.timeline import Timeline
from domain.replay.view import Row
from domain.replay.world import World, restored_world

Live = Callable[[], Sequence[ObjectState]]
"""Returns the containers and networks that the engine shows now."""

_MOST_DIGITS: Final = 15


class SqlReplay:
    """Opens the log at each question. Any thread may ask."""

    def __init__(self, location: Location, timeout_s: float, live: Live) -> None:
        self._location = location
        self._timeout_s = timeout_s
        self._live = live

    def locate(self, command: ReplayLog, run: Run) -> ReplayRange:
        with open_snapshot(self._location, self._timeout_s) as snapshot:
            asked_at, now_ms = _asked(snapshot, run.command_id)
            log = WorldLog(snapshot)
            last = min(_position(log, command.end, now_ms, asked_at - 1), asked_at - 1)
            default = log.position_at(parse_moment_ms(DEFAULT_STRETCH, log.time_at(last)))
            after = _position(log, command.begin, now_ms, default)
            if after > last or _swapped(command, now_ms):
                raise InvalidArgumentsError(
                    f"it begins after its end, which is position {last}", hint="--from 2h --to 1h"
                )
            if command.begin is not None and _is_position(command.begin):
                after = max(0, after - 1)  # from this event on
        return ReplayRange(
            after=after, last=last, now_ms=now_ms, principal=None if run.sees_all_records else run.principal
        )

    def review(self, command: IncidentReview, run: Run) -> IncidentFacts:
        with open_snapshot(self._location, self._timeout_s) as snapshot:
            asked_at, now_ms = _asked(snapshot, run.command_id)
            log = WorldLog(snapshot, only_of=None if run.sees_all_records else run.principal)
            since = parse_moment_ms(command.since or DEFAULT_STRETCH, now_ms)
            until = parse_moment_ms(command.until, now_ms) if command.until else now_ms
            if since >= until:
                raise InvalidArgumentsError("since is not before until", hint="since=yesterday until=today")
            last = min(log.position_at(until - 1), asked_at - 1) if command.until else asked_at - 1
            wished = min(log.position_at(since - 1), last)
            after = max(wished, last - MOST_EVENTS_REVIEWED)
            wanted = Wanted(object=command.object, correlation_id=command.correlation_id)
            timeline, before = told(log, after, last, wanted)
            about = command.model_dump(exclude_none=True) | {"from": timestamp(since), "to": timestamp(until)}
            scanned_from = timestamp(log.time_at(after)) if after > wished else None
        drifted: Sequence[Row] | str
        try:
            drifted = drift(timeline.world, self._live(), unrecorded=run.sees_all_records)
        except DockerMcpError as error:
            drifted = error.describe()
        return facts_of(timeline, before, wanted, about, drifted, MOST_FACT_BYTES, scanned_from)


def told(
    log: WorldLog,
    after: int,
    last: int,
    wanted: Wanted,
    progress: Progress = no_progress,
    see: Callable[[Sequence[RecordedEvent]], None] = lambda _events: None,
) -> tuple[Timeline, World]:
    """Return the timeline of a stretch, and the world before it; ``see`` gets each batch of its events."""
    world = log.at(after, progress)
    before = restored_world(world.snapshot())
    timeline = Timeline(world, wanted)
    for events in log.events(after, last):
        see(events)
        for event in events:
            timeline.add(event)
        progress(events[-1].position - after if events else 0, last - after)
    return timeline, before


def _asked(snapshot: Snapshot, command_id: str) -> tuple[int, int]:
    """Return position and time of the question: what comes after it is not in the answer."""
    sql = "SELECT position, occurred_at_ms FROM event WHERE stream = ? AND stream_version = 1"
    position, at_ms = snapshot.query(sql, command_id)[0]
    return int(position), int(at_ms)


def _is_position(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS


def _swapped(command: ReplayLog, now_ms: int) -> bool:
    """Return whether both ends are times and the first is the later one: nothing may lie between them."""
    ends = [each for each in (command.begin, command.end) if each is not None and not _is_position(each)]
    times = [parse_moment_ms(each, now_ms) for each in ends]
    return len(times) == 2 and times[0] > times[1]


def _position(log: WorldLog, place: str | None, now_ms: int, otherwise: int) -> int:
    """Return the position that a text means: its digits, or the last event at that time or before.

    Raises:
        InvalidArgumentsError: it is neither.
    """
    if place is None:
        return otherwise
    if _is_position(place):
        return int(place)
    try:
        return log.position_at(parse_moment_ms(place, now_ms))
    except ValueError as error:
        raise InvalidArgumentsError(f"{error}, or a position of the log in digits") from None
