"""What stands of a stack comes back from the log, and two looks at it tell what happened between them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.events import MAX_DATA_BYTES, CommandSucceeded, ExecutionStarted, decode
from domain.objects import Kind, ObjectRef, ObjectState
from domain.stacks.state import Member, by_service, changes, members_of, stack_state
from tests.domain.stacks.members import MEMBERS, T2, T3, ended, member
from tests.domain.strategies import TEXT

# --- what the log keeps -----------------------------------------------------------------------------------------


@given(st.lists(MEMBERS, max_size=5), st.lists(st.tuples(TEXT, TEXT), max_size=3), st.lists(TEXT, max_size=3), TEXT)
def test_the_state_comes_back_from_the_log(
    members: list[Member], networks: list[tuple[str, str]], volumes: list[str], project: str
) -> None:
    state = stack_state(project, members, networks, volumes)
    started = ExecutionStarted(executor="e", pinned=(state,), not_after_ms=1, settle_s=1)

    recorded = decode(started.type, started.encode())

    assert isinstance(recorded, ExecutionStarted)
    assert recorded.pinned == (state,)
    assert members_of(recorded.pinned[0]) == members
    assert recorded.pinned[0].ref == ObjectRef(kind=Kind.STACK, id=project, name=project)


def test_networks_and_volumes_stand_in_order_whatever_the_engine_says_first() -> None:
    one = stack_state("shop", [], [("2", "b"), ("1", "a")], ["y", "x"])
    other = stack_state("shop", [], iter([("1", "a"), ("2", "b")]), iter(["x", "y"]))

    assert one == other
    assert one.facts["networks"] == [["1", "a"], ["2", "b"]]
    assert one.facts["volumes"] == ["x", "y"]


def test_a_stack_that_did_not_exist_has_no_containers() -> None:
    assert members_of(ObjectState(kind=Kind.STACK, id="", name="shop")) == []


@pytest.mark.promise("P9")
@pytest.mark.parametrize(("count", "kept"), [(0, 0), (99, 99), (100, 100), (101, 100), (5_000, 100)])
def test_at_most_a_hundred_containers_are_kept_and_all_are_counted(count: int, kept: int) -> None:
    members = [member(number=number) for number in range(count)]
    state = stack_state("shop", members, [], [])

    assert members_of(state) == members[:kept]
    assert state.facts["containers_total"] == count


def test_a_hundred_containers_fit_into_the_events_that_hold_them() -> None:
    project, services = "a-project-with-a-name", [f"a-service-with-a-name-{number}" for number in range(100)]
    members = [
        member(
            service,
            id="f" * 64,
            name=f"{project}-{service}-1",
            health="unhealthy",
            started_at="2026-06-06T12:00:00.123456789Z",
            finished_at="2026-06-06T12:00:00.123456789Z",
            config="c" * 64,
        )
        for service in services
    ]
    state = stack_state(project, members, [("e" * 64, f"{project}_default")], [f"{project}_data"])
    planned = {"services": [[service, "c" * 64, 1] for service in services]}
    touched = tuple(each.ref for each in members)

    for event in (
        ExecutionStarted(executor="e" * 36, pinned=(state,), planned=planned, not_after_ms=1, settle_s=1),
        CommandSucceeded(summary=f"deploy stack {project}", touched=touched, state_after=(state,)),
    ):
        assert len(event.encode().encode()) <= MAX_DATA_BYTES


# --- one container ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "up", "told"),
    [
        ({"status": "running"}, True, "running"),
        ({"status": "running", "health": "healthy"}, True, "running (healthy)"),
        ({"status": "running", "health": "unhealthy"}, False, "running (unhealthy)"),
        ({"status": "running", "health": "starting"}, False, "running (starting)"),
        ({"status": "exited"}, True, "exited (0)"),
        ({"status": "exited", "health": "unhealthy"}, True, "exited (0)"),
        ({"status": "exited", "exit_code": 1}, False, "exited (1)"),
        ({"status": "exited", "exit_code": 137}, False, "exited (137)"),
        ({"status": "created"}, False, "created"),
        ({"status": "restarting"}, False, "restarting"),
        ({"status": "restarting", "health": "healthy"}, False, "restarting"),
        ({"status": "paused"}, False, "paused"),
        ({"status": "dead"}, False, "dead"),
    ],
)
def test_a_container_is_up_if_it_runs_well_or_is_done(facts: Any, up: bool, told: str) -> None:
    assert member(**facts).is_up == up
    assert member(**facts).told() == told


def test_a_member_is_referred_to_as_a_container() -> None:
    assert member("db", 2).ref == ObjectRef(kind=Kind.CONTAINER, id="db-2", name="shop-db-2")


# --- what changed -----------------------------------------------------------------------------------------------

RESTARTED = member(started_at=T3, finished_at=T2)


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ([], [member()], "created"),
        ([member()], [], "removed"),
        ([member()], [member()], "unchanged"),
        ([ended()], [ended()], "unchanged"),
        ([member()], [member(id="other")], "recreated"),
        ([ended()], [member(id="other")], "recreated"),
        ([ended()], [member(started_at=T2)], "started"),
        ([member(status="created", started_at=None)], [member()], "started"),
        ([member()], [RESTARTED], "restarted"),
        ([ended()], [ended(started_at=T2, finished_at=T3)], "started"),
        ([member()], [ended(started_at=member().started_at, finished_at=T2)], "stopped"),
        ([member()], [member(), member(number=2)], "created"),
        ([member(), member(number=2)], [member()], "removed"),
        ([member(), member(number=2)], [member(), member(number=3)], "recreated"),
        ([member(), member(number=2)], [RESTARTED, member(number=2)], "restarted"),
        ([member(), ended(number=2)], [member(), member(number=2, started_at=T2)], "restarted"),
        ([ended(), ended(number=2)], [ended(), member(number=2, started_at=T2)], "started"),
        ([member(), member(number=2)], [member(), ended(number=2, started_at=member().started_at)], "stopped"),
        ([member()], [member(health="unhealthy")], "unchanged"),
    ],
)
def test_what_happened_to_a_service(before: list[Member], after: list[Member], change: str) -> None:
    bystander = member("db")

    assert changes([*before, bystander], [bystander, *after]) == {"db": "unchanged", "web": change}


@given(st.lists(MEMBERS, max_size=6, unique_by=lambda each: each.id))
def test_two_equal_looks_show_no_change(members: list[Member]) -> None:
    assert set(changes(members, reversed(members)).values()) <= {"unchanged"}


@given(st.lists(MEMBERS, max_size=6), st.lists(MEMBERS, max_size=6))
def test_every_service_of_either_look_is_told_in_order(before: list[Member], after: list[Member]) -> None:
    told = changes(before, after)

    assert list(told) == sorted({each.service for each in (*before, *after)})
    assert set(told.values()) <= {
        "created", "recreated", "started", "restarted", "stopped", "removed", "unchanged"
    }  # fmt: skip


@given(st.lists(MEMBERS, max_size=8))
def test_services_stand_in_order_with_all_their_containers(members: list[Member]) -> None:
    services = by_service(members)

    assert list(services) == sorted({each.service for each in members})
    assert all(each.service == name for name, group in services.items() for each in group)
    assert sum(map(len, services.values())) == len(members)
