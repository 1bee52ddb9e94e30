"""A command's life takes only the listed steps, and a final status ends it."""

from collections.abc import Iterable
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import IllegalTransitionError
from domain.events import EVENT_TYPES
from domain.lifecycle import FINAL, TRANSITIONS, Status, check_life, step

COMMAND_TYPES = sorted(name for name in EVENT_TYPES if name.startswith(("command.", "execution.")))
ANY_TYPE = st.sampled_from([*sorted(EVENT_TYPES), "command.received ", "", "no.such.type"])

# Written out a second time on purpose, from the design and not from the table.
ALLOWED_OR_NOT = {
    ("command.denied",),
    ("command.cancelled",),
    ("command.authorized", "command.cancelled"),
    ("command.authorized", "execution.started", "command.succeeded"),
    ("command.authorized", "execution.started", "command.failed"),
    ("command.authorized", "execution.started", "command.unknown", "command.succeeded"),
    ("command.authorized", "execution.started", "command.unknown", "command.failed"),
}
DECIDED = {
    *ALLOWED_OR_NOT,
    ("command.deferred", "command.refused"),
    ("command.deferred", "command.expired"),
    ("command.deferred", "command.cancelled"),
    *(("command.deferred", "command.approved", *rest) for rest in ALLOWED_OR_NOT),
}
LIVES = {
    ("command.received", "command.rejected"),
    *(("command.received", *rest) for rest in DECIDED),
    *(("command.received", "command.planned", *rest) for rest in DECIDED),
}
"""A plan may take several events; see :func:`with_one_plan`."""
BEGINNINGS = {life[:length] for life in LIVES for length in range(len(max(LIVES, key=len)) + 1)}


def with_one_plan(types: Iterable[str]) -> tuple[str, ...]:
    """A life as it would be if each plan took one event."""
    runs = ((event_type, len(list(run))) for event_type, run in groupby(types))
    return tuple(each for each, count in runs for _ in range(1 if each == "command.planned" else count))


def with_long_plan(life: Iterable[str], parts: int) -> list[str]:
    return [each for each in life for _ in range(parts if each == "command.planned" else 1)]


@pytest.mark.promise("P5")
@given(
    st.lists(ANY_TYPE, max_size=7)
    | st.builds(with_long_plan, st.sampled_from(sorted(LIVES)), st.integers(1, 64))
    | st.sampled_from(sorted(LIVES)).flatmap(st.permutations)
)
def test_only_legal_lives_pass(types: list[str]) -> None:
    if with_one_plan(types) in BEGINNINGS:
        assert check_life(types) == (types[-1] if types else None)
    else:
        with pytest.raises(IllegalTransitionError):
            check_life(types)


@pytest.mark.promise("P5")
@pytest.mark.parametrize("following", sorted(EVENT_TYPES))
def test_every_step_from_a_legal_beginning_is_legal_or_refused(following: str) -> None:
    for beginning in BEGINNINGS:
        if with_one_plan((*beginning, following)) in BEGINNINGS:
            assert check_life([*beginning, following]) == following
        else:
            with pytest.raises(IllegalTransitionError):
                check_life([*beginning, following])


@pytest.mark.promise("P5")
@pytest.mark.parametrize("life", sorted(LIVES), ids=" ".join)
def test_nothing_follows_the_end_of_a_life(life: tuple[str, ...]) -> None:
    assert EVENT_TYPES[life[-1]].status in FINAL
    for following in [*EVENT_TYPES, "no.such.type"]:
        with pytest.raises(IllegalTransitionError):
            check_life([*life, following])


def test_the_table_and_the_event_types_agree() -> None:
    steps = {following for allowed in TRANSITIONS.values() for following in allowed}

    assert set(TRANSITIONS) == {None, *COMMAND_TYPES}
    assert steps == set(COMMAND_TYPES)


@pytest.mark.parametrize("event_type", COMMAND_TYPES)
def test_a_type_ends_a_life_exactly_if_its_status_is_final(event_type: str) -> None:
    assert (EVENT_TYPES[event_type].status in FINAL) == (not TRANSITIONS[event_type])


def test_unknown_is_not_final_and_can_be_settled_either_way() -> None:
    assert Status.UNKNOWN not in FINAL
    assert TRANSITIONS["command.unknown"] == {"command.succeeded", "command.failed"}


def test_statuses_that_await_something_are_not_final() -> None:
    assert set(Status) - FINAL == {Status.RUNNING, Status.UNKNOWN, Status.DEFERRED}


@pytest.mark.parametrize("event_type", sorted(set(EVENT_TYPES) - set(COMMAND_TYPES)))
def test_events_of_the_server_are_no_part_of_a_commands_life(event_type: str) -> None:
    assert EVENT_TYPES[event_type].status is None
    for last in [None, *COMMAND_TYPES]:
        with pytest.raises(IllegalTransitionError):
            step(last, event_type)


@pytest.mark.parametrize(
    ("last", "following", "message"),
    [
        (None, "command.succeeded", "command.succeeded cannot follow an empty stream"),
        ("command.succeeded", "command.failed", "command.failed cannot follow command.succeeded"),
        ("no.such.type", "command.failed", "command.failed cannot follow no.such.type"),
    ],
)
def test_an_illegal_step_is_named(last: str | None, following: str, message: str) -> None:
    with pytest.raises(IllegalTransitionError) as refused:
        step(last, following)
    assert (refused.value.code, refused.value.message) == ("illegal_transition", message)
