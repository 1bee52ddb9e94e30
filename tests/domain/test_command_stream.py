"""A command's events come in legal order, versioned and linked; a refused event changes nothing."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.canonical import NotCanonicalError
from domain.chain import seal_event
from domain.command_stream import CommandContext, CommandStream
from domain.errors import IllegalTransitionError
from domain.events import CommandSucceeded, Event, NewEvent, RecordedEvent
from domain.objects import Kind, ObjectState
from tests.domain.strategies import EXAMPLES

EVENT: dict[str, Event] = {event.type: event for event in EXAMPLES}
LIFE = ("command.received", "command.authorized", "execution.started", "command.unknown", "command.failed")
LIVES = [LIFE[:length] for length in range(1, len(LIFE) + 1)]
CONTEXT = CommandContext(
    command_id="command-1",
    principal="alice",
    role="admin",
    tool="stop-container",
    object="container/web",
    purpose="June invoices",
    correlation_id="talk-1",
    trace_id="trace",
    span_id="span",
)
REPEATED = ("principal", "role", "tool", "purpose", "correlation_id", "trace_id", "span_id")


def ids() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"id-{next(numbers)}"


def stream() -> CommandStream:
    return CommandStream(CONTEXT, ids())


def recorded(events: list[NewEvent]) -> list[RecordedEvent]:
    return [
        seal_event(event, position=place, version=event.stream_version or 0, at_ms=0, previous_hash=None)
        for place, event in enumerate(events, 1)
    ]


def test_a_new_stream_is_empty() -> None:
    assert stream().last_type is None


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life[-1])
def test_versions_count_from_one_and_each_event_names_the_one_that_caused_it(life: tuple[str, ...]) -> None:
    under_test = stream()

    events = [under_test.add(EVENT[event_type]) for event_type in life]

    assert under_test.last_type == life[-1]
    assert [event.type for event in events] == list(life)
    assert [event.stream_version for event in events] == list(range(1, len(life) + 1))
    assert [event.event_id for event in events] == [f"id-{number}" for number in range(1, len(life) + 1)]
    assert [event.causation_id for event in events] == [None, *(event.event_id for event in events[:-1])]


def test_every_event_repeats_whose_command_it_is() -> None:
    under_test = stream()
    for event_type in LIFE:
        event = under_test.add(EVENT[event_type])
        assert event.stream == CONTEXT.command_id
        assert event.object == CONTEXT.object
        assert {name: getattr(event, name) for name in REPEATED} == {name: getattr(CONTEXT, name) for name in REPEATED}
        assert (event.status, event.schema_version, event.data) == (
            EVENT[event_type].status,
            EVENT[event_type].schema_version,
            EVENT[event_type].encode(),
        )


def test_a_resolved_object_name_holds_from_its_event_on() -> None:
    under_test = stream()
    names = [None, None, "container/web-1", None, None]

    events = [under_test.add(EVENT[of], object_name=name) for of, name in zip(LIFE, names, strict=True)]

    assert [event.object for event in events] == ["container/web"] * 2 + ["container/web-1"] * 3


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life[-1])
def test_a_recorded_stream_goes_on_where_it_stopped(life: tuple[str, ...]) -> None:
    first = stream()
    before = [first.add(EVENT[event_type]) for event_type in life]
    rest = LIFE[len(life) :]

    resumed = CommandStream.resume(recorded(before), ids())
    assert resumed.last_type == life[-1]
    after = [resumed.add(EVENT[event_type]) for event_type in rest]

    assert [event.stream_version for event in before + after] == [1, 2, 3, 4, 5]
    assert all(event.stream == CONTEXT.command_id for event in after)
    assert all(getattr(event, name) == getattr(CONTEXT, name) for event in after for name in (*REPEATED, "object"))
    if after:
        assert after[0].causation_id == before[-1].event_id


def test_a_resumed_stream_keeps_the_object_that_was_resolved() -> None:
    first = stream()
    events = [first.add(EVENT["command.received"]), first.add(EVENT["command.authorized"], object_name="container/x")]

    resumed = CommandStream.resume(recorded(events), ids())

    assert resumed.add(EVENT["execution.started"]).object == "container/x"


@pytest.mark.parametrize(
    "life", [("command.authorized",), ("command.received", "command.succeeded"), (*LIFE, "command.succeeded")], ids=len
)
def test_a_recorded_stream_that_is_no_legal_life_is_not_resumed(life: tuple[str, ...]) -> None:
    event = recorded([stream().add(EVENT["command.received"])])[0]
    rows = [RecordedEvent(**{**{name: getattr(event, name) for name in event._fields}, "type": of}) for of in life]
    with pytest.raises(IllegalTransitionError):
        CommandStream.resume(rows, ids())


def test_a_copy_goes_its_own_way() -> None:
    original = stream()
    original.add(EVENT["command.received"])
    original.add(EVENT["command.authorized"])

    other = original.copy()
    cancelled = other.add(EVENT["command.cancelled"], object_name="container/other")
    started = original.add(EVENT["execution.started"])

    assert (other.last_type, original.last_type) == ("command.cancelled", "execution.started")
    assert cancelled.stream_version == started.stream_version == 3
    assert cancelled.causation_id == started.causation_id
    assert cancelled.event_id != started.event_id
    assert started.object == "container/web"


def state(of: CommandStream) -> dict[str, Any]:
    """What the next event would show; asked of a copy."""
    following = {
        None: "command.received",
        "command.received": "command.denied",
        "command.authorized": "execution.started",
    }
    following |= {"execution.started": "command.failed", "command.unknown": "command.failed"}
    if of.last_type not in following:
        return {"last_type": of.last_type}
    event = of.copy().add(EVENT[following[of.last_type]])
    return {name: getattr(event, name) for name in NewEvent._fields if name != "event_id"}


@pytest.mark.promise("P5")
@given(st.lists(st.sampled_from(EXAMPLES), max_size=12))
def test_a_step_out_of_order_is_refused_and_leaves_the_stream_as_it_was(events: list[Event]) -> None:
    under_test = stream()
    for event in events:
        before = state(under_test)
        try:
            under_test.add(event, object_name="container/other")
        except IllegalTransitionError:
            assert state(under_test) == before


UNSPEAKABLE = CommandSucceeded(
    summary="s", state_after=(ObjectState(kind=Kind.CONTAINER, id="1", name="web", facts={"share": 0.5}),)
)


@pytest.mark.promise("P5")
def test_an_event_that_cannot_be_written_down_leaves_the_stream_as_it_was() -> None:
    under_test = stream()
    for event_type in LIFE[:3]:
        under_test.add(EVENT[event_type])
    before = state(under_test)

    with pytest.raises(NotCanonicalError):
        under_test.add(UNSPEAKABLE, object_name="container/other")

    assert state(under_test) == before
    assert under_test.add(EVENT["command.failed"]).stream_version == 4


@pytest.mark.promise("P5")
def test_a_failing_source_of_ids_leaves_the_stream_as_it_was() -> None:
    answers = iter(["id-1", None, "id-2"])

    def new_id() -> str:
        if (answer := next(answers)) is None:
            raise OSError
        return answer

    under_test = CommandStream(CONTEXT, new_id)
    under_test.add(EVENT["command.received"])
    with pytest.raises(OSError):  # noqa: PT011
        under_test.add(EVENT["command.authorized"])

    event = under_test.add(EVENT["command.authorized"])
    assert (event.stream_version, event.causation_id) == (2, "id-1")
