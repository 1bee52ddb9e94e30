"""The comparison finds what does not fit: a torture without violations says something only if it would."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.store.event_store import SqlEventStore
from domain.catalogue.fields import COMMAND_LABEL
from domain.command_stream import CommandContext, CommandStream
from domain.events import CommandAuthorized, CommandFailed, CommandReceived, CommandSucceeded, Event, ExecutionStarted
from domain.objects import Kind, ObjectRef, ObjectState
from server.bootstrap import new_id
from tests.torture.check import violations
from tests.torture.clients import Call

WEB = "c" * 64
AUTHORIZED = CommandAuthorized(rule="role-admin", policy_digest="0123456789abcdef")
RESTART = {"container_name": "web"}


class Scene:
    """A log, an engine that told what it is made to tell, and one client's record."""

    def __init__(self, store: SqlEventStore) -> None:
        self.store = store
        self.events: list[dict[str, Any]] = []
        self.outages: list[tuple[float, float]] = []
        self.calls: list[Call] = []
        self.standing: list[dict[str, Any]] = []
        self._open: dict[str, CommandStream] = {}

    def client(self) -> Any:
        return self

    def containers(self, **_options: Any) -> list[dict[str, Any]]:
        return self.standing

    def networks(self) -> list[dict[str, Any]]:
        return []

    def close(self) -> None: ...

    def begin(self, tool: str, pinned: tuple[ObjectState, ...] = (), **arguments: Any) -> str:
        """Record that a command has started; return its id."""
        purpose = f"torture-{len(self.calls)}"
        context = CommandContext(
            command_id=new_id(),
            principal="worker",
            role="admin",
            tool=tool,
            object="container/web",
            purpose=purpose,
            correlation_id=None,
        )
        self._open[context.command_id] = stream = CommandStream(context, new_id)
        received = CommandReceived(summary=tool, arguments=arguments, transport="test", executor="someone")
        started = ExecutionStarted(executor="someone", pinned=pinned, not_after_ms=1, settle_s=1)
        self.store.append([stream.add(event) for event in (received, AUTHORIZED, started)]).result()
        self.calls.append(Call(purpose, "worker", tool, arguments, None, command_id=context.command_id))
        return context.command_id

    def end(self, command_id: str, ending: Event) -> None:
        self.store.append([self._open[command_id].add(ending)]).result()

    def tell(self, action: str, container: str = WEB, **labels: str) -> None:
        actor = {"ID": container, "Attributes": labels}
        self.events.append({"Type": "container", "Action": action, "Actor": actor})

    def restart(self, times: int) -> None:
        """A restart that succeeded, which the engine tells of so many times."""
        self.end(self.begin("restart-container", (state(running=True),), **RESTART), succeeded())
        for _ in range(times):
            self.tell("restart")
        self.standing = [{"Id": WEB, "State": "running"}]

    def create(self, ending: Callable[[], Event]) -> None:
        command_id = self.begin("create-container", name="web")
        self.tell("create", **{COMMAND_LABEL: command_id})
        self.tell("start", **{COMMAND_LABEL: command_id})
        self.standing = [{"Id": WEB, "State": "running", "Labels": {COMMAND_LABEL: command_id}}]
        self.end(command_id, ending())

    def found(self) -> list[str]:
        return [violation.partition(":")[0] for violation in violations(self.store, self, self.calls)]


def state(*, running: bool) -> ObjectState:
    return ObjectState(kind=Kind.CONTAINER, id=WEB, name="web", facts={"running": running})


def succeeded() -> Event:
    return CommandSucceeded(summary="s", touched=(ObjectRef(kind=Kind.CONTAINER, id=WEB, name="web"),))


def failed(*, reconciled: bool = False) -> Event:
    return CommandFailed(
        summary="s", code="interrupted", message="m", retryable=True, applied="none", reconciled=reconciled
    )


@pytest.fixture
def scene(sqlite_location: Any, tmp_path: Path) -> Any:
    store = SqlEventStore(sqlite_location, lambda: 1_700_000_000_000, new_id())
    store.check()
    yield Scene(store)
    store.close()


def test_nothing_is_found_where_all_fits(scene: Scene) -> None:
    scene.create(succeeded)
    scene.restart(times=1)
    scene.tell("start")
    assert scene.found() == []


def test_an_effect_that_happened_twice_is_found(scene: Scene) -> None:
    scene.restart(times=2)
    assert scene.found() == [f"container {WEB[:12]} had 2 times restart by 1 commands"]


def test_an_effect_of_a_command_that_is_reported_as_not_done_is_found(scene: Scene) -> None:
    scene.create(failed)
    scene.calls[0].error = "interrupted"
    assert "reported as not done, but there" in scene.found()


def test_an_effect_without_a_record_is_found(scene: Scene) -> None:
    scene.tell("create", **{COMMAND_LABEL: new_id()})
    assert scene.found() == ["made without a record"]


def test_commands_on_one_object_at_the_same_time_are_found(scene: Scene) -> None:
    one = scene.begin("restart-container", (state(running=True),), **RESTART)
    other = scene.begin("stop-container", (state(running=False),), **RESTART)
    scene.end(one, failed())
    scene.end(other, failed())
    for call in scene.calls:
        call.error = "interrupted"
    assert scene.found() == [f"overlap on container/{WEB}"]


def test_a_start_that_nothing_followed_overlaps_with_nothing(scene: Scene) -> None:
    one = scene.begin("restart-container", (state(running=True),), **RESTART)
    other = scene.begin("stop-container", (state(running=False),), **RESTART)
    scene.end(other, failed())
    scene.end(one, failed(reconciled=True))
    for call in scene.calls:
        call.error = "interrupted"
    assert scene.found() == []


def test_a_command_without_an_outcome_is_found(scene: Scene) -> None:
    scene.begin("restart-container", (state(running=True),), **RESTART)
    scene.calls[0].lost = True
    assert scene.found() == ["unfinished"]


def test_an_answer_that_the_log_denies_is_found(scene: Scene) -> None:
    scene.end(scene.begin("restart-container", (state(running=True),), **RESTART), failed())
    assert scene.found() == ["heard success"]


def test_an_acknowledged_call_that_is_not_in_the_log_is_found(scene: Scene) -> None:
    scene.calls.append(Call("torture-9", "worker", "list-containers", {}, None, error="not_found"))
    assert scene.found() == ["acknowledged, but not in the log"]


def test_an_object_in_another_state_than_the_log_says_is_found(scene: Scene) -> None:
    scene.restart(times=1)
    scene.standing = [{"Id": WEB, "State": "exited"}]
    assert scene.found() == [f"{WEB[:12]} is exited, not running"]
