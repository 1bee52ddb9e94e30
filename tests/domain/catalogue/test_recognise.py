"""What became of an interrupted command is judged from what was seen before and now."""

from typing import Any

import pytest

from domain.catalogue import CATALOGUE, recognise
from domain.catalogue.recognise import Evidence, Recogniser, Verdict
from domain.objects import Kind, ObjectState

T0, T1, T2, T3 = (f"2026-06-06T12:00:0{second}Z" for second in range(4))


def container(**facts: Any) -> ObjectState:
    return ObjectState(kind=Kind.CONTAINER, id="c1", name="web", facts=facts)


def running(since: str = T1, ended: str | None = None, restarts: int = 0) -> ObjectState:
    return container(status="running", running=True, started_at=since, finished_at=ended, restart_count=restarts)


def ended(at: str = T1, since: str = T0, restarts: int = 0) -> ObjectState:
    return container(status="exited", running=False, started_at=since, finished_at=at, restart_count=restarts)


def judge(rule: Recogniser, before: Any = (), now: Any = (), **evidence: Any) -> Verdict:
    def states(given: Any) -> tuple[ObjectState | None, ...]:
        return given if isinstance(given, tuple) else (given,)

    given: dict[str, Any] = {"arguments": {}, "before": states(before), "now": states(now), **evidence}
    return rule(Evidence(**given))


CREATED = container(status="created", running=False, started_at=None, finished_at=None, networks=[["bridge", "", ""]])
NEVER_RUN = container()


@pytest.mark.parametrize(
    ("arguments", "made", "applied"),
    [
        ({}, (), "no"),
        ({"start": False}, (), "no"),
        ({}, (running(),), "yes"),
        ({"start": True}, (running(),), "yes"),
        ({"start": True}, (ended(),), "yes"),
        ({"start": True}, (CREATED,), "partial"),
        ({}, (CREATED,), "partial"),
        ({"start": False}, (CREATED,), "yes"),
        ({"start": False}, (running(),), "yes"),
        ({"start": False, "networks": ["bridge"]}, (CREATED,), "yes"),
        ({"start": False, "networks": ["bridge", "back"]}, (CREATED,), "partial"),
        ({"start": False, "networks": ["bridge", "back"]}, (NEVER_RUN,), "partial"),
        ({"start": True, "networks": ["bridge", "back"]}, (CREATED,), "partial"),
        ({"start": True, "networks": ["bridge", "back"]}, (running(),), "yes"),
    ],
)
def test_a_created_container_is_known_by_its_label(arguments: Any, made: Any, applied: str) -> None:
    verdict = judge(recognise.container_created, arguments=arguments, made=made)

    assert verdict.applied == applied
    assert verdict.touched == tuple(state.ref for state in made)


NETWORK = ObjectState(kind=Kind.NETWORK, id="n1", name="front", facts={"driver": "bridge"})


@pytest.mark.parametrize(("made", "applied"), [((), "no"), ((NETWORK,), "yes")])
def test_a_created_network_is_known_by_its_label(made: Any, applied: str) -> None:
    verdict = judge(recognise.network_created, made=made)

    assert verdict.applied == applied
    assert verdict.touched == tuple(state.ref for state in made)


@pytest.mark.parametrize(
    ("now", "applied"),
    [
        (None, "yes"),
        (running(), "no"),
        (ended(), "no"),
        (NETWORK, "no"),
        (container(status="removing"), "unknown"),
        (container(status="dead"), "unknown"),
    ],
)
def test_a_removed_object_is_known_by_its_id(now: Any, applied: str) -> None:
    assert judge(recognise.removed, running(), now).applied == applied


@pytest.mark.parametrize(
    ("before", "now", "applied"),
    [
        (ended(at=T1), ended(at=T1), "no"),
        (CREATED, CREATED, "no"),
        (ended(at=T1), running(since=T2), "yes"),
        (CREATED, running(since=T2), "yes"),
        (ended(at=T1), ended(at=T3, since=T2), "yes"),
        (running(since=T1), running(since=T1), "yes"),
        (ended(at=T1), None, "unknown"),
    ],
)
def test_a_start_is_known_by_the_time_of_the_last_start(before: Any, now: Any, applied: str) -> None:
    assert judge(recognise.started, before, now).applied == applied


@pytest.mark.parametrize(
    ("before", "now", "applied"),
    [
        (running(since=T1), running(since=T1), "no"),
        (running(since=T1), ended(at=T2, since=T1), "yes"),
        (ended(at=T1), ended(at=T1), "yes"),
        (CREATED, CREATED, "yes"),
        (running(since=T1), running(since=T3, ended=T2), "unknown"),
        (running(since=T1), running(since=T3, ended=T2, restarts=1), "unknown"),
        (running(since=T1), None, "unknown"),
    ],
)
def test_a_stop_is_known_by_the_time_of_the_last_end(before: Any, now: Any, applied: str) -> None:
    assert judge(recognise.stopped, before, now).applied == applied


@pytest.mark.parametrize(
    ("before", "now", "applied"),
    [
        (running(since=T1), running(since=T1), "no"),
        (ended(at=T1), ended(at=T1), "no"),
        (running(since=T1), running(since=T3, ended=T2), "yes"),
        (running(since=T1, restarts=4), running(since=T3, ended=T2, restarts=0), "yes"),
        (ended(at=T1), running(since=T2, ended=T1), "yes"),
        (running(since=T1), ended(at=T2, since=T1), "unknown"),
        (running(since=T1), running(since=T3, ended=T2, restarts=1), "unknown"),
        (running(since=T1), None, "unknown"),
    ],
)
def test_a_restart_is_known_by_the_times_of_the_last_end_and_start(before: Any, now: Any, applied: str) -> None:
    assert judge(recognise.restarted, before, now).applied == applied


def member(*networks: list[str]) -> ObjectState:
    return container(networks=[list(network) for network in networks])


BRIDGE = ["bridge", "b0", "e0"]
FRONT = ["front", "n1", "e1"]
AGAIN = ["front", "n1", "e2"]
STOPPED = ["front", "n1", ""]
"""As the engine shows a container that has stopped."""
NEVER = ["front", "", ""]
"""As the engine shows a container that has not run since it joined."""
NAMESAKE = ["front", "n2", "e1"]
"""Another network that bears the name now."""


@pytest.mark.parametrize(
    ("before", "now", "connected", "disconnected"),
    [
        ([BRIDGE], [BRIDGE], "no", "no"),
        ([], [], "no", "no"),
        ([BRIDGE], [BRIDGE, FRONT], "yes", "no"),
        ([BRIDGE], [FRONT], "yes", "no"),
        ([BRIDGE], [BRIDGE, STOPPED], "yes", "no"),
        ([BRIDGE], [BRIDGE, NEVER], "yes", "no"),
        ([BRIDGE], [BRIDGE, NAMESAKE], "no", "no"),
        ([FRONT], [FRONT], "no", "no"),
        ([STOPPED], [STOPPED], "no", "no"),
        ([NEVER], [NEVER], "no", "no"),
        ([NEVER], [FRONT], "no", "no"),
        ([FRONT], [STOPPED], "no", "no"),
        ([STOPPED], [FRONT], "no", "no"),
        ([FRONT], [AGAIN], "no", "unknown"),
        ([FRONT, BRIDGE], [BRIDGE], "no", "yes"),
        ([STOPPED, BRIDGE], [BRIDGE], "no", "yes"),
        ([NEVER, BRIDGE], [BRIDGE], "no", "yes"),
    ],
)
def test_a_link_is_known_by_the_networks_of_the_container(
    before: Any, now: Any, connected: str, disconnected: str
) -> None:
    pinned, found = (NETWORK, member(*before)), (NETWORK, member(*now))

    assert judge(recognise.connected, pinned, found).applied == connected
    assert judge(recognise.disconnected, pinned, found).applied == disconnected


@pytest.mark.parametrize("rule", [recognise.connected, recognise.disconnected])
@pytest.mark.parametrize(
    "now", [(None, member(FRONT)), (NETWORK, None), (None, None)], ids=["no network", "no container", "neither"]
)
def test_a_link_whose_ends_are_gone_is_unknown(rule: Recogniser, now: Any) -> None:
    assert judge(rule, (NETWORK, member()), now).applied == "unknown"


def image(image_id: str) -> ObjectState:
    return ObjectState(kind=Kind.IMAGE, id=image_id, name="nginx:1.27")


@pytest.mark.parametrize(
    ("before", "now", "applied"),
    [
        (image(""), image("i1"), "yes"),
        (image("i1"), image("i2"), "yes"),
        (image("i1"), image("i1"), "no"),
        (image("i1"), None, "no"),
        (image(""), None, "no"),
    ],
)
def test_a_pull_is_known_by_the_id_behind_the_name(before: Any, now: Any, applied: str) -> None:
    verdict = judge(recognise.pulled, before, now)

    assert verdict.applied == applied
    assert verdict.touched == ((now.ref,) if applied == "yes" else ())


@pytest.mark.promise("P5")
@pytest.mark.parametrize("tool", [tool for tool in CATALOGUE if tool.recognise], ids=lambda tool: tool.name)
def test_a_command_that_found_no_object_has_done_nothing(tool: Any) -> None:
    """It may be interrupted after it has recorded that it starts, and before it records that nothing was found."""
    verdict = judge(tool.recognise)

    assert verdict.applied == "no"
    assert verdict.touched == ()


@pytest.mark.promise("P5")
@pytest.mark.parametrize("tool", [tool for tool in CATALOGUE if tool.recognise], ids=lambda tool: tool.name)
def test_every_rule_gives_its_reason(tool: Any) -> None:
    states = tuple(
        ObjectState(kind=target.kind, id=target.kind, name=target.kind, facts={"running": True, "started_at": T1})
        for target in tool.targets
    )
    for now in (states, (None,) * len(states)):
        verdict = judge(tool.recognise, states, now)
        assert verdict.applied in {"yes", "no", "partial", "unknown"}
        assert verdict.reason
