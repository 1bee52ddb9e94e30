"""A server dies in the middle of a command; the next one finds out what became of it and does nothing twice."""

import asyncio
import contextlib
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import docker
import pytest

from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from domain.ports import OpenCommand
from tests.conftest import Serve
from tests.engine_proxy import EngineProxy, Fault
from tests.server.quick import dying_server, settled, settled_down, settling_in
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.engine, pytest.mark.promise("P5")]

AT_ONCE = settling_in(0)


class Scene:
    """Objects for a command to work on: a running and a stopped container, a network with one of them in it."""

    def __init__(self, engine: docker.APIClient, image: str, name: Callable[[str], str]) -> None:
        self.engine = engine
        self.image = image
        self.running, self.stopped, self.joined, self.empty = map(name, ("up", "down", "joined", "empty"))
        self.new, self.new_network = name("new"), name("newnet")
        self.joined_id = engine.create_network(self.joined)["Id"]
        engine.create_network(self.empty)
        for container in (self.running, self.stopped):
            engine.create_container(image, ["sleep", "600"], name=container)
        engine.start(self.running)
        engine.connect_container_to_network(self.running, self.joined)

    def exists(self, container: str) -> bool:
        return bool(self.engine.containers(all=True, filters={"name": f"^/{container}$"}))

    def state(self, container: str) -> dict[str, Any]:
        state: dict[str, Any] = self.engine.inspect_container(container)["State"]
        return state


@pytest.fixture
def scene(engine: docker.APIClient, image: str, name: Callable[[str], str]) -> Scene:
    return Scene(engine, image, name)


class Case(NamedTuple):
    tool: str
    arguments: Callable[[Scene], dict[str, Any]]
    request: str
    happened: Callable[[Scene], bool]


CASES = [
    Case(
        "create-container",
        lambda scene: {"image": scene.image, "name": scene.new, "command": "sleep 600", "start": False},
        "POST .*/containers/create",
        lambda scene: scene.exists(scene.new),
    ),
    Case(
        "start-container",
        lambda scene: {"container_name": scene.stopped},
        "POST .*/start",
        lambda scene: bool(scene.state(scene.stopped)["Running"]),
    ),
    Case(
        "stop-container",
        lambda scene: {"container_name": scene.running, "timeout": 0},
        "POST .*/stop",
        lambda scene: not scene.state(scene.running)["Running"],
    ),
    Case(
        "restart-container",
        lambda scene: {"container_name": scene.running, "timeout": 0},
        "POST .*/restart",
        lambda scene: not scene.state(scene.running)["FinishedAt"].startswith("0001"),
    ),
    Case(
        "remove-container",
        lambda scene: {"container_name": scene.running, "force": True},
        "DELETE .*/containers/",
        lambda scene: not scene.exists(scene.running),
    ),
    Case(
        "network-create",
        lambda scene: {"name": scene.new_network},
        "POST .*/networks/create",
        lambda scene: bool(scene.engine.networks(names=[scene.new_network])),
    ),
    Case(
        "network-remove",
        lambda scene: {"name": scene.empty},
        "DELETE .*/networks/",
        lambda scene: not scene.engine.networks(names=[scene.empty]),
    ),
    Case(
        "network-connect",
        lambda scene: {"network": scene.empty, "container": scene.running},
        "POST .*/connect",
        lambda scene: scene.empty in _networks(scene),
    ),
    Case(
        "network-disconnect",
        lambda scene: {"network": scene.joined, "container": scene.running},
        "POST .*/disconnect",
        lambda scene: scene.joined not in _networks(scene),
    ),
]


def _networks(scene: Scene) -> set[str]:
    return set(scene.engine.inspect_container(scene.running)["NetworkSettings"]["Networks"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.tool)
@pytest.mark.parametrize(("fault", "status"), [(Fault.MUTE, "success"), (Fault.HANG, "failed")], ids=str)
async def test_an_interrupted_change_is_settled_by_what_is_seen(
    serve: Serve, sqlite_location: Location, proxy: EngineProxy, scene: Scene, case: Case, fault: Fault, status: str
) -> None:
    async with dying_server(sqlite_location, proxy, case.tool, case.arguments(scene), fault, case.request) as process:
        if fault == Fault.MUTE:
            await until(lambda: case.happened(scene))
        process.kill()
    asked = len(proxy.changes())
    async with serve(catalogue=AT_ONCE, DOCKER_HOST=proxy.url) as application:
        events = await settled(application)
        assert application.store.open_commands() == []
    assert [event.status for event in events] == [None, None, "running", status]
    assert events[-1].payload()["reconciled"] is True
    assert case.happened(scene) is (status == "success")
    assert len(proxy.changes()) == asked, "recovery looks, it does not act"


@pytest.mark.postgres
@pytest.mark.parametrize("case", [CASES[0], CASES[4]], ids=lambda case: case.tool)
async def test_the_same_holds_on_postgres(
    serve: Serve, postgres_location: Location, proxy: EngineProxy, scene: Scene, case: Case
) -> None:
    arguments = case.arguments(scene)
    async with dying_server(postgres_location, proxy, case.tool, arguments, Fault.MUTE, case.request) as process:
        await until(lambda: case.happened(scene))
        process.kill()
    async with serve(postgres_location, catalogue=AT_ONCE) as application:
        assert (await settled(application))[-1].status == "success"


async def test_a_container_that_was_created_but_not_started_is_a_part_of_the_effect(
    serve: Serve, sqlite_location: Location, proxy: EngineProxy, scene: Scene
) -> None:
    arguments = {"image": scene.image, "name": scene.new, "command": "sleep 600"}
    async with dying_server(
        sqlite_location, proxy, "create-container", arguments, Fault.HANG, "POST .*/start"
    ) as process:
        process.kill()
    async with serve(catalogue=AT_ONCE) as application:
        ending = (await settled(application))[-1]
    assert (ending.status, ending.payload()["applied"]) == ("failed", "partial")
    assert [ref["name"] for ref in ending.payload()["touched"]] == [scene.new]


async def test_an_interrupted_read_has_failed_and_may_be_repeated(
    serve: Serve, sqlite_location: Location, proxy: EngineProxy
) -> None:
    async with dying_server(
        sqlite_location, proxy, "list-containers", {}, Fault.HANG, "GET .*/containers/json"
    ) as process:
        process.kill()
    async with serve(catalogue=AT_ONCE) as application:
        ending = (await settled(application))[-1]
    assert (ending.status, ending.payload()["code"], ending.payload()["retryable"]) == ("failed", "interrupted", True)


async def test_a_command_that_never_started_is_cancelled(
    serve: Serve, sqlite_location: Location, proxy: EngineProxy, scene: Scene
) -> None:
    arguments = {"container_name": scene.running}
    async with dying_server(
        sqlite_location, proxy, "stop-container", arguments, Fault.HANG, f"GET .*/containers/{scene.running}/json"
    ) as process:
        process.kill()
    async with serve(catalogue=AT_ONCE) as application:
        events = await settled(application)
    assert [event.type for event in events] == ["command.received", "command.authorized", "command.cancelled"]
    assert scene.state(scene.running)["Running"]


async def test_what_cannot_be_told_is_held_as_unknown_with_what_was_seen(
    serve: Serve, sqlite_location: Location, proxy: EngineProxy, scene: Scene
) -> None:
    arguments = {"container_name": scene.running, "timeout": 0}
    async with dying_server(
        sqlite_location, proxy, "restart-container", arguments, Fault.HANG, "POST .*/restart"
    ) as server:
        server.kill()
    scene.engine.stop(scene.running, timeout=0)  # by somebody else, in the meantime
    async with serve(catalogue=AT_ONCE, DOCKER_HOST=proxy.url) as application:
        ending = (await settled(application))[-1]
        (held,) = application.store.open_commands()
        looked = [request for request in proxy.requests if "/containers/" in request]
        await asyncio.sleep(2.2)  # two more rounds of recovery
        assert [request for request in proxy.requests if "/containers/" in request] == looked
    assert (ending.status, held.status) == ("unknown", "unknown")
    assert ending.payload()["observed"][0]["facts"]["running"] is False


async def test_a_look_that_goes_wrong_does_not_end_recovery(
    serve: Serve, sqlite_location: Location, proxy: EngineProxy, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {"container_name": scene.running, "force": True}
    async with dying_server(sqlite_location, proxy, "remove-container", arguments, Fault.MUTE, "DELETE") as process:
        await until(lambda: not scene.exists(scene.running))
        process.kill()
    real, broken = SqlEventStore.open_commands, iter([RuntimeError("a mistake of ours")])

    def breaks_once(store: SqlEventStore) -> list[OpenCommand]:
        for mistake in broken:
            raise mistake
        return real(store)

    monkeypatch.setattr(SqlEventStore, "open_commands", breaks_once)
    async with serve(catalogue=AT_ONCE) as application:
        await until(lambda: not real(application.store))
        assert (await settled(application))[-1].status == "success"


@pytest.mark.parametrize("state", ["running", "paused"])
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def test_the_commands_of_a_living_process_are_left_alone(
    serve: Serve, request: pytest.FixtureRequest, proxy: EngineProxy, scene: Scene, kind: str, state: str
) -> None:
    location: Location = request.getfixturevalue(f"{kind}_location")
    arguments = {"container_name": scene.running, "force": True}
    async with dying_server(location, proxy, "remove-container", arguments, Fault.MUTE, "DELETE") as process:
        await until(lambda: not scene.exists(scene.running))
        if state == "paused":
            process.send_signal(signal.SIGSTOP)
        async with serve(location, catalogue=AT_ONCE) as application:
            await settled_down(application)
            (open_command,) = application.store.open_commands()
            assert open_command.status == "running"


async def test_two_servers_that_start_together_settle_a_command_once(
    serve: Serve, sqlite_location: Location, proxy: EngineProxy, scene: Scene
) -> None:
    arguments = {"container_name": scene.running, "force": True}
    async with dying_server(sqlite_location, proxy, "remove-container", arguments, Fault.MUTE, "DELETE") as process:
        await until(lambda: not scene.exists(scene.running))
        process.kill()
    async with serve(catalogue=AT_ONCE) as first, serve(catalogue=AT_ONCE) as second:
        await asyncio.gather(settled(first), settled(second))
        finals = [event.status for event in first.store.read() if event.status in ("success", "failed")]
    assert finals == ["success"]


async def test_recovery_waits_for_an_engine_that_is_not_there_yet(
    serve: Serve, sqlite_location: Location, proxy: EngineProxy, scene: Scene, tmp_path: Path
) -> None:
    arguments = {"container_name": scene.running, "force": True}
    async with dying_server(sqlite_location, proxy, "remove-container", arguments, Fault.MUTE, "DELETE") as process:
        await until(lambda: not scene.exists(scene.running))
        process.kill()
    late = tmp_path / "late"
    late.mkdir()
    async with serve(catalogue=AT_ONCE, DOCKER_HOST=f"unix://{late}/engine.sock") as application:
        await asyncio.sleep(0.3)
        assert len(application.store.open_commands()) == 1
        with contextlib.closing(EngineProxy(late / "engine.sock")):
            assert (await settled(application))[-1].status == "success"


async def test_an_effect_that_the_engine_finishes_after_the_death_is_not_called_failed(
    serve: Serve, sqlite_location: Location, proxy: EngineProxy, scene: Scene
) -> None:
    stubborn = {"container_name": scene.running, "timeout": 2}  # sleep is process 1 and ignores SIGTERM
    async with dying_server(
        sqlite_location, proxy, "stop-container", stubborn, Fault.MUTE, "POST .*/stop", 4
    ) as process:
        process.kill()
    assert scene.state(scene.running)["Running"]
    async with serve(catalogue=settling_in(4)) as application:
        assert (await settled(application))[-1].status == "success"
    assert not scene.state(scene.running)["Running"]
