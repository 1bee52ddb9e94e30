"""Who is dead and who only seems so: a server settles what another one left, and never what another one works on."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import docker
import psycopg
import pytest

from adapters.store.location import Location
from adapters.store.migrate import migrate
from adapters.store.postgres_executors import PostgresExecutors, _key
from domain.chain import verify
from domain.events import RecordedEvent
from server.bootstrap import Application
from tests.conftest import PostgresServer, Serve, caller
from tests.engine_proxy import EngineProxy, Fault
from tests.forked import ForkedProcess
from tests.server.quick import dying_server, settling_in
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.engine, pytest.mark.promise("P5")]

AT_ONCE = settling_in(0)
AUTH = {"MCP_AUTH_SECRET": "0" * 32}
SOON_S = 60


def the_command(application: Application) -> list[RecordedEvent]:
    return [event for event in application.store.read() if event.tool]


def status(application: Application) -> str | None:
    events = the_command(application)
    return events[-1].status if events else None


def cut_off(location: Location, executor: str) -> None:
    """End the connection by which a server on PostgreSQL shows that it lives."""
    key = _key(executor) % 2**64
    with psycopg.connect(location.url, autocommit=True) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1"
            " AND classid = %s AND objid = %s AND granted",
            (key >> 32, key % 2**32),
        ).fetchall()
    assert ended == [(True,)]


@pytest.fixture
def create(image: str, name: Callable[[str], str]) -> dict[str, str]:
    return {"image": image, "name": name("new"), "command": "sleep 600"}


@asynccontextmanager
async def paused_after_creating(
    location: Location, proxy: EngineProxy, create: dict[str, str], limit_s: int = 0
) -> AsyncIterator[ForkedProcess]:
    """A server process that has had a container created, has not started it yet, and is stopped in between."""
    async with dying_server(
        location, proxy, "create-container", create, Fault.HOLD, "POST .*/containers/create", 0, limit_s
    ) as process:
        process.send_signal(signal.SIGSTOP)
        yield process


def starts(proxy: EngineProxy) -> list[str]:
    return [request for request in proxy.requests if request.endswith("/start")]


async def test_a_server_that_dies_is_noticed_by_one_that_runs(
    serve: Serve, location: Location, proxy: EngineProxy, container: str
) -> None:
    remove = {"container_name": container, "force": True}
    async with serve(location, catalogue=AT_ONCE) as witness:
        async with dying_server(location, proxy, "remove-container", remove, Fault.HOLD, "DELETE") as process:
            await asyncio.sleep(2)
            assert status(witness) == "running"
            process.kill()
            await until(lambda: status(witness) == "success", SOON_S, "the other server to settle it")
        assert the_command(witness)[-1].payload()["reconciled"] is True
        assert witness.store.open_commands() == []


async def test_a_server_that_is_paused_beyond_its_time_is_not_taken_for_dead_and_starts_nothing_more(
    serve: Serve,
    location: Location,
    proxy: EngineProxy,
    create: dict[str, str],
    engine: docker.APIClient,
) -> None:
    async with (
        serve(location, catalogue=AT_ONCE) as witness,
        paused_after_creating(location, proxy, create, limit_s=2) as process,
    ):
        await asyncio.sleep(5)
        assert status(witness) == "running", "its time is over, but it lives"
        proxy.heal()
        process.send_signal(signal.SIGCONT)
        await until(lambda: status(witness) != "running")
        *_, ending = the_command(witness)
    assert (ending.status, ending.payload()["code"], ending.payload()["applied"]) == ("failed", "timed_out", "none")
    assert "reconciled" not in ending.payload(), "it has recorded its outcome itself"
    assert starts(proxy) == []
    assert engine.containers(all=True, filters={"name": create["name"]}) == []


@pytest.mark.postgres
async def test_a_server_that_was_taken_over_can_neither_record_an_outcome_nor_start_an_effect(
    serve: Serve, postgres_location: Location, proxy: EngineProxy, create: dict[str, str], engine: docker.APIClient
) -> None:
    async with (
        serve(postgres_location, catalogue=AT_ONCE, **AUTH) as witness,
        paused_after_creating(postgres_location, proxy, create) as process,
    ):
        cut_off(postgres_location, the_command(witness)[0].payload()["executor"])
        await until(lambda: status(witness) == "failed", SOON_S, "the other server to settle it")
        settled = the_command(witness)
        proxy.heal()
        process.send_signal(signal.SIGCONT)
        assert process.stdout
        answer = await asyncio.to_thread(process.stdout.read)
        assert "another server has settled this command" in answer.decode()
        assert the_command(witness) == settled
    assert settled[-1].payload()["applied"] == "partial"
    assert starts(proxy) == []
    (left,) = engine.containers(all=True, filters={"name": create["name"]})
    assert left["State"] == "created", "as the outcome says"


@pytest.mark.postgres
async def test_after_its_lock_was_lost_a_server_begins_no_further_change_and_tells_what_stands(
    serve: Serve, postgres_location: Location, proxy: EngineProxy, create: dict[str, str]
) -> None:
    proxy.fail("POST .*/containers/create", Fault.HOLD)
    async with serve(postgres_location, catalogue=AT_ONCE, DOCKER_HOST=proxy.url, **AUTH) as application:
        call = asyncio.create_task(application.dispatcher.dispatch("create-container", create, caller(application)))
        assert await asyncio.to_thread(proxy.met.wait, 20)
        cut_off(postgres_location, application.executor)
        await until(lambda: PostgresExecutors(postgres_location.url, 5).is_alive(application.executor))
        proxy.heal()
        answer = await call
        assert answer.error is not None
        assert answer.error.code == "taken_over"
        await until(lambda: status(application) == "failed", what="a look at what stands")
        events = the_command(application)
        again = await application.dispatcher.dispatch(
            "remove-container", {"container_name": create["name"]}, caller(application)
        )
    assert starts(proxy) == []
    assert [event.status for event in events[-3:]] == ["running", "unknown", "failed"]
    assert events[-1].payload()["applied"] == "partial"
    assert again.error is None, "the next command is the server's own again"


@pytest.mark.postgres
async def test_a_database_that_restarts_in_the_middle_of_a_command_changes_nothing_about_it(
    serve: Serve,
    own_postgres: PostgresServer,
    engine: docker.APIClient,
    image: str,
    name: Callable[[str], str],
) -> None:
    location = Location.parse(own_postgres.url(own_postgres.create_database()))
    migrate(location)
    slow, waits = name("slow"), {"container_name": name("slow")}
    engine.start(engine.create_container(image, ["sh", "-c", "trap '' TERM; sleep 60 & wait"], name=slow)["Id"])
    async with serve(location, **AUTH) as one, serve(location, catalogue=AT_ONCE, **AUTH) as two:
        stop = asyncio.create_task(one.dispatcher.dispatch("stop-container", {**waits, "timeout": 5}, caller(one)))
        await until(lambda: status(one) == "running")
        queued = asyncio.create_task(one.dispatcher.dispatch("start-container", waits, caller(one)))
        await until(lambda: len({event.stream for event in the_command(one)}) == 2)
        await asyncio.to_thread(own_postgres.stop)
        await asyncio.to_thread(own_postgres.start)
        stopped, started = await asyncio.gather(stop, queued)
        assert stopped.error is None
        assert started.error is None
        for witness in (one, two):
            await until(lambda witness=witness: two.store.executors.is_alive(witness.executor))  # type: ignore[misc]
        endings = [event for event in the_command(two) if event.status in ("success", "failed", "cancelled")]
        assert [(event.status, "reconciled" in event.payload()) for event in endings] == [("success", False)] * 2
        assert list(verify(two.store.read())) == []
    assert engine.inspect_container(slow)["State"]["Running"]


@pytest.mark.postgres
async def test_the_first_command_after_a_restart_of_the_database_finds_it_again(
    serve: Serve, own_postgres: PostgresServer, container: str
) -> None:
    location = Location.parse(own_postgres.url(own_postgres.create_database()))
    migrate(location)
    restart = {"container_name": container, "timeout": 0}
    async with serve(location, **AUTH) as application:
        for _ in range(2):
            answer = await application.dispatcher.dispatch("restart-container", restart, caller(application))
            assert answer.error is None, answer.error.describe()
            await asyncio.to_thread(own_postgres.stop, "fast")
            await asyncio.to_thread(own_postgres.start)
        answer = await application.dispatcher.dispatch("restart-container", restart, caller(application))
        assert answer.error is None, answer.error.describe()


async def test_a_server_that_is_told_to_stop_hands_over_what_takes_longer_than_its_grace(
    serve: Serve, location: Location, proxy: EngineProxy, container: str
) -> None:
    proxy.fail("POST .*/restart", Fault.HOLD)
    restart = {"container_name": container, "timeout": 0}
    async with serve(location, catalogue=AT_ONCE, **AUTH) as witness:
        async with serve(
            location, catalogue=AT_ONCE, DOCKER_HOST=proxy.url, DOCKER_MCP_SHUTDOWN_GRACE_S=1, **AUTH
        ) as application:
            call = asyncio.create_task(
                application.dispatcher.dispatch("restart-container", restart, caller(application))
            )
            assert await asyncio.to_thread(proxy.met.wait, 20)
        assert not call.done()
        await until(lambda: status(witness) == "success", SOON_S, "the other server to settle it")
        proxy.heal()
        call.cancel()
    assert json.loads(the_command(witness)[-1].data)["reconciled"] is True
