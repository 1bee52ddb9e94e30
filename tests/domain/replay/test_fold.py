"""What events do to the world: outcomes as recorded, the engine's own account, and what nobody can tell."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.command_stream import CommandContext, CommandStream
from domain.events import (
    CommandAuthorized,
    CommandFailed,
    CommandReceived,
    CommandSucceeded,
    CommandUnknown,
    EngineGap,
    EngineObserved,
    Event,
    ExecutionStarted,
    NewEvent,
    RecordedEvent,
    event_of,
)
from domain.objects import Kind, ObjectRef, ObjectState
from domain.principal import SYSTEM
from domain.replay import world as world_module
from domain.replay.causes import find, why
from domain.replay.entry import Wanted
from domain.replay.fold import fold
from domain.replay.plan import rebuilding
from domain.replay.review import facts_of
from domain.replay.timeline import Timeline
from domain.replay.view import changes_told, entry_row
from domain.replay.world import Known, World, restored_world
from domain.stacks.state import Member, stack_state
from tests.domain.legal_logs import legal_logs, recorded

WEB, NET = "c" * 64, "n" * 64
FIRST, SECOND, THIRD = (f"2026-06-06T12:00:0{second}.5Z" for second in range(3))
AT_MS = 1_780_747_200_000
"""2026-06-06T12:00:00Z."""


class Log:
    """A log in the making, folded event by event."""

    def __init__(self) -> None:
        self.world = World()
        self.events: list[RecordedEvent] = []
        self._ids: Iterator[int] = count(1)

    def add(self, *events: NewEvent) -> None:
        for event in events:
            position = len(self.events) + 1
            version = sum(each.stream == event.stream for each in self.events) + 1
            row = RecordedEvent(
                position=position, occurred_at_ms=AT_MS + position, previous_hash=None, event_hash="h",
                **{**event._asdict(), "stream_version": version},
            )  # fmt: skip
            self.events.append(row)
            fold(self.world, row)

    def command(
        self, tool: str, about: str, /, *after: Event, pinned: tuple[ObjectState, ...] = (), **arguments: Any
    ) -> str:
        """A command with its outcome; return its id."""
        context = CommandContext(
            command_id=self._id(), principal="agent", role="admin", tool=tool, object=about, purpose=None,
            correlation_id="talk",
        )  # fmt: skip
        stream = CommandStream(context, self._id)
        before = (
            CommandReceived(summary=f"{tool} {about}", arguments=arguments, transport="t", executor="e"),
            CommandAuthorized(rule="role-admin", policy_digest="d"),
            ExecutionStarted(executor="e", pinned=pinned, not_after_ms=1, settle_s=1),
        )
        self.add(*(stream.add(event) for event in (*before, *after)))
        return context.command_id

    def engine(self, action: str, at_s: float = 9, object_id: str = WEB, kind: str = "container", **more: Any) -> None:
        given = {"engine": "e", "engine_time": "0.0", "external": True, "name": "web", **more}
        event = EngineObserved(
            kind=kind, action=action, object_id=object_id, occurred_at_ms=AT_MS + int(at_s * 1000), **given
        )
        self.add(event_of(SYSTEM, event, "engine/e", self._id()))

    def told(self, name: str = "web") -> str:
        return self.one(name).told()

    def one(self, name: str = "web") -> Known:
        return find(self.world, name)[0]

    def stream(self, stream: str) -> list[RecordedEvent]:
        return [event for event in self.events if event.stream == stream]

    def _id(self) -> str:
        return f"01970000-0000-7000-8000-{next(self._ids):012x}"


def container(status: str = "running", name: str = "web", **facts: Any) -> ObjectState:
    given = {"image": "nginx", "status": status, "exit_code": 0, "started_at": FIRST, "networks": [], **facts}
    return ObjectState(kind=Kind.CONTAINER, id=WEB, name=name, facts=given)


def succeeded(*after: ObjectState, **more: Any) -> CommandSucceeded:
    return CommandSucceeded(summary="s", state_after=after, **more)


def created(log: Log, **facts: Any) -> str:
    ref = ObjectRef(kind=Kind.CONTAINER, id=WEB, name="web")
    return log.command(
        "create-container", "container/web", succeeded(container(**facts), touched=(ref,)), image="nginx", name="web"
    )


def test_an_object_is_as_its_last_outcome_tells() -> None:
    log = Log()
    made = created(log, memory_bytes=1 << 20)
    assert log.told() == "running"
    stopped = log.command(
        "stop-container", "container/web", succeeded(container("exited", exit_code=143)), pinned=(container(),)
    )
    one = log.one()
    assert (one.told(), one.made_by, one.changed.command_id) == ("exited (143)", made, stopped)
    assert one.facts["memory_bytes"] == 1 << 20
    log.command("remove-container", "container/web", succeeded(), pinned=(container("exited"),))
    assert log.told() == "removed"
    assert not log.world.objects


def test_what_a_command_finds_otherwise_was_changed_outside() -> None:
    log = Log()
    created(log)
    log.command("inspect-container", "container/web", succeeded())
    failed = CommandFailed(summary="s", code="c", message="m", retryable=False, applied="none")
    log.command("start-container", "container/web", failed, pinned=(container("exited", exit_code=137),))
    changed = log.one().changed
    assert (log.told(), changed.by, changed.external) == ("exited (137)", "outside", True)


def timeline(log: Log) -> Timeline:
    told = Timeline(World(), Wanted())
    for event in log.events:
        told.add(event)
    return told


def test_what_a_command_finds_otherwise_is_not_told_as_its_doing() -> None:
    log = Log()
    created(log)
    found = log.command(
        "start-container",
        "container/web",
        succeeded(container(started_at=THIRD)),
        pinned=(container("exited", exit_code=137),),
    )
    told = timeline(log)
    rows = [entry_row(entry) for entry in told.entries()]
    assert [(row["principal"], row["what"], row.get("changes"), row.get("external")) for row in rows] == [
        ("agent", "create-container", ["container/web: running"], None),
        ("outside", "found so", ["container/web: running → exited (137)"], True),
        ("agent", "start-container", ["container/web: exited (137) → running"], None),
    ]
    assert found in rows[1]["reason"]
    chain = why(log.one(), told.world, told.entries(), log.stream)
    assert [(row.get("by"), row.get("external"), "cause" in row) for row in chain[1:]] == [
        ("agent", None, True),
        ("outside", True, False),
        ("agent", None, True),
    ]
    facts = facts_of(told, World(), Wanted(), {}, (), 1 << 14)
    assert [row["what"] for row in facts.external] == ["found so"]
    assert (facts.counts["external_changes"], facts.counts["engine_events"]) == (1, 0)


def test_what_a_command_sees_first_is_no_external_change() -> None:
    log = Log()
    later = container(started_at="2026-06-06T12:01:00Z")
    log.command("restart-container", "container/web", succeeded(later), pinned=(container(),))
    rows = [entry_row(entry) for entry in timeline(log).entries()]
    assert [(row["principal"], row["changes"], row.get("external")) for row in rows] == [
        ("outside", ["container/web: running"], None),
        ("agent", ["container/web: running, started anew"], None),
    ]


def test_a_stretch_that_nobody_watched_is_told_with_its_times() -> None:
    log = Log()
    gap = EngineGap(engine="e", since_ms=AT_MS, until_ms=AT_MS + 60_000, engine_time="0.0")
    log.add(event_of(SYSTEM, gap, "engine/e", "01970000-0000-7000-8000-0000000000ff"))
    [row] = [entry_row(entry) for entry in timeline(log).entries()]
    assert row["reason"] == "since 2026-06-06T12:00:00.000Z, until 2026-06-06T12:01:00.000Z"
    assert row["summary"] == f"engine.gap: {row['reason']}"


def test_a_change_that_leaves_the_state_is_told_by_what_it_is() -> None:
    log = Log()
    created(log)
    log.engine("create", object_id=NET, kind="network", name="front")
    log.engine("connect", object_id=NET, kind="network", name="front", container=WEB)
    log.engine("rename", name="web2", old_name="web")
    told = [change for entry in timeline(log).entries() for change in changes_told(entry)]
    assert told[-2:] == ["container/web: running, other networks", "container/web2: running, was named web"]


def test_what_nobody_can_tell_is_unknown_until_it_is_seen() -> None:
    log = Log()
    created(log)
    unknown = CommandUnknown(summary="s", code="engine_interrupted", message="no answer")
    log.command("stop-container", "container/web", unknown, pinned=(container(),))
    assert log.told() == "unknown"
    assert len(log.world.begun) == 1
    log.engine("die", exit_code=0)
    assert log.told() == "exited (0)"


def test_a_container_that_may_have_been_made_is_told_as_such() -> None:
    log = Log()
    unknown = CommandUnknown(summary="s", code="engine_interrupted", message="no answer")
    settled = succeeded(container(), touched=(ObjectRef(kind=Kind.CONTAINER, id=WEB, name="web"),), reconciled=True)
    log.command("create-container", "container/web", unknown, image="nginx", name="web")
    assert log.told() == "unknown"
    log = Log()
    log.command("create-container", "container/web", unknown, settled, image="nginx", name="web")
    assert [known.key for known in log.world.objects.values()] == [("container", WEB)]
    log = Log()
    no = CommandFailed(summary="s", code="c", message="m", retryable=True, applied="none", reconciled=True)
    log.command("create-container", "container/web", unknown, no, image="nginx", name="web")
    assert not log.world.objects


def test_a_part_of_an_effect_without_a_look_leaves_the_object_unknown() -> None:
    log = Log()
    created(log)
    partly = CommandFailed(summary="s", code="c", message="m", retryable=True, applied="partial")
    log.command("restart-container", "container/web", partly, pinned=(container(),))
    assert log.told() == "unknown"


def test_events_that_an_outcome_has_told_already_change_nothing() -> None:
    log = Log()
    created(log)
    log.command(
        "restart-container", "container/web", succeeded(container(started_at=THIRD, finished_at=SECOND)),
        pinned=(container(),),
    )  # fmt: skip
    for action, at_s in (("die", 1.6), ("stop", 1.7), ("start", 2.6), ("restart", 2.7)):
        log.engine(action, at_s, external=False)
        assert log.told() == "running"
    log.engine("die", 3, exit_code=1)
    assert log.told() == "exited (1)"


def test_the_engine_tells_of_health_memory_names_and_pauses() -> None:
    log = Log()
    log.engine("create", image="nginx", stack="shop")
    assert (log.told(), log.one().facts) == ("created", {"image": "nginx", "stack": "shop"})
    log.engine("start")
    log.engine("health_status", health="unhealthy")
    assert log.told() == "running (unhealthy)"
    log.engine("pause")
    assert log.told() == "paused"
    log.engine("unpause")
    log.engine("rename", name="web2", old_name="web")
    log.engine("oom", name="web2")
    log.engine("die", name="web2", exit_code=137)
    assert log.told("web2") == "exited (137, out of memory)"
    log.engine("start", name="web2")
    assert log.told("web2") == "running (starting)"
    log.engine("destroy", name="web2")
    log.engine("die", name="web2", exit_code=1)
    assert log.told("web2") == "removed", "ids are never used again"


def test_networks_are_joined_and_left() -> None:
    log = Log()
    created(log)
    log.engine("create", object_id=NET, kind="network", name="front")
    log.engine("connect", object_id=NET, kind="network", name="front", container=WEB)
    assert log.one().facts["networks"] == [["front", NET]]
    log.engine("disconnect", object_id=NET, kind="network", name="front", container=WEB)
    assert log.one().facts["networks"] == []
    log.engine("destroy", object_id=NET, kind="network", name="front")
    assert log.told("front") == "removed"


def test_a_container_that_ends_is_still_in_its_networks() -> None:
    log = Log()
    created(log, networks=[["front", NET, "e"]])
    log.engine("die", 9, exit_code=0)
    log.engine("disconnect", 9.1, object_id=NET, kind="network", name="front", container=WEB)
    assert log.one().facts["networks"] == [["front", NET]]
    log.engine("disconnect", 9.3, object_id=NET, kind="network", name="front", container=WEB)
    assert log.one().facts["networks"] == [], "somebody has taken it out"


def test_an_event_that_tells_more_of_the_same_state_is_no_change() -> None:
    log = Log()
    made = created(log, started_at="2026-06-06T12:00:09.000Z")
    log.engine("start", 9.1)
    log.engine("oom", 9.2)
    assert log.one().changed.command_id == made


def member(number: int, **changes: Any) -> Member:
    given = {
        "id": f"{number}" * 64, "name": f"shop-web-{number}", "service": "web", "status": "running", "health": None,
        "exit_code": 0, "started_at": FIRST, "finished_at": None, "config": "c", "image": "nginx",
    }  # fmt: skip
    return Member(**{**given, **changes})


def test_a_stack_takes_its_parts_along() -> None:
    log = Log()
    both = stack_state("shop", [member(1), member(2)], [(NET, "shop_default")], ["shop_data"])
    deployed = log.command("deploy-compose", "stack/shop", succeeded(both))
    assert {known.told() for known in log.world.members("shop")} == {"running", "present"}
    assert log.one("stack/shop").made_by == deployed
    one = stack_state("shop", [member(2, status="exited", exit_code=1)], [(NET, "shop_default")], ["shop_data"])
    broken = CommandFailed(summary="s", code="c", message="m", retryable=True, applied="partial", state_after=(one,))
    log.command("deploy-compose", "stack/shop", broken, pinned=(both,))
    assert (log.told("shop-web-1"), log.told("shop-web-2")) == ("removed", "exited (1)")
    log.command("compose-down", "stack/shop", succeeded(), pinned=(one,))
    assert not log.world.objects
    log.command("deploy-compose", "stack/shop", succeeded(stack_state("shop", [member(3)], [], [])))
    assert log.told("stack/shop") == "present", "the name of a stack can come back"


def test_the_plan_makes_it_again_with_secrets_sealed() -> None:
    log = Log()
    sealed = {"$sealed": {"v": "x", "f": "y"}}
    ref = ObjectRef(kind=Kind.CONTAINER, id=WEB, name="web")
    made = log.command(
        "create-container", "container/web",
        succeeded(container("exited", networks=[["bridge", NET, "e"], ["back", NET, "e"]]), touched=(ref,)),
        image="nginx", name="web", start=True, environment=[["TOKEN", sealed]], labels=[["team", "blue"]],
    )  # fmt: skip
    log.engine("create", object_id="x" * 64, name="byhand", image="redis")
    calls = list(rebuilding(log.world, log.stream))
    assert calls[0] == {
        "object": "container/byhand",
        "note": "no recorded command made it from redis; make it by hand (created)",
    }
    assert calls[1] == {
        "object": "container/web",
        "tool": "create-container",
        "arguments": {
            "image": "nginx",
            "name": "web",
            "environment": {"TOKEN": "«sealed»"},
            "labels": {"team": "blue"},
        },
        "made_by": made,
        "fill_in": ["/environment/TOKEN"],
    }
    assert [(call["tool"], call["arguments"]) for call in calls[2:]] == [
        ("network-connect", {"network": "back", "container": "web"}),
        ("stop-container", {"container_name": "web"}),
    ]


def test_why_begins_with_the_last_known_change_if_the_stretch_has_none() -> None:
    log = Log()
    made = created(log)
    rows = why(log.one(), log.world, [], log.stream)
    assert [row["step"] for row in rows] == ["state", "change"]
    assert rows[1]["cause"]["command_id"] == made


def test_a_world_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world_module, "MOST_OBJECTS", 3)
    monkeypatch.setattr(world_module, "MOST_GONE", 2)
    log = Log()
    for number in range(5):
        log.engine("create", object_id=f"{number}" * 64, name=f"c{number}")
    assert [known.name for known in log.world.objects.values()] == ["c2", "c3", "c4"]
    assert log.world.dropped == 2
    for number in range(2, 5):
        log.engine("destroy", object_id=f"{number}" * 64, name=f"c{number}")
    assert [known.name for known in log.world.gone.values()] == ["c3", "c4"]


@pytest.mark.promise("P8")
@given(events=legal_logs(), cut=st.integers(0, 40))
def test_a_fold_that_goes_on_from_a_snapshot_is_the_fold_of_all(events: list[NewEvent], cut: int) -> None:
    whole, parts = World(), World()
    for number, event in enumerate(recorded(events)):
        fold(whole, event)
        if number == cut:
            parts = restored_world(parts.snapshot())
        fold(parts, event)
    assert parts.snapshot() == whole.snapshot()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"position":1}'])
def test_what_is_no_snapshot_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="snapshot"):
        restored_world(text)
