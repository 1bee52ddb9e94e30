"""Made-up logs in which every command leads a legal life: interleaved, unfinished, with events of other kinds."""

import uuid
from typing import Any, Final

import orjson
from hypothesis import strategies as st

from domain.chain import seal_event
from domain.events import Event, NewEvent, RecordedEvent
from domain.lifecycle import TRANSITIONS
from tests.domain.strategies import EXAMPLES

_EXAMPLES: Final[dict[str, Event]] = {event.type: event for event in EXAMPLES}
_LIFELESS: Final = [*sorted(set(_EXAMPLES) - set(TRANSITIONS)), "moon.landed"]
TOOLS: Final = ("stop-container", "list-containers", "_unknown")
ROLES: Final = ("admin", "user", "none")
EXECUTORS: Final = ("executor-a", "executor-b")
RULES: Final = ("role-user", "host-safety/bind", "unauthenticated")

_STEPS: Final = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2**32)), max_size=60)
"""Which of a few streams goes on, and a number that decides how."""


@st.composite
def legal_logs(draw: st.DrawFn) -> list[NewEvent]:
    """Events in log order, without their places in the log; no two logs share a stream."""
    return _log(draw(_STEPS), str(uuid.uuid4()))


def recorded(events: list[NewEvent]) -> list[RecordedEvent]:
    """The rows of a log that holds exactly ``events``."""
    rows: list[RecordedEvent] = []
    versions: dict[str, int] = {}
    for event in events:
        versions[event.stream] = versions.get(event.stream, 0) + 1
        rows.append(
            seal_event(
                event,
                position=len(rows) + 1,
                version=versions[event.stream],
                at_ms=1_780_000_000_000,
                previous_hash=rows[-1].event_hash if rows else None,
            )
        )
    return rows


def _log(steps: list[tuple[int, int]], name: str) -> list[NewEvent]:
    streams = [f"{name}-{number}" for number in range(4)]
    last: dict[str, str | None] = dict.fromkeys(streams)
    events: list[NewEvent] = []
    for number, chance in steps:
        if number == len(streams):
            kind = _LIFELESS[chance % len(_LIFELESS)]
            events.append(_event(f"{name}/other", kind, chance, tool=None))
            continue
        stream = streams[number]
        following = sorted(TRANSITIONS[last[stream]])
        if not following:  # the life is over: another begins
            stream = streams[number] = f"{stream}x"
            following = ["command.received"]
        kind = following[chance % len(following)]
        last[stream] = kind
        events.append(_event(stream, kind, chance // 16, tool=TOOLS[number % len(TOOLS)]))
    return events


def _event(stream: str, kind: str, chance: int, tool: str | None) -> NewEvent:
    example = _EXAMPLES.get(kind)
    data: dict[str, Any] = orjson.loads(example.encode()) if example else {"flag": True}
    changes = {"executor": EXECUTORS, "rule": RULES, "duration_us": (0, 1_000, 1_001, 700_000, 400_000_000)}
    data |= {name: values[chance % len(values)] for name, values in changes.items() if name in data}
    return NewEvent(
        event_id=str(uuid.uuid4()),
        stream=stream,
        stream_version=None,
        type=kind,
        schema_version=1,
        principal="alice",
        role=ROLES[chance % len(ROLES)],
        tool=tool,
        object=None,
        status=example.status if example else None,
        purpose=None,
        correlation_id=None,
        causation_id=None,
        trace_id=None,
        span_id=None,
        data=orjson.dumps(data, option=orjson.OPT_SORT_KEYS).decode(),
    )
