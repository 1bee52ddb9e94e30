"""Removing containers."""

from typing import Any

import anyio
import docker
import pytest

from tests.real.calls import SLEEP, Calls, Name, eventually

pytestmark = pytest.mark.anyio


async def test_a_stopped_container_is_removed(call: Calls, engine: docker.APIClient, image: str, name: Name) -> None:
    made = engine.create_container(image, SLEEP, name=name())
    answer = await call.answer("remove-container", container_name=name())
    assert answer.content() == {"id": made["Id"][:12], "name": name()}
    assert engine.containers(all=True, filters={"id": made["Id"]}) == []
    assert call.status(answer) == "success"


@pytest.mark.parametrize("state", ["running", "paused", "restarting"])
async def test_a_container_at_work_is_removed_only_by_force(
    call: Calls, engine: docker.APIClient, image: str, name: Name, state: str
) -> None:
    restarts = engine.create_host_config(restart_policy={"Name": "always"} if state == "restarting" else None)
    command = ["sh", "-c", "exit 1"] if state == "restarting" else SLEEP
    engine.start(engine.create_container(image, command, name=name(), host_config=restarts))
    if state == "paused":
        engine.pause(name())
    await eventually(lambda: engine.inspect_container(name())["State"]["Status"] == state)
    answer = await call.answer("remove-container", container_name=name())
    assert answer.error is not None
    assert (answer.error.code, answer.error.applied) == ("container_running", "none")
    assert "force" in answer.error.hint
    assert engine.inspect_container(name())["State"]["Status"] in (state, "running")
    await call("remove-container", container_name=name(), force=True)
    assert engine.containers(all=True, filters={"name": name()}) == []


@pytest.mark.parametrize("volumes", [False, True])
async def test_anonymous_volumes_go_only_when_asked_named_ones_never(
    call: Calls, engine: docker.APIClient, image: str, name: Name, volumes: bool
) -> None:
    host = engine.create_host_config(binds=[f"{name('named')}:/named"])
    engine.create_container(image, SLEEP, name=name(), volumes=["/anonymous"], host_config=host)
    mounts = {mount["Destination"]: mount["Name"] for mount in engine.inspect_container(name())["Mounts"]}
    await call("remove-container", container_name=name(), volumes=volumes)
    try:
        left = {volume["Name"] for volume in engine.volumes()["Volumes"] or []}
        assert mounts["/named"] in left
        assert (mounts["/anonymous"] in left) != volumes
    finally:
        if not volumes:
            engine.remove_volume(mounts["/anonymous"])


async def test_a_container_that_the_engine_is_already_removing_is_told(
    serve: Any, image: str, engine: docker.APIClient, container: str
) -> None:
    """Many at once, past our own turns: each finds it there, being removed, or gone."""
    codes: list[str] = []

    async def remove() -> None:
        async with serve() as application:
            answer = await Calls(application).answer("remove-container", container_name=container, force=True)
            codes.append(answer.error.code if answer.error else "removed")

    async with anyio.create_task_group() as group:
        for _each in range(6):
            group.start_soon(remove)
    assert set(codes) <= {"removed", "removal_in_progress", "container_not_found"}
    assert "removed" in codes
    assert engine.containers(all=True, filters={"name": container}) == []
