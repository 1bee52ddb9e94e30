"""What the log says of the engine's own events, held against what the engine has told a witness."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from domain.engine_events import EngineEvent, engine_event, engine_time
from domain.events import RecordedEvent

_MOST_TOLD = 10


def unobserved(events: Sequence[RecordedEvent], heard: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield one line for each event of the engine that is in the log twice, or neither in it, counted nor in a gap."""
    ours = [event for event in events if event.type.startswith("engine.")]
    observed = Counter(_identity(event.payload()) for event in ours if event.type == "engine.observed")
    yield from (f"engine: observed {times} times: {identity}" for identity, times in observed.items() if times > 1)
    gaps = [event.payload() for event in ours if event.type == "engine.gap"]
    counted = sum(event.payload()["total"] for event in ours if event.type == "engine.suppressed")
    missing = [
        event
        for event in map(engine_event, heard)
        if event.is_recorded and _of(event) not in observed and not any(_is_in(event, gap) for gap in gaps)
    ]
    if not gaps and missing:
        yield "engine: nobody has observed it"
    elif len(missing) > counted:
        yield from (f"engine: not observed: {event}" for event in missing[:_MOST_TOLD])


def _is_in(event: EngineEvent, gap: Mapping[str, Any]) -> bool:
    since_ms: int = gap.get("since_ms", 0)
    until_ms: int = gap["until_ms"]
    return since_ms <= event.at_ms <= until_ms


def _of(event: EngineEvent) -> tuple[str, ...]:
    return engine_time(event.time_ns), event.kind, event.action, event.object_id


def _identity(data: Mapping[str, Any]) -> tuple[str, ...]:
    return data["engine_time"], data["kind"], data["action"], data["object_id"]
