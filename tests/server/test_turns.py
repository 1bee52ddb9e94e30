"""Commands on the same object take turns, also between servers; others and reads wait for nobody."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import psycopg
import pytest

from adapters.store.location import Location
from domain.principal import Principal
from tests.conftest import Serve, caller, write_rules
from tests.engine_proxy import EngineProxy, Fault
from tests.waiting import until

LOSE_LOCKS_ON_OBJECTS = b"""
SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

pytestmark = [pytest.mark.anyio, pytest.mark.engine, pytest.mark.promise("P5")]


async def test_changes_of_one_container_never_overlap_between_servers(
    serve: Serve, location: Location, container: str
) -> None:
    auth = {"MCP_AUTH_SECRET": "0" * 32}
    async with serve(location, **auth) as one, serve(location, **auth) as two:
        arguments = {"container_name": container, "timeout": 0}
        await asyncio.gather(
            *(
                server.dispatcher.dispatch(tool, arguments, caller(server))
                for tool in ("restart-container", "stop-container")
                for server in (one, two)
                for _ in range(3)
            )
        )
        steps = [
            event for event in one.store.read(limit=10_000) if event.type in ("execution.started", "command.succeeded")
        ]
    assert len(steps) == 24
    for started, ended in zip(steps[::2], steps[1::2], strict=True):
        assert (started.type, ended.type) == ("execution.started", "command.succeeded")
        assert started.stream == ended.stream


async def test_a_state_before_is_never_that_before_another_command(
    serve: Serve, location: Location, container: str
) -> None:
    auth = {"MCP_AUTH_SECRET": "0" * 32}
    async with serve(location, **auth) as one, serve(location, **auth) as two:
        arguments = {"container_name": container, "timeout": 0}
        await asyncio.gather(
            *(
                server.dispatcher.dispatch("restart-container", arguments, caller(server))
                for server in (one, two)
                for _ in range(3)
            )
        )
        events = one.store.read(limit=10_000)
    before = [e.payload()["pinned"][0]["facts"]["started_at"] for e in events if e.type == "execution.started"]
    after = [e.payload()["state_after"][0]["facts"]["started_at"] for e in events if e.type == "command.succeeded"]
    assert before[1:] == after[:-1]


async def test_reads_and_other_objects_do_not_wait(
    serve: Serve, container: str, image: str, name: Callable[[str], str], engine: docker.APIClient
) -> None:
    engine.start(engine.create_container(image, ["sh", "-c", "trap '' TERM; sleep 60 & wait"], name=name("slow"))["Id"])
    async with serve() as server:
        slow = asyncio.create_task(
            server.dispatcher.dispatch(
                "stop-container", {"container_name": name("slow"), "timeout": 60}, caller(server)
            )
        )
        await asyncio.sleep(0.5)
        for tool, arguments in (
            ("inspect-container", {"container_name": name("slow")}),
            ("get-logs", {"container_name": name("slow")}),
            ("restart-container", {"container_name": container, "timeout": 0}),
        ):
            answer = await server.dispatcher.dispatch(tool, arguments, caller(server))
            assert answer.error is None
        assert not slow.done()
        engine.kill(name("slow"))
        assert (await slow).error is None


async def test_a_read_by_a_role_with_rules_about_objects_does_not_wait_either(
    serve: Serve, tmp_path: Path, name: Callable[[str], str], image: str, engine: docker.APIClient
) -> None:
    write_rules(tmp_path / "config", roles={"own": {"allow": [{"objects": [f"container/{name('slow')}"]}]}})
    engine.start(engine.create_container(image, ["sh", "-c", "trap '' TERM; sleep 60 & wait"], name=name("slow"))["Id"])
    async with serve() as server:
        own = caller(server, principal=Principal("alice", "own"))
        stop = {"container_name": name("slow"), "timeout": 60}
        slow = asyncio.create_task(server.dispatcher.dispatch("stop-container", stop, own))
        await asyncio.sleep(0.5)
        assert (await server.dispatcher.dispatch("get-logs", {"container_name": name("slow")}, own)).error is None
        assert not slow.done()
        engine.kill(name("slow"))
        await slow


@pytest.mark.promise("P9")
async def test_who_waits_too_long_for_another_server_is_told_so_and_nothing_is_done(
    serve: Serve, location: Location, container: str, proxy: EngineProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.object_locks.ObjectLocks.__init__.__defaults__", (0.5,))
    auth = {"MCP_AUTH_SECRET": "0" * 32}
    stop = {"container_name": container, "timeout": 0}
    proxy.fail("POST .*/restart", Fault.HOLD)
    async with serve(location, DOCKER_HOST=proxy.url, **auth) as one, serve(location, **auth) as two:
        holds = asyncio.create_task(one.dispatcher.dispatch("restart-container", stop, caller(one)))
        assert await asyncio.to_thread(proxy.met.wait, 20)
        waits = await two.dispatcher.dispatch("stop-container", stop, caller(two))
        assert waits.error is not None
        assert (waits.error.code, waits.error.retryable) == ("object_busy", True)
        assert [event.type for event in two.store.read_stream(waits.command_id)] == [
            "command.received",
            "command.authorized",
            "command.cancelled",
        ]
        proxy.heal()
        assert (await holds).error is None
        assert (await two.dispatcher.dispatch("stop-container", stop, caller(two))).error is None


async def test_a_creation_that_waits_for_another_server_is_in_the_log_meanwhile(
    serve: Serve, location: Location, proxy: EngineProxy, name: Callable[[str], str]
) -> None:
    auth = {"MCP_AUTH_SECRET": "0" * 32}
    network = {"name": name("net")}
    told: list[str] = []
    proxy.fail("POST .*/networks/create", Fault.HOLD)
    async with serve(location, DOCKER_HOST=proxy.url, **auth) as one, serve(location, **auth) as two:
        who = caller(two, progress=lambda _done, _total, message: told.append(message))
        holds = asyncio.create_task(one.dispatcher.dispatch("network-create", network, caller(one)))
        assert await asyncio.to_thread(proxy.met.wait, 20)
        waits = asyncio.create_task(two.dispatcher.dispatch("network-create", network, who))
        await until(lambda: len(two.store.open_commands()) == 2)
        await until(lambda: told)
        assert not waits.done()
        proxy.heal()
        assert (await holds).error is None
        refused = (await waits).error
    assert refused is not None
    assert refused.code == "name_in_use"
    assert told[0] == "waits for another command on the same object"


async def test_a_command_whose_turn_comes_when_the_engine_is_gone_fails_on_record(
    serve: Serve, proxy: EngineProxy, image: str, name: Callable[[str], str], engine: docker.APIClient
) -> None:
    engine.start(engine.create_container(image, ["sh", "-c", "trap '' TERM; sleep 60 & wait"], name=name("slow"))["Id"])
    slow = {"container_name": name("slow"), "timeout": 60}
    async with serve(DOCKER_HOST=proxy.url) as server:
        first = asyncio.create_task(server.dispatcher.dispatch("stop-container", slow, caller(server)))
        await until(lambda: any("/stop" in request for request in proxy.requests))
        second = asyncio.create_task(server.dispatcher.dispatch("restart-container", slow, caller(server)))
        await until(lambda: sum(f"/{name('slow')}/json" in request for request in proxy.requests) == 2)  # both looked
        proxy.refuse()
        engine.kill(name("slow"))
        await first
        answer = await second
        events = server.store.read_stream(answer.command_id)
    assert answer.error is not None
    assert answer.error.code == "engine_unreachable"
    assert (events[-1].type, events[-1].payload()["applied"]) == ("command.failed", "none")


@pytest.mark.postgres
@pytest.mark.parametrize("tool", ["stop-container", "create-container"])
async def test_a_turn_that_is_lost_before_its_start_is_recorded_has_no_effect(
    serve: Serve, postgres_location: Location, container: str, image: str, name: Callable[[str], str], tool: str
) -> None:
    """Whoever takes the lock in that moment sees no command at work; both would go on."""
    created = name("created")
    arguments = {"container_name": container} if tool == "stop-container" else {"image": image, "name": created}
    async with serve(postgres_location, MCP_AUTH_SECRET="0" * 32) as server:
        wait_for_unsettled = server.locks._wait_for_unsettled

        async def lose(*args: Any) -> None:
            await wait_for_unsettled(*args)
            with psycopg.connect(postgres_location.url, autocommit=True) as other:
                assert (True,) in other.execute(LOSE_LOCKS_ON_OBJECTS).fetchall()

        server.locks._wait_for_unsettled = lose
        answer = await server.dispatcher.dispatch(tool, arguments, caller(server))
        assert answer.error is not None
        assert (answer.error.code, answer.error.applied) == ("turn_lost", "none")
        outcome = server.store.read_stream(answer.command_id)[-1]
        assert (outcome.type, outcome.payload()["applied"]) == ("command.failed", "none")
        server.locks._wait_for_unsettled = wait_for_unsettled
        again = await server.dispatcher.dispatch("inspect-container", {"container_name": container}, caller(server))
        assert again.content()["state"] == "running"
        found = await server.dispatcher.dispatch("list-containers", {"all": True}, caller(server))
        assert created not in {each["name"] for each in found.content()["containers"]}
        now = await server.dispatcher.dispatch(
            "stop-container", {"container_name": container, "timeout": 0}, caller(server)
        )
        assert now.error is None
