"""The engine's events as the log keeps them: which, what of them, where an observation goes on, and who caused what."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalogue import CATALOGUE
from domain.catalogue.tool import Effect
from domain.engine_budget import WINDOW_S, EngineBudget
from domain.engine_causes import CAUSES, LATE_MS, Cause, Causes, Work
from domain.engine_cursor import Cursor, cursor_of, resumed, unseen
from domain.engine_events import RECORDED, EngineEvent, engine_event, engine_time, observed
from domain.events import (
    EngineFollowed,
    EngineGap,
    EngineObserved,
    EngineSuppressed,
    Event,
    RecordedEvent,
    ServerStopped,
    event_of,
)
from domain.principal import SYSTEM
from tests.domain.strategies import ANY_TEXT, sealed

NS = 1_795_676_187_227_389_211
MS = 1_000_000
CONTAINER = "c457dcea78bbc07f77816ebef63fd9b2892b91501ce992a75961b121c785b529"


def told(action: str = "die", kind: str = "container", **attributes: str) -> dict[str, Any]:
    """An event as the engine tells it."""
    named = {"name": "web", **attributes}
    return {"Type": kind, "Action": action, "Actor": {"ID": CONTAINER, "Attributes": named}, "timeNano": NS}


def test_an_event_is_told_by_its_kind_action_object_and_time() -> None:
    event = engine_event(told(exitCode="137", image="busybox:1"))
    assert event == EngineEvent("container", "die", CONTAINER, NS, "web", exit_code=137, image="busybox:1")
    assert event.is_recorded
    assert event.at_ms == 1_795_676_187_227


@pytest.mark.promise("P6")
@pytest.mark.parametrize("action", ["exec_create: sh -c 'login --password hunter2'", "exec_start: hunter2"])
def test_a_command_line_in_the_action_is_cut_off_and_not_recorded(action: str) -> None:
    event = engine_event(told(action, execID="hunter2"))
    assert event.action in ("exec_create", "exec_start")
    assert not event.is_recorded
    assert "hunter2" not in repr(event)


@pytest.mark.promise("P6")
def test_of_labels_and_other_attributes_nothing_is_kept() -> None:
    event = engine_event(told(password="hunter2", execID="hunter2", comment="hunter2", **{"a.b": "hunter2"}))
    assert "hunter2" not in observed("e", event, None, None).encode()


def test_labels_that_are_named_as_attributes_mean_nothing_for_other_actions() -> None:
    event = engine_event(told("start", exitCode="1", signal="9", oldName="/x", container="y"))
    assert (event.exit_code, event.signal, event.old_name, event.container) == (None, None, None, None)


@pytest.mark.parametrize(("action", "health"), [("healthy", "healthy"), ("unhealthy", "unhealthy"), ("odd", None)])
def test_health_stands_apart_from_the_action(action: str, health: str | None) -> None:
    event = engine_event(told(f"health_status: {action}"))
    assert (event.action, event.health) == ("health_status", health)


def test_names_are_bounded_and_cannot_steer_a_terminal() -> None:
    event = engine_event(told(name="\x1b[2J" + "x" * 1000, image="y" * 1000))
    assert event.name is not None
    assert event.image is not None
    assert event.name.startswith("\\u001b")
    assert len(event.name) <= 256
    assert len(event.image) <= 256


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | ANY_TEXT,
        lambda inner: st.dictionaries(
            st.sampled_from(["Type", "Action", "Actor", "ID", "Attributes", "timeNano", "name"]), inner
        ),
    ).filter(lambda tree: isinstance(tree, dict))
)
def test_whatever_an_engine_tells_has_a_form_that_can_be_recorded(tree: dict[str, Any]) -> None:
    event = engine_event(tree)
    recorded = observed("e", event, None, None)
    assert EngineObserved.model_validate_json(recorded.encode()).encode() == recorded.encode()


def test_the_same_event_is_recognised_from_its_record() -> None:
    event = engine_event(told("health_status: healthy"))
    recorded = row(observed("e", event, None, None))
    assert cursor_of(recorded) == Cursor(1, NS, event.digest)
    others = [replace(event, **change) for change in ({"time_ns": NS + 1}, {"action": "die"}, {"object_id": "d"})]
    assert event.digest not in {other.digest for other in others}


def test_every_record_of_the_stream_says_how_far_it_goes() -> None:
    time = engine_time(NS)
    assert time == "1795676187.227389211"
    assert engine_time(1_000_000_007) == "1.000000007"
    for record in (
        EngineGap(engine="e", until_ms=1, engine_time=time, newest="d"),
        EngineFollowed(engine="e", engine_time=time, newest="d"),
    ):
        cursor = cursor_of(row(record))
        assert cursor is not None
        assert (cursor.version, cursor.time_ns, cursor.newest) == (1, NS, "d")
    assert cursor_of(row(ServerStopped(reason="x"))) is None


def row(event: Event) -> RecordedEvent:
    return sealed(event_of(SYSTEM, event, "engine/e", "id"), None)


# --- going on ----------------------------------------------------------------------------------------------------


def line(*times: int) -> list[EngineEvent]:
    """Events at times in milliseconds, in the order in which the engine tells them."""
    return [EngineEvent("container", "start", f"c{number}", time * MS) for number, time in enumerate(times)]


def at(event: EngineEvent, floor_ms: int = 0) -> Cursor:
    return Cursor(1, event.time_ns, event.digest, floor_ms * MS)


def test_an_observation_goes_on_after_the_last_event_that_was_seen() -> None:
    events = line(1000, 3000, 3000, 3001, 3002)
    assert unseen(events, at(events[4], 3002)) == ([], False)
    assert unseen(events, at(events[2], 3001)) == (events[3:], False)


def test_what_may_have_been_told_in_another_order_is_looked_at_again() -> None:
    events = line(1999, 2000, 3001, 3000, 3002)
    assert unseen(events, at(events[3])) == ([events[1], events[2], events[4]], False)


def test_what_is_accounted_for_is_not_looked_at_again() -> None:
    events = line(2999, 3000, 3001)
    assert unseen(events, at(events[1], 3000)) == ([events[2]], False)


def test_an_order_that_is_not_that_of_the_times_does_not_matter() -> None:
    events = line(5000, 9000, 7000, 6000)
    assert unseen(events, at(events[1])) == (events[2:], False)


def test_what_the_engine_no_longer_tells_is_a_gap() -> None:
    events = line(10, 11)
    assert unseen(events, Cursor(1, 5 * MS, "forgotten")) == (events, True)
    assert unseen([], Cursor(1, 5 * MS, "forgotten")) == ([], True)


def test_a_memory_that_reaches_further_back_has_no_gap() -> None:
    events = line(3, 10)
    assert unseen(events, Cursor(1, 5 * MS, None, 5 * MS)) == (events[1:], False)
    assert unseen([], Cursor(1, 5 * MS, None)) == ([], False)


def test_a_stream_tells_what_is_known_one_by_one_and_from_when_on() -> None:
    first, second, third = line(3000, 3002, 3001)
    gap = EngineGap(engine="e", until_ms=2900, engine_time=engine_time(2800 * MS), newest="d")
    counted = EngineSuppressed(
        engine="e",
        since_ms=1,
        until_ms=2,
        total=1,
        counts=(("image", "tag", 1),),
        engine_time=engine_time(3000 * MS),
        newest="f",
    )
    mark = EngineFollowed(engine="e", engine_time=engine_time(third.time_ns), newest=third.digest)
    of = [observed("e", event, None, None) for event in (first, second, third)]
    assert resumed([]) == (None, [])
    assert resumed(stream(gap, *of)) == (
        Cursor(4, third.time_ns, third.digest, 2900 * MS),
        ["d", first.digest, second.digest, third.digest],
    )
    assert resumed(stream(*of, mark)) == (
        Cursor(4, third.time_ns, third.digest, 0),
        [first.digest, second.digest, third.digest, third.digest],
    ), "an event may be missing before a mark"
    assert resumed(stream(gap, counted, of[1]))[0] == Cursor(3, second.time_ns, second.digest, 3000 * MS)
    carried = resumed(stream(mark))[0]
    assert carried is not None
    assert carried.since_ns == third.time_ns, "what another log holds is not looked for in this one"


def stream(*events: Event) -> list[RecordedEvent]:
    return [row(event)._replace(stream_version=version) for version, event in enumerate(events, 1)]


# --- causes ------------------------------------------------------------------------------------------------------

AT = NS // 1_000_000


def work(tool: str, object_name: str | None = None, *ids: str, began: int = -10, ended: int | None = None) -> Work:
    return Work("c1", tool, object_name, frozenset(ids), AT + began, None if ended is None else AT + ended)


def cause(event: EngineEvent, *works: Work) -> Cause | None:
    return Causes().of(event, works)


def event_of_kind(action: str, kind: str = "container", **fields: Any) -> EngineEvent:
    return EngineEvent(kind, action, fields.pop("object_id", "o1"), NS, **fields)


def test_every_tool_that_changes_docker_says_what_it_makes_the_engine_do() -> None:
    changing = {tool.name for tool in CATALOGUE if tool.effect is not Effect.READ and "approvals" not in tool.name}
    assert set(CAUSES) == changing
    told_of = {(kind, action) for causes in CAUSES.values() for kind, actions in causes.items() for action in actions}
    assert told_of <= {(kind, action) for kind, actions in RECORDED.items() for action in actions}


@pytest.mark.parametrize(
    ("event", "of", "tied_by"),
    [
        (event_of_kind("create", label="c1"), work("create-container"), "label"),
        (event_of_kind("start", label="c1"), work("create-container", ended=-5), "label"),
        (event_of_kind("stop"), work("stop-container", "container/web", "o1"), "object"),
        (event_of_kind("destroy", name="web"), work("remove-container", "container/web"), "object"),
        (event_of_kind("connect", "network", container="c9"), work("start-container", None, "c9"), "object"),
        (event_of_kind("create", "network", name="net"), work("network-create", "network/net"), "object"),
        (event_of_kind("start", stack="shop"), work("deploy-compose", "stack/shop"), "stack"),
        (event_of_kind("create", "network", name="shop_default"), work("deploy-compose", "stack/shop"), "stack"),
        (event_of_kind("destroy", "volume", object_id="shop_data"), work("compose-down", "stack/shop"), "stack"),
        (event_of_kind("create", "volume"), work("create-container"), "time"),
        (event_of_kind("pull", "image"), work("image-pull", ended=1), "time"),
    ],
)
def test_an_event_is_tied_to_the_command_that_was_at_work(event: EngineEvent, of: Work, tied_by: str) -> None:
    assert cause(event, of) == Cause("c1", tied_by)


@pytest.mark.parametrize(
    ("event", "of"),
    [
        (event_of_kind("start", label="c1"), work("create-container", ended=-LATE_MS - 1)),
        (event_of_kind("start", label="c1"), work("create-container", began=LATE_MS + 1)),
        (event_of_kind("stop", label="other"), work("stop-container", "container/web", "o2")),
        (event_of_kind("pause"), work("stop-container", None, "o1")),
        (event_of_kind("oom"), work("restart-container", None, "o1")),
        (event_of_kind("health_status"), work("restart-container", None, "o1")),
        (event_of_kind("die", label="c1"), work("create-container")),
        (event_of_kind("die", stack="shop"), work("deploy-compose", "stack/shop")),
        (event_of_kind("start", stack="shop-2"), work("deploy-compose", "stack/shop")),
        (event_of_kind("create", "network", name="shopping"), work("deploy-compose", "stack/shop")),
        (event_of_kind("create", "volume"), work("create-container", ended=-5)),
    ],
)
def test_what_a_command_did_not_do_is_external(event: EngineEvent, of: Work) -> None:
    assert cause(event, of) is None


def test_of_two_commands_the_one_that_was_at_work_at_that_moment_counts() -> None:
    just_ended = replace(work("stop-container", None, "o1", ended=-1), command_id="before")
    assert cause(event_of_kind("stop"), just_ended, work("stop-container", None, "o1")) == Cause("c1", "object")


def test_who_has_just_made_a_container_has_not_connected_it_while_another_command_does() -> None:
    made = replace(work("create-container", ended=-1), command_id="before")
    event = event_of_kind("connect", "network", container="c9", label="before")
    assert cause(event, made, work("network-connect", None, "c9")) == Cause("c1", "object")


def test_an_engine_whose_clock_is_ahead_is_not_misunderstood() -> None:
    stopped = work("stop-container", None, "o1", ended=5)
    later = replace(event_of_kind("stop"), time_ns=NS + 60_000 * 1_000_000)
    assert Causes().of(later, [stopped]) is None
    assert Causes().of(later, [stopped], ahead_ms=60_000) == Cause("c1", "object")


def test_two_commands_that_may_both_have_made_a_volume_are_both_not_blamed() -> None:
    both = (work("create-container"), replace(work("create-container"), command_id="c2"))
    assert cause(event_of_kind("create", "volume"), *both) is None


def test_who_killed_a_container_is_the_cause_of_its_death() -> None:
    deploying = work("deploy-compose", "stack/shop")
    causes = Causes()
    assert causes.of(event_of_kind("kill", stack="shop"), [deploying]) == Cause("c1", "stack")
    assert causes.of(event_of_kind("die", stack="shop"), [deploying]) == Cause("c1", "stack")
    assert causes.of(event_of_kind("die", stack="shop"), [deploying]) is None
    stopping = work("stop-container", None, "o1")
    assert causes.of(event_of_kind("kill"), []) is None
    assert causes.of(event_of_kind("die"), [stopping]) is None


# --- the budget ---------------------------------------------------------------------------------------------------


def test_what_is_beyond_the_budget_is_counted_by_kind_and_action() -> None:
    budget = EngineBudget(1)
    budget.turn(0)
    admitted = [budget.spend(f"c{number}") for number in range(WINDOW_S + 2)]
    assert admitted == [True] * WINDOW_S + [False] * 2
    for number, action in enumerate(("die", "start", "die")):
        budget.count(EngineEvent("container", action, "c", NS + number * 1_000_000))
    counted = budget.take("e")
    assert counted is not None
    assert (counted.total, counted.counts) == (3, (("container", "die", 2), ("container", "start", 1)))
    assert (counted.since_ms, counted.until_ms) == (AT, AT + 2)
    last = EngineEvent("container", "die", "c", NS + 2_000_000)
    assert cursor_of(row(counted)) == Cursor(1, last.time_ns, last.digest, last.time_ns)
    assert budget.take("e") is None


def test_a_budget_is_renewed_after_its_time() -> None:
    budget = EngineBudget(1)
    budget.turn(100)
    assert not budget.is_over(100 + WINDOW_S - 0.1)
    assert budget.is_over(100 + WINDOW_S)
    for number in range(WINDOW_S):
        assert budget.spend(f"c{number}")
    assert not budget.spend("c")
    budget.turn(100 + WINDOW_S)
    assert budget.spend("c")


def test_one_object_has_half_of_the_budget() -> None:
    budget = EngineBudget(1)
    budget.turn(0)
    assert [budget.spend("noisy") for _ in range(WINDOW_S)] == [True] * 5 + [False] * 5
    assert budget.spend("quiet")
