"""Incidents, staged on a real engine: what a replay tells of them afterwards, from the log alone."""

from collections.abc import AsyncIterator
from itertools import groupby
from typing import Any

import anyio
import docker
import pytest

from adapters.store.replay import told
from adapters.store.snapshot import open_snapshot
from adapters.store.world_log import WorldLog
from domain.catalogue.tool import Surface
from domain.engine_causes import LATE_MS
from domain.principal import Principal, Role
from domain.replay.causes import find, why
from domain.replay.drift import drift
from domain.replay.entry import Entry, Wanted
from domain.replay.timeline import Timeline
from domain.replay.view import changes_told, differences
from domain.replay.world import World
from server.bootstrap import Application
from server.call import Answer
from tests.conftest import Serve, caller
from tests.real.calls import Calls, Name, eventually
from tests.real.engine_told import WATCHING, EngineTold
from tests.real.stack_files import SLEEPER

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

HUNGRY = ["sh", "-c", "[ -e /tmp/before ] && exec sleep 600; : > /tmp/before; sleep 0.2; exec busybox tail /dev/zero"]
"""A program that takes all memory there is, the first time."""


class Incident:
    """A server with a log of its own, what the engine tells, and what a replay says of it."""

    def __init__(self, application: Application, engine: docker.APIClient, name: Name) -> None:
        self.application = application
        self.engine = engine
        self.call = Calls(application)
        self.prefix = name("")
        self.told = EngineTold(application, engine, self.prefix)

    async def by(self, principal: str, tool: str, /, purpose: str | None = None, **arguments: Any) -> Answer:
        """A call of somebody, in a conversation of their own."""
        who = Principal(principal, Role.ADMIN)
        given = caller(self.application, principal=who, correlation_id=f"talk-of-{principal}", purpose=purpose)
        return await self.application.dispatcher.dispatch(tool, arguments, given)

    def story(self, **wanted: str) -> tuple[Timeline, World]:
        """The whole log, folded, and the empty world before it."""
        location = self.application.store.location
        with open_snapshot(location, 5) as snapshot:
            log = WorldLog(snapshot)
            return told(log, 0, log.head(), Wanted(**wanted))

    def changes(self, **wanted: str) -> list[tuple[str, str, str]]:
        """Who did what, and what that changed, in order; only what changed something."""
        entries = self.story(**wanted)[0].entries()
        return [(each.principal, each.what, change) for each in entries for change in changes_told(each)]

    def why(self, wanted: str) -> list[dict[str, Any]]:
        timeline, _ = self.story(object=wanted)
        stream = self.application.store.read_stream
        return why(find(timeline.world, wanted)[0], timeline.world, timeline.entries(), stream)

    def drift(self, world: World | None = None) -> list[dict[str, Any]]:
        """What differs of this test's own objects: others use the engine too."""
        found = drift(world or self.story()[0].world, self.application.docker.inventory(), unrecorded=False)
        return [row for row in found if row["name"].startswith(self.prefix)]

    async def review(self, **question: str) -> dict[str, Any]:
        """The answer of the prompt."""
        given = caller(self.application)
        answer = await self.application.dispatcher.dispatch("incident-review", question, given, Surface.PROMPT)
        assert answer.error is None, answer.error.describe()
        return answer.content()


@pytest.fixture
async def incident(serve: Serve, engine: docker.APIClient, name: Name) -> AsyncIterator[Incident]:
    async with serve(**WATCHING) as application:
        yield Incident(application, engine, name)


def bad(entries: list[Entry]) -> list[str]:
    return [entry.what for entry in entries if entry.is_bad]


async def test_a_container_is_killed_for_its_memory_and_restarted_by_an_agent(
    incident: Incident, image: str, name: Name
) -> None:
    web = name("web")
    made = await incident.by(
        "agent-build", "create-container", image=image, name=web, command=HUNGRY, resources={"memory": "16m"}
    )
    assert made.error is None
    await eventually(lambda: not incident.engine.inspect_container(web)["State"]["Running"])
    await incident.told.caught_up()
    restarted = await incident.by("agent-night", "restart-container", purpose="web is down", container_name=web)
    assert restarted.error is None

    changes = incident.changes(object=web)
    lane = f"container/{web}"
    assert changes[0][0] == "agent-build"
    assert ("engine", "die (137)", f"{lane}: running → exited (137, out of memory)") in changes
    assert changes[-1][0] == "agent-night"
    assert changes[-1][2] == f"{lane}: exited (137, out of memory) → running"
    assert {"oom", "die (137)"} <= set(bad(incident.story(object=web)[0].entries()))

    chain = incident.why(web)
    assert (chain[0]["step"], chain[0]["state"], chain[0]["memory_bytes"]) == ("state", "running", 16 << 20)
    cause = chain[1]["cause"]
    assert (cause["principal"], cause["purpose"], cause["correlation_id"]) == (
        "agent-night",
        "web is down",
        "talk-of-agent-night",
    )
    assert cause["policy"] == incident.application.policy().digest
    assert cause["policy_since"]
    died = next(row for row in chain if row.get("what") == "die (137)")
    assert died["external"] is True
    first = next(row["cause"] for row in chain[::-1] if "arguments" in row.get("cause", {}))
    assert (first["command_id"], first["arguments"]["resources"]) == (made.command_id, {"memory": "16m"})

    facts = await incident.review(object=web)
    assert [row["what"] for row in facts["external"]] == ["die (137)"]
    assert {row["what"] for row in facts["failures"]} == {"oom", "die (137)"}
    assert facts["counts"]["commands"] == 2
    assert restarted.command_id in {row.get("command_id") for row in facts["timeline"]}


async def test_a_network_is_removed_by_hand(incident: Incident, image: str, name: Name) -> None:
    network, web = name("net"), name("web")
    await incident.call("network-create", name=network)
    await incident.call("create-container", image=image, name=web, command=["sleep", "600"], networks=[network])
    await incident.told.caught_up()
    before = incident.story()[0].world
    assert incident.drift() == []

    await anyio.sleep(2 * LATE_MS / 1000)  # what comes at once might be the command's
    incident.engine.disconnect_container_from_network(web, network)
    incident.engine.remove_network(network)

    missing = {row["name"]: (row["drift"], row["fields"]) for row in incident.drift(before)}
    assert missing == {
        network: ("gone", {"state": ["present", None]}),
        web: ("differs", {"networks": [[network], []]}),
    }
    await incident.told.caught_up()
    assert incident.drift() == []
    told_changes = incident.changes(object=network)
    assert told_changes[-1] == ("engine", "destroy", f"network/{network}: present → removed")
    now = incident.story()[0].world
    rows = {row["name"]: row for row in differences(before, now, Wanted())}
    assert (rows[network]["difference"], rows[network]["changed_by"]) == ("removed", "engine")
    assert rows[network]["external"] is True
    assert rows[web]["fields"]["networks"] == [[network], []]
    facts = await incident.review(object=network)
    assert "destroy" in {row["what"] for row in facts["external"]}
    assert facts["drift"] == []


async def test_a_stack_is_deployed_again_with_a_bad_image(incident: Incident, image: str, name: Name) -> None:
    project = name("shop")
    first = {"services": {"web": {"image": image, "command": SLEEPER}, "db": {"image": image, "command": SLEEPER}}}
    good = await incident.by("agent-deploy", "deploy-compose", project_name=project, compose_yaml=str(first))
    assert good.error is None
    first["services"]["web"]["command"] = "no-such-program"
    broken = await incident.by(
        "agent-deploy", "deploy-compose", purpose="roll out", project_name=project, compose_yaml=str(first)
    )
    assert broken.error is not None
    await incident.told.caught_up()

    timeline, _ = incident.story(stack=project)
    commands = [entry for entry in timeline.entries() if entry.kind == "command"]
    assert [(entry.command_id, entry.status) for entry in commands] == [
        (good.command_id, "success"),
        (broken.command_id, "failed"),
    ]
    caused = [entry for entry in timeline.entries() if entry.command_id == broken.command_id]
    told_changes = [change for entry in caused for change in changes_told(entry)]
    assert any("web" in change and "removed" in change for change in told_changes)
    assert not any(f"{project}-db" in change for change in told_changes), "it was left alone"
    world = timeline.world
    states = {known.name: known.told() for known in world.members(project) if known.kind == "container"}
    real = incident.engine.containers(all=True, filters={"label": f"com.docker.compose.project={project}"})
    assert {each["Names"][0][1:]: each["State"] for each in real} == {
        known: told_state.partition(" ")[0] for known, told_state in states.items()
    }
    facts = await incident.review(object=f"stack/{project}")
    assert [row["command_id"] for row in facts["failures"]] == [broken.command_id]
    assert facts["failures"][0]["purpose"] == "roll out"
    await incident.call("compose-down", project_name=project)
    assert incident.story()[0].world.members(project) == []


async def test_two_principals_fight_over_a_container(incident: Incident, image: str, name: Name) -> None:
    web = name("web")
    await incident.call(
        "create-container", image=image, name=web, command=["sh", "-c", "trap exit TERM; sleep 600 & wait"]
    )
    fight = []
    for _ in range(2):
        for who, tool, purpose in (
            ("agent-saver", "stop-container", "saves money"),
            ("agent-keeper", "start-container", "keeps it up"),
        ):
            fight.append((await incident.by(who, tool, purpose=purpose, container_name=web)).command_id)

    await incident.told.caught_up()
    hands = [by for by, _ in groupby(by for by, *_ in incident.changes(object=web))][1:]
    assert hands == ["agent-saver", "agent-keeper"] * 2
    assert {by for by, *_ in incident.changes(principal="agent-saver")} == {"agent-saver"}
    talk = incident.story(correlation_id="talk-of-agent-keeper")[0].entries()
    assert {entry.what for entry in talk if entry.kind == "command"} == {"start-container"}
    facts = await incident.review(object=web)
    assert facts["counts"]["principals"] == 3
    assert {row["purpose"] for row in facts["timeline"] if "purpose" in row} == {"saves money", "keeps it up"}
    chain = incident.why(web)
    causes = [row["cause"]["command_id"] for row in chain if row["step"] == "change"]
    assert list(dict.fromkeys(causes))[:4] == fight[::-1]
