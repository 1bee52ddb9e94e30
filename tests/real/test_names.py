"""Objects may be named by name, id or the start of an id; what is not clear is refused."""

import random

import anyio
import docker
import pytest
from docker.types import IPAMConfig, IPAMPool

from tests.real.calls import SLEEP, Calls, Name

pytestmark = pytest.mark.anyio


@pytest.fixture
def container(engine: docker.APIClient, image: str, name: Name) -> str:
    """The name of a container that does not run, which is enough to be found."""
    engine.create_container(image, SLEEP, name=name("rests"))
    return name("rests")


async def test_a_container_is_found_by_its_id_and_by_the_start_of_it(
    call: Calls, engine: docker.APIClient, container: str
) -> None:
    found = engine.inspect_container(container)["Id"]
    for reference in (found, found[:12], found[:20]):
        assert (await call("inspect-container", container_name=reference))["name"] == container


async def test_the_log_names_the_object_by_its_name_however_it_was_called(
    call: Calls, engine: docker.APIClient, container: str
) -> None:
    found = engine.inspect_container(container)
    answer = await call.answer("stop-container", container_name=found["Id"][:12], timeout=0)
    objects = [event.object for event in call.events(answer)]
    assert objects == [f"container/{found['Id'][:12]}"] * 2 + [f"container/{container}"] * 2
    pinned = call.started(answer)["pinned"]
    assert [(each["kind"], each["id"], each["name"]) for each in pinned] == [("container", found["Id"], container)]


async def test_a_name_wins_over_the_start_of_an_id(
    call: Calls, engine: docker.APIClient, image: str, name: Name, container: str
) -> None:
    prefix = engine.inspect_container(container)["Id"][:14]
    engine.create_container(image, SLEEP, name=prefix)
    try:
        assert (await call("inspect-container", container_name=prefix))["name"] == prefix
    finally:
        engine.remove_container(prefix)


@pytest.mark.parametrize("tool", ["inspect-container", "get-logs", "stop-container", "remove-container"])
async def test_the_start_of_two_ids_is_refused(
    call: Calls, engine: docker.APIClient, image: str, name: Name, tool: str
) -> None:
    starts: set[str] = set()
    while (start := engine.create_container(image, SLEEP, name=name(f"c{len(starts)}"))["Id"][0]) not in starts:
        starts.add(start)
    answer = await call.answer(tool, container_name=start)
    assert answer.error is not None
    assert answer.error.code == "ambiguous_name", answer.error.describe()
    assert call.status(answer) == "failed"
    assert call.outcome(answer)["applied"] == "none"


async def test_the_start_of_two_network_ids_is_refused(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    second, third = random.randrange(256), random.randrange(240)
    starts: set[str] = set()
    while True:
        pool = IPAMConfig(pool_configs=[IPAMPool(subnet=f"10.{second}.{third + len(starts)}.0/29")])
        start = engine.create_network(name(f"n{len(starts)}"), ipam=pool)["Id"][0]
        if start in starts:
            break
        starts.add(start)
    assert (await call.refused("network-inspect", name=start)).code == "ambiguous_name"
    error = await call.refused("create-container", image=image, name=name("new"), command=SLEEP, networks=[start])
    assert error.code == "ambiguous_name"
    assert engine.containers(all=True, filters={"name": name("new")}) == []


@pytest.mark.parametrize(
    ("tool", "arguments", "code"),
    [
        ("inspect-container", {"container_name": "no-such"}, "container_not_found"),
        ("get-logs", {"container_name": "no-such"}, "container_not_found"),
        ("container-stats", {"container_name": "no-such"}, "container_not_found"),
        ("start-container", {"container_name": "no-such"}, "container_not_found"),
        ("stop-container", {"container_name": "no-such"}, "container_not_found"),
        ("restart-container", {"container_name": "no-such"}, "container_not_found"),
        ("remove-container", {"container_name": "no-such", "force": True}, "container_not_found"),
        ("network-inspect", {"name": "no-such"}, "network_not_found"),
        ("network-remove", {"name": "no-such"}, "network_not_found"),
        ("network-connect", {"network": "bridge", "container": "no-such"}, "container_not_found"),
        ("network-connect", {"network": "no-such", "container": "no-such"}, "network_not_found"),
        ("network-disconnect", {"network": "bridge", "container": "no-such"}, "container_not_found"),
    ],
)
async def test_what_does_not_exist_is_named_and_the_way_to_what_exists_is_told(
    call: Calls, tool: str, arguments: dict[str, object], code: str
) -> None:
    answer = await call.answer(tool, **arguments)
    assert answer.error is not None
    assert answer.error.code == code
    assert "no-such" in answer.error.message
    assert "shows what exists" in answer.error.hint
    assert (call.status(answer), call.outcome(answer)["applied"]) == ("failed", "none")


async def test_two_commands_on_one_container_take_turns_and_the_second_finds_it_gone(
    call: Calls, engine: docker.APIClient, container: str
) -> None:
    errors: list[str] = []

    async def remove(reference: str) -> None:
        answer = await call.answer("remove-container", container_name=reference, force=True)
        errors.append(answer.error.code if answer.error else "removed")

    async with anyio.create_task_group() as group:
        group.start_soon(remove, container)
        group.start_soon(remove, engine.inspect_container(container)["Id"])
    assert sorted(errors) == ["container_not_found", "removed"]
