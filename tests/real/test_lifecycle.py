"""Start, stop, restart: what changes, what is told, what the log holds."""

import time
from typing import Any

import anyio
import docker
import pytest

from tests.conftest import Serve
from tests.real.calls import SLEEP, Calls, Name
from tests.waiting import BUSY_S

pytestmark = pytest.mark.anyio

ENDS_WHEN_ASKED = ["sh", "-c", "trap 'exit 7' TERM; echo ready; while true; do sleep 0.05; done"]


@pytest.fixture
def stopped(engine: docker.APIClient, image: str, name: Name) -> str:
    engine.create_container(image, SLEEP, name=name("stopped"))
    return name("stopped")


@pytest.fixture
def looping(engine: docker.APIClient, image: str, name: Name) -> str:
    """A container that ends at once and that the engine starts again and again."""
    host = engine.create_host_config(restart_policy={"Name": "always"})
    engine.create_container(image, ["sh", "-c", "exit 1"], name=name("looping"), host_config=host)
    engine.start(name("looping"))
    return name("looping")


def state(engine: docker.APIClient, container: str) -> dict[str, Any]:
    found: dict[str, Any] = engine.inspect_container(container)["State"]
    return found


async def test_a_stopped_container_can_be_started(call: Calls, engine: docker.APIClient, stopped: str) -> None:
    answer = await call.answer("start-container", container_name=stopped)
    found = engine.inspect_container(stopped)
    assert answer.content() == {"id": found["Id"][:12], "name": stopped, "state": "running", "changed": True}
    assert found["State"]["Running"]
    before = call.started(answer)["pinned"][0]
    (after,) = call.outcome(answer)["state_after"]
    assert (before["facts"]["status"], after["facts"]["status"]) == ("created", "running")
    assert after["facts"]["started_at"] == found["State"]["StartedAt"]
    assert "started_at" not in {name for name, value in before["facts"].items() if value is not None}


async def test_starting_a_running_container_changes_nothing(
    call: Calls, engine: docker.APIClient, container: str
) -> None:
    before = state(engine, container)
    assert not (await call("start-container", container_name=container))["changed"]
    assert state(engine, container) == before


async def test_a_container_is_asked_to_stop(call: Calls, engine: docker.APIClient, image: str, name: Name) -> None:
    engine.create_container(image, ENDS_WHEN_ASKED, name=name())
    engine.start(name())
    next(iter(engine.logs(name(), stream=True)))
    answer = await call("stop-container", container_name=name(), timeout=30)
    assert (answer["state"], answer["changed"]) == ("exited", True)
    assert state(engine, name())["ExitCode"] == 7


@pytest.mark.promise("P9")
async def test_a_container_that_does_not_stop_is_killed_in_a_time_beyond_the_patience_with_the_engine(
    serve: Serve, engine: docker.APIClient, image: str, name: Name
) -> None:
    tools = {"stop-container": name("stops"), "restart-container": name("restarts")}
    for container in tools.values():
        engine.start(engine.create_container(image, SLEEP, name=container))
    before = {container: state(engine, container) for container in tools.values()}

    async def run(tool: str, container: str) -> None:
        assert (await Calls(application)(tool, container_name=container, timeout=3))["changed"]

    began = time.monotonic()
    async with serve(DOCKER_MCP_ENGINE_TIMEOUT_S=2) as application, anyio.create_task_group() as group:
        for tool, container in tools.items():
            group.start_soon(run, tool, container)
    assert 3 <= time.monotonic() - began < BUSY_S
    for tool, container in tools.items():
        after = state(engine, container)
        assert after["FinishedAt"] > before[container]["FinishedAt"]
        assert after["Running"] == (tool == "restart-container")


async def test_no_timeout_at_all_kills_at_once(call: Calls, engine: docker.APIClient, container: str) -> None:
    began = time.monotonic()
    await call("stop-container", container_name=container, timeout=0)
    assert time.monotonic() - began < 9, "the usual grace period is 10 s"
    assert state(engine, container)["ExitCode"] == 137


async def test_stopping_a_stopped_container_changes_nothing(
    call: Calls, engine: docker.APIClient, stopped: str
) -> None:
    for _again in range(2):
        answer = await call("stop-container", container_name=stopped, timeout=0)
        assert (answer["state"], answer["changed"]) == ("created", False)


async def test_a_restart_starts_a_running_container_again(
    call: Calls, engine: docker.APIClient, container: str
) -> None:
    before = state(engine, container)
    answer = await call("restart-container", container_name=container, timeout=0)
    after = state(engine, container)
    assert (answer["state"], answer["changed"]) == ("running", True)
    assert after["StartedAt"] > before["StartedAt"]
    assert after["Pid"] != before["Pid"]


async def test_a_restart_starts_a_stopped_container(call: Calls, engine: docker.APIClient, stopped: str) -> None:
    assert (await call("restart-container", container_name=stopped, timeout=0))["changed"]
    assert state(engine, stopped)["Running"]


async def test_a_paused_container_cannot_be_started_and_a_restart_ends_the_pause(
    call: Calls, engine: docker.APIClient, container: str
) -> None:
    engine.pause(container)
    error = await call.refused("start-container", container_name=container)
    assert (error.code, error.applied) == ("container_paused", "none")
    assert "restart-container" in error.hint
    assert state(engine, container)["Paused"]
    assert (await call("restart-container", container_name=container, timeout=0))["state"] == "running"
    assert not state(engine, container)["Paused"]


async def test_a_paused_container_can_be_stopped(call: Calls, engine: docker.APIClient, container: str) -> None:
    engine.pause(container)
    assert (await call("stop-container", container_name=container, timeout=0))["state"] == "exited"
    assert state(engine, container)["Status"] == "exited"


async def test_a_container_that_is_started_again_and_again_can_be_stopped(
    call: Calls, engine: docker.APIClient, looping: str
) -> None:
    answer = await call("stop-container", container_name=looping, timeout=0)
    assert answer["state"] == "exited"
    assert not state(engine, looping)["Restarting"]


async def test_a_container_that_is_started_again_and_again_is_not_measured(
    call: Calls, engine: docker.APIClient, looping: str
) -> None:
    answer = await call.answer("container-stats", container_name=looping)
    assert answer.error is None or answer.error.code == "container_not_running"


async def test_a_container_that_removes_itself_can_be_stopped(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    host = engine.create_host_config(auto_remove=True)
    engine.start(engine.create_container(image, SLEEP, name=name(), host_config=host))
    answer = await call.answer("stop-container", container_name=name(), timeout=0)
    assert answer.content()["state"] in ("removing", "removed", "exited")
    assert answer.content()["changed"]
    assert call.status(answer) == "success"


async def test_a_container_that_removes_itself_can_be_restarted(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    host = engine.create_host_config(auto_remove=True)
    made = engine.create_container(image, SLEEP, name=name(), host_config=host)
    engine.start(made)
    await call("restart-container", container_name=name(), timeout=0)
    assert engine.inspect_container(name())["Id"] == made["Id"]


@pytest.mark.promise("P6")
async def test_the_state_in_the_log_holds_no_environment(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    engine.create_container(image, SLEEP, name=name(), environment=["TOKEN=tell-nobody-9753"])
    answer = await call.answer("start-container", container_name=name())
    assert answer.error is None
    assert all("tell-nobody" not in event.data and "TOKEN" not in event.data for event in call.events(answer))


@pytest.mark.parametrize("tool", ["start-container", "stop-container", "restart-container", "remove-container"])
async def test_the_log_holds_full_id_and_state_before_and_after(
    call: Calls, engine: docker.APIClient, container: str, tool: str
) -> None:
    found = engine.inspect_container(container)
    arguments: dict[str, Any] = {"start-container": {}, "remove-container": {"force": True}}.get(tool, {"timeout": 0})
    answer = await call.answer(tool, container_name=found["Id"][:12], **arguments)
    started = call.started(answer)
    (before,) = started["pinned"]
    assert before["id"] == found["Id"]
    assert before["facts"]["started_at"] == found["State"]["StartedAt"]
    assert started["engine"] == engine.info()["ID"]
    after = call.outcome(answer).get("state_after", [])
    assert [each["id"] for each in after] == ([] if tool == "remove-container" else [found["Id"]])
    assert [each["facts"]["running"] for each in after] == {"stop-container": [False], "remove-container": []}.get(
        tool, [True]
    )
