"""What the engine tells of a stack, and of more than can wait, on the real engine."""

import asyncio
import os
import time
from typing import Any

import docker
import pytest

from adapters.docker.engine import Engine
from adapters.docker.engine_events import DockerEvents
from domain.engine_causes import LATE_MS
from domain.engine_cursor import Cursor, unseen
from server.engine_follower import Follower
from tests.conftest import Serve
from tests.real.calls import Calls, Name, eventually
from tests.real.stack_files import ids, three_services

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]


async def test_a_deployment_is_the_cause_of_what_it_makes_but_not_of_a_job_that_ends(
    serve: Serve, engine: docker.APIClient, image: str, name: Name
) -> None:
    project = name("stack")

    def seen() -> list[dict[str, Any]]:
        events = [event.payload() for event in application.store.read(limit=100_000) if event.type == "engine.observed"]
        return [each for each in events if project in f"{each.get('name')} {each.get('stack')} {each['object_id']}"]

    def has(action: str, part: str) -> list[dict[str, Any]]:
        return [each for each in seen() if each["action"] == action and part in (each.get("name") or each["object_id"])]

    async with serve(DOCKER_MCP_ENGINE_EVENTS=True) as application:
        call = Calls(application)
        deployed = await call.answer("deploy-compose", project_name=project, compose_yaml=three_services(image))
        assert deployed.error is None
        await eventually(lambda: has("die", "job"))
        made = [each for each in seen() if each["action"] in ("create", "start", "connect")]
        assert {each["kind"] for each in made} == {"container", "network", "volume"}
        assert {each.get("command_id") for each in made} == {deployed.command_id}
        assert {each["tied_by"] for each in made if each["kind"] == "container"} == {"stack"}
        assert [each["external"] for each in has("die", "job")] == [True]
        assert [each["external"] for each in has("health_status", "db")] == [True]
        await asyncio.sleep(LATE_MS / 500)
        engine.kill(ids(engine, project)["web"])
        await eventually(lambda: has("die", "web"))
        assert [each["external"] for each in has("die", "web")] == [True]
        down = await call.answer("compose-down", project_name=project)
        assert down.error is None
        await eventually(lambda: has("destroy", f"{project}_back"))
        gone = [
            each for each in seen() if each["action"] == "destroy" or (each["action"] == "die" and has("die", "db"))
        ]
        assert {each.get("command_id") for each in gone if each["action"] == "destroy"} == {down.command_id}
        assert [each["command_id"] for each in has("die", "db")] == [down.command_id]


async def test_events_beyond_those_that_can_wait_are_asked_for_again(engine: docker.APIClient, container: str) -> None:
    events = DockerEvents(Engine(os.environ, 60, 2))
    begin = events.sign()
    follower = Follower(events.follow(begin.now_ns), None, begin.now_ns, limit=4)
    container_id = engine.inspect_container(container)["Id"]
    for number in range(8):
        engine.rename(container_id, f"{container}-{number}")
    await eventually(lambda: not follower.is_reading)
    taken = follower.take(100, 0)
    assert len(taken) == 4
    assert follower.has_ended
    last = taken[-1]
    rest, missing = unseen(
        events.told(last.time_ns - 10**9, events.sign().now_ns), Cursor(0, last.time_ns, last.digest)
    )
    assert not missing
    once = {each.digest: each for each in (*taken, *rest)}.values()
    names = [each.name for each in once if each.action == "rename" and each.object_id == container_id]
    assert names == [f"{container}-{number}" for number in range(8)]


async def test_a_stream_without_the_last_known_event_is_not_taken_for_new(
    engine: docker.APIClient, container: str
) -> None:
    events = DockerEvents(Engine(os.environ, 60, 2))
    follower = Follower(events.follow(time.time_ns()), "forgotten", time.time_ns())
    engine.pause(container)
    engine.unpause(container)
    await eventually(lambda: follower.has_ended)
    assert follower.take(100, 0) == []


async def test_a_followed_stream_ends_when_it_is_closed(engine: docker.APIClient, container: str) -> None:
    events = DockerEvents(Engine(os.environ, 60, 2))
    follower = Follower(events.follow(time.time_ns()), None, time.time_ns())
    assert follower.is_reading
    follower.close()
    await eventually(lambda: not follower.is_reading)
