"""A stretch of the log, folded: the timeline, the world before and after it, and whether its chain is whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from adapters.store.replay import told
from adapters.store.world_log import WorldLog
from domain.catalogue.replay import ReplayRange
from domain.chain import ChainCheck, Fault
from domain.events import RecordedEvent
from domain.replay.entry import Wanted
from domain.replay.timeline import Timeline
from domain.replay.world import World
from server.cli.progress import Progress

_MOST_FAULTS: Final = 20


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of the log, folded; ``faults`` are those of its chain, None if it was not checked."""

    found: ReplayRange
    timeline: Timeline
    before: World
    since_ms: int
    until_ms: int
    records: int
    head: str | None
    faults: Sequence[Fault] | None


def stretch_of(log: WorldLog, found: ReplayRange, wanted: Wanted, head: str | None = None) -> Stretch:
    """Fold a stretch of the log; with ``head``, the hash of the record before it, check its chain on the way."""
    check = ChainCheck()
    check.position, check.head = found.after, head
    faults: list[Fault] = []
    records = 0

    def see(events: Sequence[RecordedEvent]) -> None:
        nonlocal records
        records += len(events)
        if head is not None or found.after == 0:
            faults.extend(check.faults(events))
            del faults[_MOST_FAULTS:]

    timeline, before = told(log, found.after, found.last, wanted, Progress("replay"), see)
    checked = found.principal is None and (head is not None or found.after == 0)
    return Stretch(
        found=found,
        timeline=timeline,
        before=before,
        since_ms=log.time_at(found.after + 1) or found.now_ms,
        until_ms=max(timeline.world.at_ms, log.time_at(found.last)),
        records=records,
        head=check.head if checked else None,
        faults=faults if checked else None,
    )
