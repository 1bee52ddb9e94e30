"""A container that cannot be made as asked leaves nothing behind, and the caller learns what to correct."""

from typing import Any

import anyio
import docker
import pytest

from server.call import Answer
from tests.conftest import Serve
from tests.real.calls import SLEEP, Calls, Name
from tests.real.second_engine import SecondEngine

pytestmark = pytest.mark.anyio

NO_REGISTRY = "127.0.0.1:1/nothing:here"

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"image": NO_REGISTRY}, "registry_unreachable"),
    ({"image": "Upper/Case"}, "refused_by_engine"),
    ({"networks": ["no-such-network"]}, "network_not_found"),
    ({"networks": ["no-such-network"], "start": False}, "network_not_found"),
    ({"networks": ["bridge", "no-such-network"]}, "network_not_found"),
    ({"networks": ["bridge", "host"]}, "predefined_network"),
    ({"networks": ["none", "bridge"]}, "predefined_network"),
    ({"networks": ["host", "bridge"]}, "predefined_network"),
    ({"command": "no-such-program"}, "refused_by_engine"),
    ({"command": "/tmp"}, "refused_by_engine"),
    ({"entrypoint": ["/bin/nothing"]}, "refused_by_engine"),
    ({"user": "nobody-here"}, "refused_by_engine"),
    ({"user": "0:no-such-group"}, "refused_by_engine"),
    ({"working_dir": "/bin/sh"}, "refused_by_engine"),
    ({"resources": {"memory": "1m"}}, "refused_by_engine"),
    ({"resources": {"cpu": "100000"}}, "refused_by_engine"),
    ({"ports": {"80": "192.0.2.1:"}}, "refused_by_engine"),
    ({"health_check": {"cmd": "true", "interval": "1us"}}, "refused_by_engine"),
]


@pytest.mark.parametrize(("arguments", "code"), REFUSED)
async def test_nothing_is_left_of_a_container_that_cannot_be(
    call: Calls, engine: docker.APIClient, image: str, name: Name, arguments: dict[str, Any], code: str
) -> None:
    wanted = {"image": image, "name": name(), "command": SLEEP, "volumes": {name("volume"): "/data"}}
    answer = await call.answer("create-container", **{**wanted, **arguments})
    assert answer.error is not None
    assert answer.error.code == code, answer.error.describe()
    assert answer.error.hint
    assert engine.containers(all=True, filters={"name": name()}) == []
    assert engine.volumes(filters={"name": name()})["Volumes"] in (None, [])
    outcome = call.outcome(answer)
    assert call.status(answer) == "failed"
    assert (outcome["code"], outcome["applied"]) == (code, "none")
    assert outcome["message"] == answer.error.message


async def test_two_volumes_at_one_place_are_refused_and_neither_is_left(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    volumes = {name("one"): "/data", name("two"): "/data"}
    error = await call.refused("create-container", image=image, name=name(), command=SLEEP, volumes=volumes)
    assert error.code == "refused_by_engine"
    assert engine.containers(all=True, filters={"name": name("c")}) == []
    assert engine.volumes(filters={"name": name("")})["Volumes"] in (None, [])


async def test_a_volume_that_was_there_before_survives_a_failure(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    engine.create_volume(name("volume"), labels={"whose": "mine"})
    volumes = {name("volume"): "/data"}
    await call.refused("create-container", image=image, name=name(), command="no-such-program", volumes=volumes)
    assert engine.inspect_volume(name("volume"))["Labels"] == {"whose": "mine"}


async def test_a_name_in_use_is_refused_and_its_owner_untouched(
    call: Calls, engine: docker.APIClient, image: str, container: str
) -> None:
    before = engine.inspect_container(container)
    error = await call.refused("create-container", image=image, name=container, command=SLEEP)
    assert (error.code, error.applied) == ("name_in_use", "none")
    assert "choose another name" in error.hint
    assert engine.inspect_container(container) == before


async def test_of_two_containers_made_at_once_under_one_name_one_is_refused(
    call: Calls, serve: Serve, engine: docker.APIClient, image: str, name: Name
) -> None:
    answers: list[Answer] = []

    async def create(tools: Calls) -> None:
        answers.append(await tools.answer("create-container", image=image, name=name(), command=SLEEP, start=False))

    async with serve() as other, anyio.create_task_group() as group:
        for tools in (call, call, Calls(other), Calls(other)):
            group.start_soon(create, tools)
    (made,) = [answer for answer in answers if answer.error is None]
    assert [answer.error.code for answer in answers if answer.error] == ["name_in_use"] * 3
    assert engine.inspect_container(name())["Config"]["Labels"]["docker-mcp.command"] == made.command_id


@pytest.mark.parametrize("probe", [[], "", [""]])
async def test_a_health_check_without_a_command_is_refused_since_engines_die_of_it(
    serve: Serve, second_engine: SecondEngine, name: Name, probe: object
) -> None:
    async with serve(**second_engine.settings) as application:
        error = await Calls(application).refused(
            "create-container",
            image=second_engine.image,
            name=name(),
            command=SLEEP,
            health_check={"cmd": probe, "interval": "10ms"},
        )
    assert error.code == "invalid_arguments"
    assert second_engine.api.containers(all=True, filters={"name": name()}) == []
    assert second_engine.alive()
