"""Random commands on a real engine: what the fold of the log knows afterwards is what the engine shows, each object."""

import contextlib
import random
from typing import Any

import docker
import pytest

from adapters.store.snapshot import open_snapshot
from adapters.store.world_log import WorldLog
from domain.replay.world import World
from tests.conftest import Serve
from tests.real.calls import Calls, Name
from tests.real.engine_told import WATCHING, EngineTold
from tests.real.stack_files import SLEEPER

pytestmark = [pytest.mark.anyio, pytest.mark.promise("P8")]

_COMMANDS = (
    "create-container",
    "create-container",
    "start-container",
    "stop-container",
    "restart-container",
    "remove-container",
    "network-create",
    "network-connect",
    "network-connect",
    "network-disconnect",
    "network-remove",
    "outside-kill",
    "outside-pause",
    "outside-unpause",
    "outside-rename",
    "outside-remove",
    "outside-disconnect",
)


class Hands:
    """Does something at random, through the server or past it; most of it is possible, some is refused."""

    def __init__(self, call: Calls, engine: docker.APIClient, image: str, name: Name, seed: int):
        self.call = call
        self.engine = engine
        self.image = image
        self.rng = random.Random(seed)
        self.containers = [name(f"c{number}") for number in range(3)]
        self.networks = [name(f"n{number}") for number in range(2)]
        self.renamed = 0

    async def act(self) -> None:
        command = self.rng.choice(_COMMANDS)
        container, network = self.rng.choice(self.containers), self.rng.choice(self.networks)
        if command.startswith("outside-"):
            with contextlib.suppress(docker.errors.APIError):  # it was not there, or not in a state for that
                getattr(self, command.replace("-", "_"))(container, network)
        else:
            await self.call.answer(command, **self.arguments(command, container, network))

    def arguments(self, command: str, container: str, network: str) -> dict[str, Any]:
        if command == "create-container":
            more: dict[str, Any] = {"networks": [network]} if self.rng.random() < 0.4 else {}
            more |= {"resources": {"memory": "32m"}} if self.rng.random() < 0.3 else {}
            ends = ["sh", "-c", f"exit {self.rng.randrange(3)}"] if self.rng.random() < 0.2 else SLEEPER
            start = self.rng.random() < 0.8
            return {"image": self.image, "name": container, "command": ends, "start": start, **more}
        if command in ("network-connect", "network-disconnect"):
            return {"network": network, "container": container}
        if command.startswith("network"):
            return {"name": network}
        more = {"timeout": 1} if command in ("stop-container", "restart-container") else {}
        more |= {"force": True} if command == "remove-container" else {}
        return {"container_name": container, **more}

    def outside_kill(self, container: str, _network: str) -> None:
        self.engine.kill(container)
        self.engine.wait(container)

    def outside_pause(self, container: str, _network: str) -> None:
        self.engine.pause(container)

    def outside_unpause(self, container: str, _network: str) -> None:
        self.engine.unpause(container)

    def outside_rename(self, container: str, _network: str) -> None:
        self.renamed += 1
        self.engine.rename(container, f"{container}x{self.renamed}")

    def outside_remove(self, container: str, _network: str) -> None:
        self.engine.remove_container(container, force=True)

    def outside_disconnect(self, container: str, network: str) -> None:
        self.engine.disconnect_container_from_network(container, network)


def known(world: World, prefix: str) -> dict[tuple[str, str], dict[str, Any]]:
    """What the fold knows of the objects of the test."""
    return {
        each.key: {
            "name": each.name,
            "status": each.status,
            **(
                {
                    "exit_code": each.facts.get("exit_code") if each.status == "exited" else None,
                    "image": each.facts.get("image"),
                    "networks": sorted(name for name, *_ in each.facts["networks"])
                    if each.status == "running"
                    else None,
                }
                if each.kind == "container"
                else {}
            ),
        }
        for each in world.objects.values()
        if each.name.startswith(prefix)
    }


def real(engine: docker.APIClient, prefix: str) -> dict[tuple[str, str], dict[str, Any]]:
    """What the engine shows of them."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in engine.containers(all=True, filters={"name": prefix}):
        each = engine.inspect_container(entry["Id"])
        state = each["State"]
        found["container", each["Id"]] = {
            "name": each["Name"][1:],
            "status": state["Status"],
            "exit_code": state["ExitCode"] if state["Status"] == "exited" else None,
            "image": each["Config"]["Image"],
            # The engine does not always tell when one that does not run is taken out of a network that is gone.
            "networks": sorted(each["NetworkSettings"]["Networks"]) if state["Status"] == "running" else None,
        }
    for each in engine.networks(filters={"name": prefix}):
        found["network", each["Id"]] = {"name": each["Name"], "status": "present"}
    return found


async def compare(
    serve: Serve, engine: docker.APIClient, image: str, name: Name, seed: int, steps: int, every: int
) -> None:
    async with serve(**WATCHING) as application:
        told = EngineTold(application, engine, name(""))
        hands = Hands(Calls(application), engine, image, name, seed)
        for step in range(1, steps + 1):
            await hands.act()
            if step % every and step != steps:
                continue
            await told.caught_up()
            with open_snapshot(application.store.location, 5) as snapshot:
                log = WorldLog(snapshot)
                world = log.at(log.head())
            ours, theirs = known(world, name("")), real(engine, name(""))
            differing = {
                key: (ours.get(key), theirs.get(key)) for key in ours | theirs if ours.get(key) != theirs.get(key)
            }
            assert differing == {}, f"seed {seed}, step {step}: {differing}"


@pytest.mark.timeout(120)
async def test_the_fold_knows_what_the_engine_shows(
    serve: Serve, engine: docker.APIClient, image: str, name: Name
) -> None:
    await compare(serve, engine, image, name, random.randrange(1 << 16), steps=30, every=5)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(5))
async def test_the_fold_knows_what_the_engine_shows_after_much_more(
    serve: Serve, engine: docker.APIClient, image: str, name: Name, seed: int
) -> None:
    await compare(serve, engine, image, name, seed, steps=150, every=5)
