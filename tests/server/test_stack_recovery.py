"""A server dies while Compose is at work: Compose dies with it, and the next server finds out what stands."""

import subprocess
from collections.abc import Callable
from typing import Any

import docker
import orjson
import pytest

from adapters.store.location import Location
from tests.conftest import Serve, caller
from tests.engine_proxy import EngineProxy, Fault
from tests.real.stack_files import SLEEPER, containers, one_service, running
from tests.server.quick import dying_server, settled, settling_in
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.engine, pytest.mark.promise("P5")]

AT_ONCE = settling_in(0)


class Stack:
    """A stack of two services, and calls that concern it."""

    def __init__(self, engine: docker.APIClient, image: str, project: str) -> None:
        self.engine, self.project = engine, project
        stack = one_service(image)
        stack["services"]["db"] = {"image": image, "command": SLEEPER, "volumes": ["data:/data"]}
        self.yaml = orjson.dumps({**stack, "volumes": {"data": {}}}).decode()
        self.changed_yaml = self.yaml.replace("sleep 600", "sleep 601")
        self.arguments: dict[str, Any] = {"project_name": project}

    @property
    def deploy(self) -> dict[str, Any]:
        return {**self.arguments, "compose_yaml": self.yaml}

    def standing(self) -> int:
        return len(containers(self.engine, self.project))

    def up(self) -> int:
        return len(running(self.engine, self.project))


@pytest.fixture
def stack(engine: docker.APIClient, image: str, name: Callable[[str], str]) -> Stack:
    return Stack(engine, image, name("stack"))


def compose_processes(project: str) -> str:
    """The Compose processes at work on a project; the last resort of a test that looks for survivors."""
    return subprocess.run(["pgrep", "-af", f"docker-compose.* {project} "], capture_output=True, text=True).stdout


async def deployed(serve: Serve, stack: Stack) -> None:
    async with serve() as application:
        answer = await application.dispatcher.dispatch("deploy-compose", stack.deploy, caller(application))
        assert answer.error is None, answer.error.describe()


async def last_of(serve: Serve, proxy: EngineProxy) -> tuple[str | None, dict[str, Any]]:
    """The last status of the interrupted command and its data, after the next server has started."""
    asked = len(proxy.changes())
    async with serve(catalogue=AT_ONCE, DOCKER_HOST=proxy.url) as application:
        await application.recovery.finish()
        ending = [event for event in application.store.read() if event.tool][-1]
    assert len(proxy.changes()) == asked, "recovery looks, it does not act"
    return ending.status, ending.payload()


async def test_a_deployment_of_which_nothing_was_made_has_failed(
    serve: Serve, sqlite_location: Location, proxy: EngineProxy, stack: Stack
) -> None:
    async with dying_server(
        sqlite_location, proxy, "deploy-compose", stack.deploy, Fault.HANG, "POST .*/networks/create"
    ) as process:
        assert compose_processes(stack.project)
        process.kill()
        await until(lambda: not compose_processes(stack.project), what="Compose to die with its server")
    async with serve(catalogue=AT_ONCE, DOCKER_HOST=proxy.url) as application:
        events = await settled(application)
    assert (events[-1].status, events[-1].payload()["applied"]) == ("failed", "none")
    assert stack.standing() == 0


async def test_a_deployment_that_was_cut_in_the_middle_tells_what_stands(
    serve: Serve, sqlite_location: Location, proxy: EngineProxy, stack: Stack
) -> None:
    async with dying_server(
        sqlite_location, proxy, "deploy-compose", stack.deploy, Fault.HANG, "POST .*/web-1/start|POST .*/start"
    ) as process:
        process.kill()
    status, data = await last_of(serve, proxy)
    assert (status, data["applied"], data["reconciled"]) == ("failed", "partial", True)
    assert "db created" in data["message"]
    assert len(data["touched"]) == stack.standing() == 2
    assert stack.up() == 0


async def test_a_deployment_that_was_complete_has_succeeded(
    serve: Serve, sqlite_location: Location, proxy: EngineProxy, stack: Stack
) -> None:
    async with dying_server(
        sqlite_location, proxy, "deploy-compose", stack.deploy, Fault.MUTE, "POST .*/start"
    ) as process:
        await until(lambda: stack.up() >= 1)
        started = stack.up()
        process.kill()
    status, data = await last_of(serve, proxy)
    now = stack.up()
    assert now >= started
    assert (status, data.get("applied")) == (("success", None) if now == 2 else ("failed", "partial"))


OPERATIONS = [
    ("compose-start", "POST .*/start", Fault.HANG, "failed"),
    ("compose-stop", "POST .*/stop", Fault.HANG, "failed"),
    ("compose-stop", "POST .*/stop", Fault.MUTE, "success"),
    ("compose-restart", "POST .*/restart", Fault.HANG, "failed"),
    ("compose-down", "POST .*/stop", Fault.HANG, "failed"),
    ("compose-down", "DELETE .*/networks", Fault.MUTE, "success"),
]


@pytest.mark.parametrize(("tool", "request_line", "fault", "status"), OPERATIONS)
async def test_an_interrupted_operation_is_settled_container_by_container(
    serve: Serve,
    sqlite_location: Location,
    proxy: EngineProxy,
    stack: Stack,
    tool: str,
    request_line: str,
    fault: Fault,
    status: str,
) -> None:
    await deployed(serve, stack)
    if tool == "compose-start":
        for each in containers(stack.engine, stack.project).values():
            stack.engine.stop(each["Id"], timeout=0)
    before = (stack.standing(), stack.up())
    timeout = {**stack.arguments} | ({} if tool == "compose-start" else {"timeout": 1})
    async with dying_server(sqlite_location, proxy, tool, timeout, fault, request_line) as process:
        if status == "success":
            await until(lambda: stack.up() == 0 and (tool == "compose-stop" or not network(stack)))
        process.kill()
    found, data = await last_of(serve, proxy)
    assert found == status, data
    if status == "failed":
        assert (data["applied"], (stack.standing(), stack.up())) == ("none", before)


def network(stack: Stack) -> list[Any]:
    found: list[Any] = stack.engine.networks(names=[f"{stack.project}_default"])
    return found
