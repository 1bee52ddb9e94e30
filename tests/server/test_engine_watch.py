"""The engine's own events in the log: what Docker did by itself, what others did, and that nothing goes missing."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import docker
import pytest

from adapters.store.engine_log import SqlEngineLog
from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.migrate import migrate
from domain.chain import verify
from domain.engine_cursor import STREAM_PREFIX, Cursor
from domain.engine_events import RECORDED, engine_event
from domain.engine_events import observed as observation
from domain.errors import ConcurrentAppendError, LogInDoubtError
from domain.events import EngineFollowed, EngineGap, EngineSuppressed, NewEvent, RecordedEvent, event_of
from domain.principal import SYSTEM
from server.bootstrap import Application, new_id
from server.engine_stream import EngineStream
from tests.conftest import PostgresServer, Serve, caller
from tests.engine_proxy import EngineProxy, Fault
from tests.protocol.servers import StdioServer, running
from tests.waiting import BUSY_S, until

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

Name = Callable[..., str]
ON: dict[str, Any] = {"DOCKER_MCP_ENGINE_EVENTS": True, "MCP_AUTH_SECRET": "0" * 32}


def records(application: Application) -> list[RecordedEvent]:
    """What the log holds of the engine, whoever's objects it is about."""
    return [event for event in application.store.read(limit=100_000) if event.stream.startswith(STREAM_PREFIX)]


def observed(application: Application, name: str) -> list[dict[str, Any]]:
    """What was observed of the objects whose name begins with ``name``."""
    found = [event.payload() for event in records(application) if event.type == "engine.observed"]
    return [each for each in found if any(str(each.get(key)).startswith(name) for key in ("name", "container_name"))]


def steps(application: Application, name: str, kind: str = "container") -> list[str]:
    return [each["action"] for each in observed(application, name) if each["kind"] == kind]


def only(application: Application, name: str, action: str) -> dict[str, Any]:
    """The one observation of an action."""
    [found] = [each for each in observed(application, name) if each["action"] == action]
    return found


async def seen(application: Application, name: str, action: str) -> dict[str, Any]:
    await until(lambda: action in [each["action"] for each in observed(application, name)], what=action)
    return only(application, name, action)


async def run(application: Application, tool: str, **arguments: Any) -> str:
    """Carry out a command; return its id."""
    answer = await application.dispatcher.dispatch(tool, arguments, caller(application))
    assert answer.error is None, answer.error.describe()
    return answer.command_id


def has_health(application: Application, name: str, health: str) -> bool:
    return health in [each.get("health") for each in observed(application, name)]


def start(engine: docker.APIClient, image: str, name: str, command: list[str] | None = None, **options: Any) -> str:
    """Make and start a container beside the server."""
    made: str = engine.create_container(image, command or ["sleep", "600"], name=name, **options)["Id"]
    engine.start(made)
    return made


def told(engine: Any, since_s: float) -> list[dict[str, Any]]:
    """What the engine remembers since then."""
    return list(engine.events(since=since_s, until=time.time(), decode=True))


async def test_a_container_that_its_memory_limit_kills(
    serve: Serve, engine: docker.APIClient, image: str, name: Name
) -> None:
    async with serve(**ON) as server:
        eats = ["sh", "-c", "x=a; while true; do x=$x$x; done"]
        limit = engine.create_host_config(mem_limit="6m", memswap_limit="6m")
        container_id = start(engine, image, name(), eats, host_config=limit)
        await seen(server, name(), "oom")  # the engine tells of it before or after the death
        died = await seen(server, name(), "die")
        assert sorted(steps(server, name())) == ["create", "die", "oom", "start"]
        assert (died["exit_code"], died["external"], died["object_id"]) == (137, True, container_id)
        assert only(server, name(), "oom")["external"]
        assert {event.object for event in records(server) if event.payload().get("object_id") == container_id} == {
            f"container/{name()}"
        }


async def test_commands_are_the_causes_of_what_they_did_and_of_nothing_else(
    serve: Serve, location: Location, engine: docker.APIClient, image: str, name: Name
) -> None:
    async with serve(location, **ON) as server:
        made = await run(server, "create-container", image=image, name=name(), command="sleep 600")
        network = await run(server, "network-create", name=name("net"))
        joined = await run(server, "network-connect", network=name("net"), container=name())
        engine.kill(name())
        await seen(server, name(), "die")
        started = await run(server, "start-container", container_name=name())
        stopped = await run(server, "stop-container", container_name=name(), timeout=0)
        removed = await run(server, "remove-container", container_name=name())
        await seen(server, name(), "destroy")

        causes = [
            (each["action"], each.get("command_id"), each.get("tied_by"))
            for each in observed(server, name())
            if each["kind"] == "container"
        ]
        assert list(dict.fromkeys(causes)) == [  # the engine kills by one signal, then by another
            ("create", made, "label"),
            ("start", made, "label"),
            ("kill", None, None),
            ("die", None, None),
            ("start", started, "object"),
            ("kill", stopped, "object"),
            ("die", stopped, "object"),
            ("stop", stopped, "object"),
            ("destroy", removed, "object"),
        ]
        assert all(each["external"] == (each.get("command_id") is None) for each in observed(server, name()))
        about = [each for each in observed(server, name("net")) if each["kind"] == "network"]
        assert [(each["action"], each["command_id"]) for each in about[:2]] == [
            ("create", network),
            ("connect", joined),
        ]
        assert about[1]["container_name"] == name()
        assert next(e for e in observed(server, name()) if e["action"] == "kill")["signal"] == "9"


async def test_health_and_a_connection_that_somebody_else_makes(
    serve: Serve, engine: docker.APIClient, image: str, name: Name
) -> None:
    check = {"test": 'read state < /state && [ "$state" = up ]', "interval": 200_000_000, "retries": 1}
    running = start(engine, image, name(), healthcheck=check)  # before anybody observes
    network = engine.create_network(name("net"))["Id"]
    async with serve(**ON) as server:
        for state, health in (("up", "healthy"), ("down", "unhealthy")):
            engine.exec_start(engine.exec_create(running, ["sh", "-c", f"echo {state} > /state"])["Id"])
            await until(partial(has_health, server, name(), health))
        engine.connect_container_to_network(running, network)
        connected = await seen(server, name(), "connect")
        assert (connected["object_id"], connected["name"]) == (network, name("net"))
        assert (connected["container"], connected["container_name"]) == (running, name())
        assert connected["external"]
        assert not [event for event in records(server) if "exec_" in event.data]


async def test_a_restart_in_between_leaves_no_gap_and_nothing_twice(
    serve: Serve, location: Location, engine: docker.APIClient, image: str, name: Name
) -> None:
    async with serve(location, **ON) as server:
        start(engine, image, name("before"))
        await seen(server, name("before"), "start")
    stopped_at_s = time.time()
    start(engine, image, name("between"))
    async with serve(location, **ON) as server:
        await seen(server, name("between"), "start")
        start(engine, image, name("after"))
        await seen(server, name("after"), "start")
        assert steps(server, name()[:-2]) == ["create", "start"] * 3
        all_of_them = records(server)
        check_once(all_of_them)
        check_gaps(all_of_them, engine, stopped_at_s)
        assert list(verify(server.store.read(limit=100_000))) == []


def check_gaps(events: list[RecordedEvent], engine: docker.APIClient, stopped_at_s: float) -> None:
    """Nothing is missing after the beginning, unless other tests made the engine forget what it told a moment ago."""
    gaps = [event for event in events if event.type == "engine.gap"]
    assert gaps[0] == events[0]
    assert "since_ms" not in gaps[0].payload()
    assert len(gaps) == 1 or told(engine, 1)[0]["time"] >= stopped_at_s


def check_once(events: list[RecordedEvent]) -> None:
    """No event of the engine is in the log twice, and their order is the engine's."""
    seen = [event.payload() for event in events if event.type == "engine.observed"]
    identities = [(each["engine_time"], each["kind"], each["action"], each["object_id"]) for each in seen]
    assert len(set(identities)) == len(identities)
    assert [event.stream_version for event in events] == list(range(1, len(events) + 1))


async def test_of_two_servers_one_observes_and_the_other_goes_on(
    serve: Serve, location: Location, engine: docker.APIClient, image: str, name: Name, proxy: EngineProxy
) -> None:
    async with AsyncExitStack() as first:
        observer = await first.enter_async_context(serve(location, **ON))
        start(engine, image, name("one"))
        await seen(observer, name("one"), "start")
        async with serve(location, **ON, DOCKER_HOST=proxy.url) as other:
            start(engine, image, name("both"))
            await seen(other, name("both"), "start")
            await asyncio.sleep(2)  # whoever else observes would have recorded it by now
            assert steps(other, name("both")) == ["create", "start"]
            assert not [request for request in proxy.requests if "/events" in request]
            assert len([request for request in proxy.requests if "/info" in request]) <= 2, "who stands by is quiet"
            await first.aclose()
            stopped_at_s = time.time()
            start(engine, image, name("alone"))
            await seen(other, name("alone"), "start")
            assert steps(other, name()[:-2]) == ["create", "start"] * 3
            check_once(records(other))
            check_gaps(records(other), engine, stopped_at_s)


async def test_a_storm_is_counted_and_nothing_is_lost_without_a_word(
    serve: Serve, engine: docker.APIClient, container: str
) -> None:
    limit = 1
    async with serve(**ON, DOCKER_MCP_ENGINE_EVENTS_PER_SECOND=limit) as server:
        since = time.time()
        container_id = engine.inspect_container(container)["Id"]
        for number in range(40):
            engine.rename(container_id, f"{container}-{number}")
        await until(lambda: sum(suppressed(server).values()), what="the count")
        everything = told(engine, since)
        of_note = [each for each in everything if each["Action"].partition(":")[0] in RECORDED.get(each["Type"], ())]
        await until(lambda: counted(server, since) >= len(of_note))
        stored = records(server)
    assert suppressed_in(stored)[("container", "rename")] >= 40 - 2 * 10 * limit
    assert counted_in(stored, since) >= len(of_note) >= 40
    observed_in_a_window = [event for event in stored if event.type == "engine.observed"]
    assert len(observed_in_a_window) <= 10 * limit * (2 + (time.time() - since) / 10)


def suppressed(application: Application) -> dict[tuple[str, str], int]:
    return suppressed_in(records(application))


def suppressed_in(events: list[RecordedEvent]) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for event in events:
        if event.type == EngineSuppressed.type:
            for kind, action, times in event.payload()["counts"]:
                counts[kind, action] = counts.get((kind, action), 0) + times
    return counts


def counted(application: Application, since_s: float) -> int:
    return counted_in(records(application), since_s)


def counted_in(events: list[RecordedEvent], since_s: float) -> int:
    """How many events of the engine since then are in the log, recorded or counted."""
    single = [
        event
        for event in events
        if event.type == "engine.observed" and event.payload()["occurred_at_ms"] >= since_s * 1000
    ]
    return len(single) + sum(suppressed_in(events).values())


async def test_what_the_engine_no_longer_tells_is_recorded_as_a_gap(
    serve: Serve, engine: docker.APIClient, container: str, sqlite_location: Location
) -> None:
    long_ago = told(engine, 1)[0]["timeNano"] // 10**9 - 60
    async with serve(sqlite_location) as server:
        engine_id = engine.info()["ID"]
        mark = EngineFollowed(engine=engine_id, engine_time=f"{long_ago}.000000000", newest="forgotten")
        await server.journal.append([event_of(SYSTEM, mark, f"{STREAM_PREFIX}{engine_id}", new_id())])
    async with serve(sqlite_location, **ON) as server:
        engine.pause(container)
        engine.unpause(container)
        await seen(server, container, "unpause")
        [gap] = [event.payload() for event in records(server) if event.type == "engine.gap"]
        assert gap["since_ms"] == (long_ago - 1) * 1000
        assert gap["since_ms"] < gap["until_ms"] <= time.time() * 1000
        check_once(records(server))


@pytest.mark.parametrize("recorded", [(1, 0), (1,)], ids=["both", "the later one"])
async def test_events_told_in_another_order_than_recorded_are_neither_doubled_nor_missed(
    serve: Serve, engine: docker.APIClient, container: str, location: Location, recorded: tuple[int, ...]
) -> None:
    container_id, since = engine.inspect_container(container)["Id"], time.time()
    engine.pause(container)
    engine.unpause(container)
    happened = [engine_event(each) for each in told(engine, since) if each["Actor"]["ID"] == container_id]
    assert [event.action for event in happened] == ["pause", "unpause"]
    async with serve(location) as server:
        engine_id = engine.info()["ID"]
        gap = EngineGap(engine=engine_id, until_ms=int(since * 1000), engine_time=f"{int(since)}.000000000")
        events = [gap, *(observation(engine_id, happened[number], None, None) for number in recorded)]
        await server.journal.append(
            [event_of(SYSTEM, event, f"{STREAM_PREFIX}{engine_id}", new_id()) for event in events]
        )
    async with serve(location, **ON) as server:
        engine.rename(container, f"{container}-x")
        await seen(server, container, "rename")
        assert sorted(steps(server, container)) == ["pause", "rename", "unpause"]
        check_once(records(server))


async def test_while_the_database_is_away_events_wait(
    serve: Serve, own_postgres: PostgresServer, engine: docker.APIClient, container: str
) -> None:
    location = Location.parse(own_postgres.url(own_postgres.create_database()))
    migrate(location)
    async with serve(location, **ON, DOCKER_MCP_APPEND_TIMEOUT_S=1) as server:
        engine.pause(container)
        await seen(server, container, "pause")
        stopped_at_s = time.time()
        own_postgres.stop()
        engine.unpause(container)
        await asyncio.sleep(1)
        own_postgres.start()
        await seen(server, container, "unpause")
        engine.pause(container)
        await until(lambda: steps(server, container) == ["pause", "unpause", "pause"])
        engine.unpause(container)
        check_once(records(server))
        check_gaps(records(server), engine, stopped_at_s)


async def test_after_a_cut_connection_the_events_in_between_are_there(
    serve: Serve, engine: docker.APIClient, container: str, proxy: EngineProxy
) -> None:
    async with serve(**ON, DOCKER_HOST=proxy.url) as server:
        engine.pause(container)
        await seen(server, container, "pause")
        proxy.refuse()
        engine.unpause(container)
        proxy.listen()
        await seen(server, container, "unpause")
        check_once(records(server))


async def test_an_engine_that_hangs_or_is_away_holds_up_neither_start_nor_stop(
    serve: Serve, proxy: EngineProxy
) -> None:
    proxy.fail("GET", Fault.HANG)
    began = time.monotonic()
    async with serve(**ON, DOCKER_HOST=proxy.url):
        assert time.monotonic() - began < BUSY_S
        await until(proxy.met.is_set)
        await asyncio.sleep(1.2)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < BUSY_S


async def test_it_can_be_switched_off(serve: Serve, engine: docker.APIClient, container: str) -> None:
    async with serve() as server:
        engine.pause(container)
        engine.unpause(container)
        await asyncio.sleep(2)
        assert records(server) == []


@pytest.mark.promise("P6")
async def test_no_label_and_no_environment_gets_into_the_log(
    serve: Serve, location: Location, engine: docker.APIClient, image: str, name: Name
) -> None:
    secret = "planted-4711"
    async with serve(location, **ON) as server:
        start(engine, image, name(), environment={"PASSWORD": secret}, labels={"token": secret, secret: "x"})
        await seen(server, name(), "start")
        assert not [event for event in server.store.read(limit=100_000) if secret in event.data]


async def test_a_server_that_was_killed_leaves_no_gap_and_nothing_twice(
    engine: docker.APIClient, container: str, tmp_path: Path
) -> None:
    def told_of(server: StdioServer) -> list[str]:
        rows = [row for row in server.records.rows() if row.type == "engine.observed"]
        return [row.data["action"] for row in rows if row.data.get("name") == container]

    first = StdioServer(tmp_path, **ON)
    with running(first):
        engine.pause(container)
        await until(lambda: told_of(first) == ["pause"])
        stopped_at_s = time.time()
    engine.unpause(container)
    second = StdioServer(tmp_path, **ON)
    with running(second):
        await until(lambda: told_of(second) == ["pause", "unpause"])
        rows = [row for row in second.records.rows() if row.type.startswith("engine.")]
    gaps = [row.data for row in rows if row.type == "engine.gap"]
    assert gaps[0].get("since_ms") is None
    assert len(gaps) == 1 or told(engine, 1)[0]["time"] >= stopped_at_s


async def test_two_observers_cannot_both_record(store: SqlEventStore) -> None:
    log = SqlEngineLog(store.questions)
    streams = [EngineStream("e", log, store.append, new_id, lambda _seconds: True, 5.0) for _ in range(2)]
    mark = EngineFollowed(engine="e", engine_time="1.000000000", newest="d")
    streams[0].write([mark, mark])
    with pytest.raises(ConcurrentAppendError):
        streams[1].write([mark])
    assert [event.stream_version for event in store.read_stream("engine/e")] == [1, 2]
    assert EngineStream("e", log, store.append, new_id, lambda _seconds: True, 5.0).cursor == Cursor(
        2, 10**9, "d", 10**9
    )


async def test_what_was_recorded_although_nobody_heard_so_is_not_recorded_again(store: SqlEventStore) -> None:
    answers = iter([True, False])

    def append(rows: Sequence[NewEvent]) -> "Future[tuple[RecordedEvent, ...]]":
        appended = store.append(rows)
        if next(answers):
            appended.result(5)
            lost: Future[tuple[RecordedEvent, ...]] = Future()
            lost.set_exception(LogInDoubtError("the connection broke"))
            return lost
        return appended

    stream = EngineStream("e", SqlEngineLog(store.questions), append, new_id, lambda _seconds: False, 5.0)
    mark = EngineFollowed(engine="e", engine_time="1.000000000", newest="d")
    stream.write([mark])
    assert [event.stream_version for event in store.read_stream("engine/e")] == [1]
    assert stream.cursor == Cursor(1, 10**9, "d", 10**9)
