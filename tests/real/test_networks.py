"""Networks: made, listed, shown, joined, left, removed."""

from typing import Any

import docker
import pytest

from domain.catalogue.fields import COMMAND_LABEL, PRINCIPAL_LABEL
from tests.conftest import Serve
from tests.real.calls import SLEEP, Calls, Name, eventually
from tests.real.second_engine import SecondEngine

pytestmark = pytest.mark.anyio


@pytest.fixture
def network(engine: docker.APIClient, name: Name) -> str:
    """The name of a network that was not made by the server."""
    engine.create_network(name("net"), driver="bridge")
    return name("net")


def members(engine: docker.APIClient, network: str) -> set[str]:
    return {member["Name"] for member in engine.inspect_network(network)["Containers"].values()}


@pytest.mark.parametrize("internal", [False, True])
async def test_a_network_is_made_as_asked_and_tells_its_command(
    call: Calls, engine: docker.APIClient, name: Name, internal: bool
) -> None:
    answer = await call.answer("network-create", name=name(), internal=internal, labels={"a": "b"})
    found = engine.inspect_network(name())
    assert answer.content() == {"id": found["Id"], "name": name(), "driver": "bridge"}
    assert (found["Driver"], found["Internal"]) == ("bridge", internal)
    assert found["Labels"] == {
        "a": "b",
        COMMAND_LABEL: answer.command_id,
        PRINCIPAL_LABEL: call.application.principal.name,
    }
    assert call.outcome(answer)["touched"] == [{"kind": "network", "id": found["Id"], "name": name()}]
    assert [event.object for event in call.events(answer)] == [f"network/{name()}"] * 4


@pytest.mark.parametrize("label", [COMMAND_LABEL, PRINCIPAL_LABEL])
async def test_a_caller_cannot_set_the_labels_of_the_server_on_a_network(
    call: Calls, engine: docker.APIClient, name: Name, label: str
) -> None:
    error = await call.refused("network-create", name=name(), labels={label: "forged"})
    assert error.code == "invalid_arguments"
    assert engine.networks(names=[name()]) == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"name": "bridge"}, "predefined_network"),
        ({"name": "host"}, "predefined_network"),
        ({"driver": "host"}, "conflict"),
        ({"driver": "overlay"}, "engine_error"),
    ],
)
async def test_a_network_that_cannot_be_is_refused(
    call: Calls, engine: docker.APIClient, name: Name, arguments: dict[str, str], code: str
) -> None:
    answer = await call.answer("network-create", **{"name": name(), **arguments})
    assert answer.error is not None
    assert answer.error.code == code, answer.error.describe()
    assert (call.status(answer), call.outcome(answer)["applied"]) == ("failed", "none")
    assert engine.networks(names=[name()]) == []


async def test_a_second_network_of_the_same_name_is_refused(
    call: Calls, engine: docker.APIClient, network: str
) -> None:
    error = await call.refused("network-create", name=network)
    assert (error.code, error.applied) == ("name_in_use", "none")
    assert len(engine.networks(names=[network])) == 1


async def test_an_engine_without_addresses_left_says_so(serve: Serve, second_engine: SecondEngine, name: Name) -> None:
    async with serve(**second_engine.settings) as application:
        call = Calls(application)
        made = [name(f"n{number}") for number in range(2)]
        for each in made:
            await call("network-create", name=each)
        error = await call.refused("network-create", name=name("n3"))
        for each in made:
            await call("network-remove", name=each)
    assert (error.code, error.applied) == ("addresses_exhausted", "none")
    assert "remove" in error.hint


async def test_networks_are_listed_by_name(call: Calls, engine: docker.APIClient, name: Name, network: str) -> None:
    made = engine.create_network(name("inner"), internal=True)["Id"]
    listed = await call("network-list", limit=500)
    rows = {row["name"]: row for row in listed["networks"]}
    assert rows[name("inner")] == {
        "id": made[:12],
        "name": name("inner"),
        "driver": "bridge",
        "scope": "local",
        "internal": True,
    }
    assert "internal" not in rows[network]
    assert {"bridge", "host", "none"} <= rows.keys()
    assert list(rows) == sorted(rows)
    assert len(rows) == listed["total"]
    short = await call("network-list", limit=2)
    assert len(short["networks"]) == 2 < short["total"]


async def test_a_network_shows_its_addresses_and_members(
    call: Calls, engine: docker.APIClient, network: str, container: str
) -> None:
    engine.connect_container_to_network(container, network)
    found = engine.inspect_network(network)
    shown = await call("network-inspect", name=network)
    (address,) = found["IPAM"]["Config"]
    (member,) = found["Containers"].values()
    assert shown == {
        "id": found["Id"],
        "name": network,
        "driver": "bridge",
        "scope": "local",
        "internal": False,
        "created": found["Created"],
        "subnets": [address["Subnet"]],
        "gateways": [address["Gateway"]],
        "labels": {},
        "containers": [
            {
                "id": engine.inspect_container(container)["Id"][:12],
                "name": container,
                "ip_address": member["IPv4Address"],
            }
        ],
    }


async def test_containers_in_one_network_find_each_other_by_name_and_alias(
    call: Calls, engine: docker.APIClient, image: str, name: Name, network: str
) -> None:
    serve = ["sh", "-c", "echo hello > /tmp/index.html; exec httpd -f -p 80 -h /tmp"]
    await call("create-container", image=image, name=name("web"), command=serve, networks=[network])
    engine.start(engine.create_container(image, SLEEP, name=name("client")))

    def run(*command: str) -> str:
        started = engine.exec_create(name("client"), ["busybox", *command])
        printed: bytes = engine.exec_start(started["Id"])
        return printed.decode()

    def address() -> str:
        found: str = engine.inspect_container(name("web"))["NetworkSettings"]["Networks"][network]["IPAddress"]
        return found

    assert address() not in run("nslookup", name("web"))
    link = await call("network-connect", network=network, container=name("client"))
    assert link == {"network": network, "container": name("client"), "connected": True}
    reached = f"Address: {address()}"
    assert await eventually(lambda: reached in run("nslookup", name("web")))
    assert await eventually(lambda: run("wget", "-q", "-O", "-", f"http://{address()}/") == "hello\n")
    await call("network-disconnect", network=network, container=name("web"))
    assert reached not in run("nslookup", name("web"))
    await call("network-connect", network=network, container=name("web"), aliases=["front", "www.example"])
    for alias in ("front", "www.example", name("web")):
        assert f"Address: {address()}" in run("nslookup", alias)


@pytest.mark.parametrize("running", [True, False])
async def test_a_container_joins_and_leaves_a_network(
    call: Calls, engine: docker.APIClient, image: str, name: Name, network: str, running: bool
) -> None:
    made = engine.create_container(image, SLEEP, name=name())
    if running:
        engine.start(name())

    def joined() -> bool:
        return network in engine.inspect_container(name())["NetworkSettings"]["Networks"]

    answer = await call.answer("network-connect", network=network, container=made["Id"][:12])
    assert answer.content() == {"network": network, "container": name(), "connected": True}
    assert joined()
    assert [each["kind"] for each in call.started(answer)["pinned"]] == ["network", "container"]
    assert call.events(answer)[-1].object == f"network/{network}"
    left = await call("network-disconnect", network=network, container=name())
    assert left == {"network": network, "container": name(), "connected": False}
    assert not joined()
    error = await call.refused("network-disconnect", network=network, container=name())
    assert (error.code, error.applied) == ("not_connected", "none")


async def test_a_running_container_joins_a_network_once(
    call: Calls, engine: docker.APIClient, network: str, container: str
) -> None:
    await call("network-connect", network=network, container=container)
    error = await call.refused("network-connect", network=network, container=container)
    assert (error.code, error.applied) == ("already_connected", "none")
    assert members(engine, network) == {container}


@pytest.mark.parametrize("predefined", ["host", "none"])
async def test_a_container_cannot_join_a_network_of_another_kind(
    call: Calls, engine: docker.APIClient, container: str, predefined: str
) -> None:
    before = engine.inspect_container(container)["NetworkSettings"]["Networks"]
    error = await call.refused("network-connect", network=predefined, container=container)
    assert (error.code, error.applied) == ("predefined_network", "none")
    assert engine.inspect_container(container)["NetworkSettings"]["Networks"] == before


async def test_a_network_in_use_is_not_removed(
    call: Calls, engine: docker.APIClient, network: str, container: str
) -> None:
    engine.connect_container_to_network(container, network)
    error = await call.refused("network-remove", name=network)
    assert (error.code, error.applied) == ("network_in_use", "none")
    assert members(engine, network) == {container}
    await call("network-disconnect", network=network, container=container, force=True)
    found = engine.inspect_network(network)["Id"]
    assert await call("network-remove", name=found[:12]) == {"id": found[:12], "name": network}
    assert engine.networks(names=[network]) == []


@pytest.mark.parametrize("predefined", ["bridge", "host", "none"])
async def test_a_predefined_network_is_not_removed(call: Calls, predefined: str) -> None:
    answer = await call.answer("network-remove", name=predefined)
    assert answer.error is not None
    assert answer.error.code == "predefined_network"
    assert (call.status(answer), call.outcome(answer)["applied"]) == ("failed", "none")


async def test_a_container_whose_second_network_was_removed_can_not_start_and_says_why(
    call: Calls, engine: docker.APIClient, image: str, name: Name, network: str
) -> None:
    arguments: dict[str, Any] = {"image": image, "name": name(), "command": SLEEP, "networks": [network]}
    await call("create-container", **arguments, start=False)
    engine.remove_network(network)
    answer = await call.answer("start-container", container_name=name())
    assert answer.error is not None
    assert answer.error.code == "network_not_found"
    assert engine.inspect_container(name())["State"]["Status"] == "created"
