"""What a server leaves open when it dies keeps its objects until recovery has judged it: nobody muddles the traces."""

import asyncio
from collections.abc import Callable

import docker
import pytest

from adapters.store.location import Location
from tests.conftest import Serve, caller
from tests.engine_proxy import EngineProxy, Fault
from tests.server.quick import dying_server, settled_down
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.engine, pytest.mark.promise("P5")]

SETTLE_S = 3


async def test_the_next_command_on_an_object_waits_for_what_a_dead_server_left_open(
    serve: Serve, location: Location, proxy: EngineProxy, container: str
) -> None:
    stop = {"container_name": container, "timeout": 0}
    auth = {"MCP_AUTH_SECRET": "0" * 32}
    async with dying_server(location, proxy, "stop-container", stop, Fault.HANG, "POST .*/stop", SETTLE_S) as process:
        process.kill()
    async with serve(location, **auth) as application:
        following = await application.dispatcher.dispatch("restart-container", stop, caller(application))
        await settled_down(application)
        events = application.store.read()
    assert following.error is None
    ends = {e.stream: e.position for e in events if e.type in ("command.succeeded", "command.failed")}
    begins = {e.stream: e.position for e in events if e.type == "execution.started"}
    [dead] = begins.keys() - {following.command_id}
    assert ends[dead] < begins[following.command_id]
    assert next(e for e in events if e.position == ends[dead]).payload()["applied"] == "none"


async def test_who_waits_too_long_for_what_a_dead_server_left_open_is_told_so(
    serve: Serve, sqlite_location: Location, proxy: EngineProxy, container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.object_locks.ObjectLocks.__init__.__defaults__", (0.5,))
    stop = {"container_name": container, "timeout": 0}
    told: list[str] = []
    async with dying_server(sqlite_location, proxy, "stop-container", stop, Fault.HANG, "POST .*/stop", 60) as process:
        process.kill()
    async with serve() as application:
        who = caller(application, progress=lambda _done, _total, message: told.append(message))
        waits = await application.dispatcher.dispatch("restart-container", stop, who)
        events = application.store.read_stream(waits.command_id)
    assert waits.error is not None
    assert waits.error.code == "object_busy"
    assert events[-1].type == "command.cancelled"
    assert told == ["waits for another command on the same object"]


async def test_reads_and_other_objects_do_not_wait_for_it(
    serve: Serve,
    sqlite_location: Location,
    proxy: EngineProxy,
    container: str,
    engine: docker.APIClient,
    image: str,
    name: Callable[[str], str],
) -> None:
    other = engine.create_container(image, ["sleep", "600"], name=name("other"))["Id"]
    remove = {"container_name": container, "force": True}
    async with dying_server(sqlite_location, proxy, "remove-container", remove, Fault.HANG, "DELETE", 60) as process:
        process.kill()
    async with serve() as application, asyncio.timeout(30):
        for tool, arguments in (
            ("inspect-container", {"container_name": container}),
            ("start-container", {"container_name": other}),
        ):
            answer = await application.dispatcher.dispatch(tool, arguments, caller(application))
            assert answer.error is None
        assert len(application.store.running()) == 1


async def test_what_a_dead_server_was_making_is_not_removed_before_it_is_recognised(
    serve: Serve, sqlite_location: Location, proxy: EngineProxy, engine: docker.APIClient, name: Callable[[str], str]
) -> None:
    network = {"name": name("net")}
    async with dying_server(
        sqlite_location, proxy, "network-create", network, Fault.MUTE, "POST .*/networks/create", SETTLE_S
    ) as process:
        await until(lambda: engine.networks(names=[name("net")]))
        process.kill()
    async with serve() as application:
        removal = await application.dispatcher.dispatch("network-remove", network, caller(application))
        ends = [event for event in application.store.read() if event.status == "success"]
    assert removal.error is None
    assert [event.tool for event in ends] == ["network-create", "network-remove"]
