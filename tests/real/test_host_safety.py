"""What asks too much of the host is refused by the whole server before the engine hears of it; the rest is done."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import docker
import pytest

from domain.events import CommandDenied, decode
from tests.conftest import Serve, write_rules
from tests.corpus import hostile, legitimate
from tests.engine_proxy import EngineProxy
from tests.real.calls import SLEEP, Calls, Name
from tests.real.stack_files import one_service

pytestmark = [pytest.mark.anyio, pytest.mark.promise("P7"), pytest.mark.timeout(300)]

REFUSED = {"rejected", "denied"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for folder in (root / "site", root / "deep", root / hostile.PROTECTED, tmp_path / "outside"):
        folder.mkdir(parents=True)
    for link, target in hostile.LINKS.items():
        (root / link).symlink_to(target)
    return root


@pytest.fixture
async def guarded(serve: Serve, proxy: EngineProxy, root: Path, tmp_path: Path) -> AsyncIterator[Calls]:
    """A server that allows nothing but mounts below ``root``."""
    rules = write_rules(tmp_path / "rules", host_safety={"mount_roots": [str(root)]})
    async with serve(DOCKER_HOST=proxy.url, DOCKER_MCP_AUTH_FILE=rules) as application:
        await Calls(application)("system-info")
        yield Calls(application)


@pytest.fixture
async def beset(serve: Serve, proxy: EngineProxy, root: Path, tmp_path: Path) -> AsyncIterator[Calls]:
    """The same, with the server's own directory in the one that may be mounted."""
    rules = write_rules(tmp_path / "rules", host_safety={"mount_roots": [str(root)]})
    own = root / hostile.PROTECTED
    async with serve(DOCKER_HOST=proxy.url, DOCKER_MCP_AUTH_FILE=rules, DOCKER_MCP_STATE_DIR=own) as application:
        await Calls(application)("system-info")
        yield Calls(application)


def placed(value: Any, root: Path, image: str) -> Any:
    if isinstance(value, str):
        return value.replace("ROOT", str(root)).replace("IMAGE", image)
    if isinstance(value, dict):
        return {placed(key, root, image): placed(item, root, image) for key, item in value.items()}
    return [placed(item, root, image) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("part", range(4))
async def test_no_hostile_stack_passes(
    beset: Calls, proxy: EngineProxy, root: Path, image: str, name: Name, part: int
) -> None:
    passed = []
    for title in list(hostile.STACKS)[part::4]:
        text = placed(hostile.STACKS[title], root, image)
        answer = await beset.answer("deploy-compose", project_name=name("s"), compose_yaml=text, wait=False)
        if beset.status(answer) not in REFUSED:
            passed.append(title)
    assert passed == []
    assert proxy.changes() == []


async def test_no_hostile_container_passes(
    beset: Calls, proxy: EngineProxy, root: Path, image: str, name: Name
) -> None:
    passed = []
    for title, arguments in hostile.CONTAINERS.items():
        answer = await beset.answer("create-container", **placed({"name": name(), **arguments}, root, image))
        if beset.status(answer) not in REFUSED:
            passed.append(title)
    assert passed == []
    assert proxy.changes() == []


@pytest.mark.parametrize("title", legitimate.STACKS)
async def test_a_legitimate_stack_passes(guarded: Calls, root: Path, image: str, name: Name, title: str) -> None:
    text = placed(legitimate.STACKS[title], root, image)
    answer = await guarded.answer("deploy-compose", project_name=name("s"), compose_yaml=text, wait=False, timeout=5)
    assert guarded.status(answer) not in REFUSED, answer.error


async def test_legitimate_containers_pass(guarded: Calls, root: Path, image: str, name: Name) -> None:
    refused = []
    for number, (title, arguments) in enumerate(legitimate.CONTAINERS.items()):
        given = placed({**arguments, "name": name(f"c{number}"), "start": False}, root, image)
        answer = await guarded.answer("create-container", **given)
        if guarded.status(answer) in REFUSED:
            refused.append((title, answer.error))
    assert refused == []


async def test_a_denial_names_the_rule_and_the_setting_and_shows_what_was_wanted(
    guarded: Calls, image: str, name: Name
) -> None:
    stack = f"services: {{web: {{image: {image}, privileged: true, environment: {{A: tell-nobody}}}}}}"
    answer = await guarded.answer("deploy-compose", project_name=name("s"), compose_yaml=stack)
    assert answer.error is not None
    assert answer.error.code == "denied"
    assert "services.web.privileged" in answer.error.message
    assert "`privileged` under host_safety in the auth file would allow it" in answer.error.message
    last = guarded.events(answer)[-1]
    denied = decode(last.type, last.data)
    assert isinstance(denied, CommandDenied)
    assert denied.rule == "host-safety/privileged"
    story = await guarded("get-command", command_id=answer.command_id)
    assert story["plan"]["services"]["web"]["privileged"] is True
    assert "tell-nobody" not in str(story)


async def test_a_volume_that_is_a_directory_of_the_host_under_another_name_is_refused(
    guarded: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    engine.create_volume(name("etc"), driver_opts={"type": "none", "o": "bind", "device": "/etc"})
    asked = {"image": image, "name": name("c"), "command": SLEEP}
    error = await guarded.refused("create-container", **asked, volumes={name("etc"): "/x"})
    assert (error.code, error.applied) == ("denied", "none")
    assert engine.containers(all=True, filters={"name": name("c")}) == []
    stack = one_service(image, volumes=[f"{name('etc')}:/x"])
    stack["volumes"] = {name("etc"): {"name": name("etc")}}
    error = await guarded.refused("deploy-compose", project_name=name("s"), compose_yaml=str(stack))
    assert error.code == "denied"
    assert engine.containers(all=True, filters={"name": name("s")}) == []


async def test_what_the_operator_opens_is_open(
    serve: Serve, engine: docker.APIClient, image: str, name: Name, tmp_path: Path
) -> None:
    rules = write_rules(tmp_path / "rules", host_safety={"privileged": True, "capabilities": ["NET_ADMIN"]})
    stack = one_service(image, privileged=True, cap_add=["NET_ADMIN"])
    async with serve(DOCKER_MCP_AUTH_FILE=rules) as application:
        arguments = {"project_name": name("s"), "compose_yaml": str(stack), "wait": False}
        await Calls(application).answer(
            "deploy-compose", **arguments
        )  # where we are root of less than all, it may not run
    assert engine.inspect_container(f"{name('s')}-web-1")["HostConfig"]["Privileged"] is True
