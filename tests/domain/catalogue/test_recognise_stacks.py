"""What became of an interrupted command on a stack is judged from its containers, networks and volumes."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalogue import recognise_stacks as recognise
from domain.catalogue.recognise import Evidence, Recogniser, Verdict
from domain.objects import Kind, ObjectState
from domain.stacks.state import Member, stack_state
from tests.domain.stacks.members import T1, T2, T3, ended, member

pytestmark = pytest.mark.promise("P5")

RUNS = member()
STOPPED = ended(started_at=T1, finished_at=T2)
ENDED = ended()
STARTED = member(started_at=T3, finished_at=T1)
AGAIN = member(started_at=T3, finished_at=T2)
CREATED = member(status="created", started_at=None)

NONE = ObjectState(kind=Kind.STACK, id="", name="shop")
"""A stack that does not exist, as it is pinned."""


def stack(*members: Member, networks: Iterable[str] = ("n1",), volumes: Iterable[str] = ()) -> ObjectState:
    return stack_state("shop", members, [(each, f"shop_{each}") for each in networks], volumes)


def judge(
    rule: Recogniser, before: ObjectState, now: ObjectState | None, planned: Any = None, **arguments: Any
) -> Verdict:
    arguments = {"project_name": "shop", **arguments}
    verdict = rule(Evidence(arguments=arguments, before=(before,), now=(now,), planned=planned))
    assert verdict.reason
    return verdict


# --- deploy -----------------------------------------------------------------------------------------------------


def plan(**services: int) -> dict[str, Any]:
    """The facts of a plan: how many containers of each service there are to be."""
    return {"services": [[service, f"hash-of-{service}", count] for service, count in services.items()]}


OLD = member(config="old")
NEW = member(id="made-anew")


@pytest.mark.parametrize(
    ("before", "now", "planned"),
    [
        (NONE, stack(member()), plan(web=1)),
        (NONE, stack(member(), member("db")), plan(web=1, db=1)),
        (NONE, stack(member(), member(number=2)), plan(web=2)),
        (NONE, stack(member(), ended("job")), plan(web=1, job=1)),
        (NONE, stack(member(), ended("job", exit_code=1)), plan(web=1, job=1)),
        (NONE, stack(member(health="starting")), plan(web=1)),
        (NONE, stack(member()), plan(web=1, spare=0)),
        (NONE, stack(), plan(spare=0)),
        (stack(OLD), stack(NEW), plan(web=1)),
        (stack(member()), stack(member()), plan(web=1)),
        (stack(member(), member("orphan")), stack(member()), plan(web=1)),
        (stack(member(), member(number=2)), stack(member()), plan(web=1)),
    ],
)
def test_a_stack_that_stands_as_planned_was_deployed(before: Any, now: ObjectState, planned: Any) -> None:
    verdict = judge(recognise.stack_deployed, before, now, planned)

    assert verdict.applied == "yes"
    assert {ref.id for ref in verdict.touched} == {each["id"] for each in now.facts["containers"]}


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (NONE, None),
        (NONE, NONE),
        (NONE, stack()),
        (NONE, stack(volumes=["shop_data"])),
        (stack(OLD), stack(OLD)),
        (stack(OLD, member("db", config="old")), stack(OLD, member("db", config="old"))),
        (stack(ended(config="old")), stack(ended(config="old"))),
    ],
)
def test_a_stack_of_which_no_container_changed_was_not_deployed(before: Any, now: Any) -> None:
    verdict = judge(recognise.stack_deployed, before, now, plan(web=1, db=1))

    assert verdict.applied == "no"
    assert verdict.touched == ()


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (NONE, stack(member()), "web created"),
        (NONE, stack(member(status="created", started_at=None), member("db")), "db created, web created (not started)"),
        (NONE, stack(member(status="restarting"), member("db")), "db created, web created (restarting)"),
        (NONE, stack(member(config="another"), member("db")), "db created, web created"),
        (NONE, stack(member(), member(number=2), member("db")), "db created, web created"),
        (NONE, stack(member(), member(number=2, config="another"), member("db")), "db created, web created"),
        (NONE, stack(member(), member("db"), member("orphan")), "db created, orphan created, web created"),
        (stack(OLD, member("db")), stack(NEW), "db removed, web recreated"),
        (stack(OLD, member("db")), stack(member("db")), "web removed"),
        (stack(OLD), stack(ended(config="old", started_at=T1, finished_at=T2)), "web stopped"),
        (stack(OLD), None, "web removed"),
        (stack(RUNS, member("db"), member("old")), stack(AGAIN, member("old")), "db removed, web restarted"),
    ],
)  # fmt: skip
def test_a_stack_that_changed_but_is_not_as_planned_was_deployed_in_part(before: Any, now: Any, told: str) -> None:
    verdict = judge(recognise.stack_deployed, before, now, plan(web=1, db=1))

    assert verdict.applied == "partial"
    assert verdict.reason == f"the stack is not as planned: {told}"
    assert len(verdict.touched) == (now.facts["containers_total"] if now else 0)


@pytest.mark.parametrize("planned", [None, {}, {"services": []}])
def test_without_a_plan_nothing_is_as_planned(planned: Any) -> None:
    assert judge(recognise.stack_deployed, NONE, stack(member()), planned).applied == "partial"
    assert judge(recognise.stack_deployed, stack(OLD), stack(OLD), planned).applied == "no"
    assert judge(recognise.stack_deployed, NONE, None, planned).applied == "no"


# --- down -------------------------------------------------------------------------------------------------------

STANDING = stack(member(), member("db"), networks=["n1", "n2"], volumes=["v1", "v2"])


@pytest.mark.parametrize(
    ("now", "kept", "removed"),
    [
        (None, "yes", "yes"),
        (stack(networks=[]), "yes", "yes"),
        (stack(networks=[], volumes=["v1", "v2"]), "yes", "partial"),
        (stack(networks=[], volumes=["v2"]), "yes", "partial"),
        (STANDING, "no", "no"),
        (stack(member(), member("db"), networks=["n1", "n2"], volumes=["v1"]), "no", "partial"),
        (stack(member(), ended("db"), networks=["n2", "n1"], volumes=["v2", "v1"]), "no", "no"),
        (stack(member(), networks=["n1", "n2"], volumes=["v1", "v2"]), "partial", "partial"),
        (stack(networks=["n2"]), "partial", "partial"),
        (stack(member("other"), networks=["n9"], volumes=["v9"]), "yes", "yes"),
    ],
)
def test_a_stack_is_removed_when_nothing_is_left_of_what_it_had(now: Any, kept: str, removed: str) -> None:
    """Volumes count only if they were to go; what was made since is another stack."""
    assert judge(recognise.stack_removed, STANDING, now, volumes=False).applied == kept
    assert judge(recognise.stack_removed, STANDING, now).applied == kept
    assert judge(recognise.stack_removed, STANDING, now, volumes=True).applied == removed


def test_what_is_left_of_a_stack_is_counted() -> None:
    now = stack(member(), networks=["n1"], volumes=["v1"])

    assert judge(recognise.stack_removed, STANDING, now).reason == "2 of 4 objects of the stack are left"
    assert judge(recognise.stack_removed, STANDING, now, volumes=True).reason == "3 of 6 objects of the stack are left"


def test_networks_are_known_by_id_and_volumes_by_name() -> None:
    before, again = (stack_state("shop", [], [(network, "shop_front")], ["shop_data"]) for network in ("n1", "n2"))

    assert judge(recognise.stack_removed, before, again).applied == "yes"
    assert judge(recognise.stack_removed, before, again, volumes=True).applied == "partial"


def test_a_stack_of_volumes_alone() -> None:
    before = stack(networks=[], volumes=["v1"])

    assert judge(recognise.stack_removed, before, before, volumes=True).applied == "no"
    assert judge(recognise.stack_removed, before, None, volumes=True).applied == "yes"


def test_a_container_that_the_log_could_not_hold_is_not_taken_for_removed() -> None:
    """Of a large stack the log holds a hundred containers; of the others nobody knows."""
    members = [member(number=number) for number in range(150)]
    before, now = stack(*members, networks=[]), stack(*members[100:], networks=[])

    assert judge(recognise.stack_removed, before, now).applied != "yes"


# --- start, stop, restart ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "now", "started", "stopped", "restarted"),
    [
        (RUNS, RUNS, "yes", "no", "no"),
        (RUNS, STOPPED, "no", "yes", "unknown"),
        (RUNS, AGAIN, "yes", "unknown", "yes"),
        (RUNS, None, "unknown", "unknown", "unknown"),
        (ENDED, ENDED, "no", "yes", "no"),
        (ENDED, STARTED, "yes", "no", "yes"),
        (ENDED, ended(started_at=T2, finished_at=T3), "yes", "yes", "yes"),
        (CREATED, CREATED, "no", "yes", "no"),
        (CREATED, RUNS, "yes", "no", "yes"),
    ],
)
def test_a_stack_of_one_container_is_judged_as_the_container(
    before: Member, now: Member | None, started: str, stopped: str, restarted: str
) -> None:
    seen = stack(before), stack(now) if now else None

    assert judge(recognise.stack_started, *seen).applied == started
    assert judge(recognise.stack_stopped, *seen).applied == stopped
    assert judge(recognise.stack_restarted, *seen).applied == restarted


def each(service: str, how: str) -> tuple[Member, Member]:
    """A container before and after a stop that took effect (``yes``), did not, or has an unknown fate."""
    after = {
        "yes": ended(service, started_at=T1, finished_at=T2),
        "no": member(service),
        "unknown": member(service, started_at=T3, finished_at=T2),
    }
    return member(service), after[how]


@pytest.mark.parametrize(
    ("web", "db", "applied"),
    [
        ("yes", "yes", "yes"),
        ("no", "no", "no"),
        ("yes", "no", "partial"),
        ("no", "yes", "partial"),
        ("unknown", "yes", "unknown"),
        ("no", "unknown", "unknown"),
        ("unknown", "unknown", "unknown"),
    ],
)
def test_a_stack_is_judged_by_all_its_containers(web: str, db: str, applied: str) -> None:
    pairs = [each("web", web), each("db", db)]
    verdict = judge(recognise.stack_stopped, stack(*(old for old, _ in pairs)), stack(*(new for _, new in pairs)))

    assert verdict.applied == applied
    if applied == "partial":
        assert verdict.reason == "1 of 2 containers were changed"


@pytest.mark.parametrize("service", ["web", "db"])
@pytest.mark.parametrize("web", ["yes", "no", "unknown"])
@pytest.mark.parametrize("db", ["yes", "no", "unknown"])
def test_of_a_named_service_only_its_containers_count(service: str, web: str, db: str) -> None:
    pairs = [each("web", web), each("db", db)]
    seen = stack(*(old for old, _ in pairs)), stack(*(new for _, new in pairs))

    assert judge(recognise.stack_stopped, *seen, service=service).applied == {"web": web, "db": db}[service]


@given(st.lists(st.sampled_from(["yes", "no", "unknown"]), min_size=1, max_size=6), st.randoms())
def test_the_order_of_the_containers_does_not_matter(fates: list[str], chance: Any) -> None:
    pairs = [each(f"s{number}", fate) for number, fate in enumerate(fates)]
    before, now = [old for old, _ in pairs], [new for _, new in pairs]
    chance.shuffle(now)
    applied = judge(recognise.stack_stopped, stack(*before), stack(*now)).applied

    if "unknown" in fates:
        assert applied == "unknown"
    else:
        assert applied == (fates[0] if len(set(fates)) == 1 else "partial")


every_verb = pytest.mark.parametrize(
    "rule",
    [recognise.stack_started, recognise.stack_stopped, recognise.stack_restarted],
    ids=["start", "stop", "restart"],
)


@every_verb
def test_a_stack_without_such_containers_was_not_changed(rule: Recogniser) -> None:
    assert judge(rule, NONE, None).applied == "no"
    assert judge(rule, stack(), stack()).applied == "no"
    assert judge(rule, stack(RUNS), stack(AGAIN), service="db").applied == "no"
    assert judge(rule, NONE, stack(RUNS)).applied == "no"


@every_verb
@pytest.mark.parametrize("now", [RUNS, STOPPED, AGAIN])
def test_containers_that_came_later_do_not_count(rule: Recogniser, now: Member) -> None:
    later = member(number=2, started_at=T3), ended("db", started_at=T2, finished_at=T3)

    assert judge(rule, stack(RUNS), stack(now, *later)) == judge(rule, stack(RUNS), stack(now))
