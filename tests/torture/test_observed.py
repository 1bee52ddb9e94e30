"""What the torture holds against the log's account of the engine's own events."""

from typing import Any

from domain.engine_events import engine_event, observed
from domain.events import EngineGap, EngineSuppressed, Event, RecordedEvent, event_of
from domain.principal import SYSTEM
from tests.domain.strategies import sealed
from tests.torture.observed import unobserved

BEGUN = EngineGap(engine="e", until_ms=1, engine_time="0.001000000")


def told(number: int, action: str = "start") -> dict[str, Any]:
    actor = {"ID": f"c{number}", "Attributes": {"name": "web"}}
    return {"Type": "container", "Action": action, "Actor": actor, "timeNano": 10**9 + number * 1_000_000}


def log(*events: Event) -> list[RecordedEvent]:
    rows: list[RecordedEvent] = []
    for event in events:
        rows.append(sealed(event_of(SYSTEM, event, "engine/e", "id"), rows[-1] if rows else None))
    return rows


def recorded(number: int) -> Event:
    return observed("e", engine_event(told(number)), None, None)


def found(events: list[RecordedEvent], *heard: dict[str, Any]) -> list[str]:
    return [" ".join(line.split()[:3]) for line in unobserved(events, heard)]


def test_what_is_recorded_once_counted_in_a_gap_or_of_no_note_is_right() -> None:
    counted = EngineSuppressed(
        engine="e",
        since_ms=1003,
        until_ms=1003,
        total=1,
        counts=(("container", "start", 1),),
        engine_time="1.003000000",
        newest="d",
    )
    gap = EngineGap(engine="e", since_ms=1004, until_ms=1005, engine_time="1.005000000")
    events = log(BEGUN, recorded(1), recorded(2), counted, gap)
    heard = [told(1), told(2), told(3), told(4), told(6, "exec_start: x")]
    assert found(events, *heard) == []


def test_what_is_missing_or_there_twice_is_told() -> None:
    assert found(log(BEGUN, recorded(1)), told(1), told(2)) == ["engine: not observed:"]
    assert found(log(BEGUN, recorded(1), recorded(1)), told(1)) == ["engine: observed 2"]
    assert found(log(), told(1)) == ["engine: nobody has"]
