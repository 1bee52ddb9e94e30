"""The rules judge rightly by what a real engine says of its objects."""

import contextlib
import os
import time
from collections.abc import Callable

import docker
import pytest

from adapters.compose.observe import observe_stack
from adapters.docker.engine import Engine, EngineObserver
from domain.catalogue import recognise
from domain.catalogue.recognise import Evidence, Recogniser
from domain.errors import NotFoundError
from domain.events import ExecutionStarted, decode
from domain.objects import Kind, ObjectState

pytestmark = [pytest.mark.engine, pytest.mark.promise("P5")]

Name = Callable[..., str]


def _no_command(command_id: str) -> ObjectState:
    raise NotFoundError(command_id)


@pytest.fixture(scope="module")
def observer() -> EngineObserver:
    return EngineObserver(Engine(os.environ, 60, 2), observe_stack, _no_command)


class Watch:
    """Looks at objects before and after something happens to them."""

    def __init__(self, observer: EngineObserver, *objects: tuple[Kind, str]) -> None:
        self._observer = observer
        pinned = tuple(observer.pin(kind, name) for kind, name in objects)
        started = ExecutionStarted(executor="e", pinned=pinned, not_after_ms=0, settle_s=0)
        recorded = decode(started.type, started.encode())
        assert isinstance(recorded, ExecutionStarted)
        self._before = recorded.pinned

    def verdict(self, rule: Recogniser) -> str:
        now: tuple[ObjectState | None, ...] = tuple(self._observer.observe(state.ref) for state in self._before)
        return rule(Evidence(arguments={}, before=self._before, now=now)).applied


@pytest.fixture
def web(engine: docker.APIClient, image: str, name: Name) -> str:
    """A container that was never started and ends at once when told to."""
    engine.create_container(image, ["sh", "-c", "trap 'exit 0' TERM; sleep 600 & wait"], name=name("web"))
    return name("web")


@pytest.mark.parametrize("condition", ["created", "running", "exited"])
def test_links_are_recognised_whether_or_not_the_container_runs(
    engine: docker.APIClient, observer: EngineObserver, web: str, name: Name, condition: str
) -> None:
    front = name("front")
    engine.create_network(front)
    if condition != "created":
        engine.start(web)
    if condition == "exited":
        engine.stop(web, timeout=5)
    assert engine.inspect_container(web)["State"]["Status"] == condition

    apart = Watch(observer, (Kind.NETWORK, front), (Kind.CONTAINER, web))
    assert apart.verdict(recognise.connected) == "no"
    engine.connect_container_to_network(web, front)
    assert apart.verdict(recognise.connected) == "yes"

    linked = Watch(observer, (Kind.NETWORK, front), (Kind.CONTAINER, web))
    assert linked.verdict(recognise.connected) == "no"
    assert linked.verdict(recognise.disconnected) == "no"
    engine.disconnect_container_from_network(web, front)
    assert linked.verdict(recognise.disconnected) == "yes"


def test_a_link_is_still_recognised_after_the_container_was_started(
    engine: docker.APIClient, observer: EngineObserver, web: str, name: Name
) -> None:
    front = name("front")
    engine.create_network(front)
    engine.connect_container_to_network(web, front)
    linked = Watch(observer, (Kind.NETWORK, front), (Kind.CONTAINER, web))

    engine.start(web)

    assert linked.verdict(recognise.connected) == "no"
    assert linked.verdict(recognise.disconnected) == "no"


def test_a_link_to_a_network_that_was_removed_is_unknown(
    engine: docker.APIClient, observer: EngineObserver, web: str, name: Name
) -> None:
    engine.create_network(name("front"))
    watch = Watch(observer, (Kind.NETWORK, name("front")), (Kind.CONTAINER, web))

    engine.remove_network(name("front"))

    assert watch.verdict(recognise.connected) == "unknown"


def test_a_life_of_a_container_is_recognised(engine: docker.APIClient, observer: EngineObserver, web: str) -> None:
    created = Watch(observer, (Kind.CONTAINER, web))
    assert created.verdict(recognise.started) == "no"
    engine.start(web)
    assert created.verdict(recognise.started) == "yes"

    running = Watch(observer, (Kind.CONTAINER, web))
    assert running.verdict(recognise.stopped) == "no"
    assert running.verdict(recognise.restarted) == "no"
    engine.restart(web, timeout=5)
    assert running.verdict(recognise.restarted) == "yes"

    again = Watch(observer, (Kind.CONTAINER, web))
    engine.stop(web, timeout=5)
    assert again.verdict(recognise.stopped) == "yes"
    assert again.verdict(recognise.restarted) == "unknown"
    assert again.verdict(recognise.removed) == "no"
    engine.remove_container(web)
    assert again.verdict(recognise.removed) == "yes"


def test_what_a_restart_policy_did_is_not_taken_for_the_command(
    engine: docker.APIClient, observer: EngineObserver, image: str, name: Name
) -> None:
    dies_once = "while [ ! -e /go ]; do sleep 0.05; done; [ -e /again ] && sleep 600; : > /again; exit 1"
    policy = engine.create_host_config(restart_policy={"Name": "always"})
    engine.create_container(image, ["sh", "-c", dies_once], name=name("web"), host_config=policy)
    engine.start(name("web"))
    watch = Watch(observer, (Kind.CONTAINER, name("web")))

    starts = {"container": name("web"), "event": "start"}
    events = engine.events(filters=starts, until=int(time.time()) + 30, decode=True)
    engine.exec_start(engine.exec_create(name("web"), ["sh", "-c", ": > /go"])["Id"])
    with contextlib.closing(events):
        assert any(engine.inspect_container(name("web"))["RestartCount"] == 1 for _ in events)

    assert watch.verdict(recognise.restarted) == "unknown"
    assert watch.verdict(recognise.stopped) == "unknown"
