"""A role that may act on some objects only: whatever way they are named, the engine is asked to change no others."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

import docker
import orjson
import pytest

from adapters.private_file import write_private
from domain.errors import DockerMcpError
from domain.events import RecordedEvent
from domain.principal import Principal
from server.bootstrap import Application
from server.call import Answer, Caller
from tests.conftest import Serve
from tests.engine_proxy import EngineProxy

pytestmark = [pytest.mark.anyio, pytest.mark.engine, pytest.mark.promise("P7")]

LABEL = "dmt-team"
WAYS = ["name", "id", "id prefix"]
ROLES = ["named", "labelled"]
"""Two roles that may touch the same objects: one by the names of these, one by their labels."""

every_role = pytest.mark.parametrize("role", ROLES)
every_way = pytest.mark.parametrize("way", WAYS)


class Thing(NamedTuple):
    """An object on the engine."""

    name: str
    id: str

    def called(self, way: str) -> str:
        return {"name": self.name, "id": self.id, "id prefix": self.id[:12]}[way]


class World(NamedTuple):
    """What is on the engine: ours, which the roles are about, and theirs."""

    ours: Thing
    theirs: Thing
    our_network: Thing
    their_network: Thing
    our_volume: str
    their_volume: str
    labels: dict[str, str]


class Acting:
    """Calls as alice in a role of the auth file, through a proxy that sees what is asked of the engine."""

    def __init__(self, application: Application, proxy: EngineProxy, role: str) -> None:
        self.application = application
        self.proxy = proxy
        self._caller = Caller(principal=Principal("alice", role), transport="test")

    async def answer(self, tool: str, /, **arguments: Any) -> Answer:
        return await self.application.dispatcher.dispatch(tool, arguments, self._caller)

    async def __call__(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """Return what the tool answers; it has to succeed."""
        answer = await self.answer(tool, **arguments)
        assert answer.error is None, f"{tool} {arguments}: {answer.error.describe()}"
        types = [event.type for event in self.events(answer)]
        assert types == ["command.received", "command.authorized", "execution.started", "command.succeeded"]
        return answer.content()

    async def denied(self, tool: str, /, **arguments: Any) -> DockerMcpError:
        """Return the denial; it has to be recorded, and to have asked nothing of the engine but looks."""
        changes = len(self.proxy.changes())
        answer = await self.answer(tool, **arguments)
        assert answer.error is not None, f"{tool} {arguments}: {answer.content()}"
        assert answer.error.code == "denied", f"{tool} {arguments}: {answer.error.describe()}"
        received, *planned, denial = self.events(answer)
        assert {event.type for event in planned} <= {"command.planned"}
        assert (received.type, denial.type, denial.status) == ("command.received", "command.denied", "denied")
        assert {(event.principal, event.tool) for event in (received, denial)} == {("alice", tool)}
        assert denial.payload()["rule"] == f"role-{denial.role}"
        assert denial.payload()["reason"] == answer.error.message
        assert denial.payload()["policy_digest"] == self.application.policy().digest
        assert self.proxy.changes()[changes:] == [], f"{tool} {arguments}"
        return answer.error

    def events(self, answer: Answer) -> list[RecordedEvent]:
        return self.application.store.read_stream(answer.command_id)


@pytest.fixture
def world(engine: docker.APIClient, image: str, name: Callable[[str], str]) -> World:
    labels = {LABEL: name("a")}

    def container(of: str, labels: dict[str, str]) -> Thing:
        made = engine.create_container(image, ["sleep", "600"], name=name(of), labels=labels)
        engine.start(made["Id"])
        return Thing(name(of), made["Id"])

    def network(of: str, labels: dict[str, str]) -> Thing:
        return Thing(name(of), engine.create_network(name(of), labels=labels)["Id"])

    others = {LABEL: name("b")}
    engine.create_volume(name("ours-data"), labels=labels)
    engine.create_volume(name("theirs-data"), labels=others)
    return World(
        container("ours-web", labels),
        container("theirs-web", others),
        network("ours-net", labels),
        network("theirs-net", others),
        name("ours-data"),
        name("theirs-data"),
        labels,
    )


@pytest.fixture
def rules(tmp_path: Path, name: Callable[[str], str]) -> Path:
    """The auth file."""
    own = [f"{kind}/{name('ours')}-*" for kind in ("container", "network", "volume")]
    roles: dict[str, Any] = {
        "named": {"allow": [{"objects": own}]},
        "labelled": {"allow": [{"labels": {LABEL: name("a")}}]},
        "careful": {
            "allow": [{}],
            "deny": [
                {"objects": [f"{kind}/{name('theirs')}-*" for kind in ("container", "network", "volume")]},
                {"labels": {LABEL: name("b")}},
            ],
        },
        "onlooker": {"allow": [{"effects": ["read"], "objects": own}]},
    }
    file = tmp_path / "rules" / "auth.json"
    write_private(file, orjson.dumps({"roles": roles}))
    return file


@pytest.fixture
async def acting(serve: Serve, proxy: EngineProxy, rules: Path, world: World) -> AsyncIterator[Callable[[str], Acting]]:
    """Returns what calls in a role."""
    async with serve(DOCKER_HOST=proxy.url, DOCKER_MCP_AUTH_FILE=rules) as application:
        yield lambda role: Acting(application, proxy, role)


def on_containers(container: str) -> dict[str, dict[str, Any]]:
    """Every tool that works on an existing container, with a call of it."""
    of = {"container_name": container}
    return {
        "inspect-container": of,
        "get-logs": of,
        "container-stats": of,
        "stop-container": {**of, "timeout": 0},
        "start-container": of,
        "restart-container": {**of, "timeout": 0},
        "remove-container": {**of, "force": True},
    }


def on_networks(network: str) -> dict[str, dict[str, Any]]:
    return {"network-inspect": {"name": network}, "network-remove": {"name": network}}


def links(network: str, container: str) -> dict[str, dict[str, Any]]:
    of = {"network": network, "container": container}
    return {"network-connect": of, "network-disconnect": of}


def state(engine: docker.APIClient, world: World) -> Any:
    """What a change of theirs would show in."""
    container = engine.inspect_container(world.theirs.id)
    members = sorted(engine.inspect_network(world.their_network.id)["Containers"])
    return container["State"], sorted(container["NetworkSettings"]["Networks"]), container["RestartCount"], members


# --- existing objects -------------------------------------------------------------------------------------------


@every_role
@every_way
async def test_what_a_role_is_about_it_may_use_by_every_name(
    role: str, way: str, acting: Callable[[str], Acting], world: World, engine: docker.APIClient
) -> None:
    alice = acting(role)
    container, network = world.ours.called(way), world.our_network.called(way)
    calls = {**on_containers(container), **links(network, container), **on_networks(network)}
    last = {tool: calls.pop(tool) for tool in ("remove-container", "network-remove")}
    for tool, arguments in (calls | last).items():
        await alice(tool, **arguments)
    names = {each["Id"] for each in engine.containers(all=True)}
    assert world.ours.id not in names
    assert world.theirs.id in names
    assert world.our_network.id not in {each["Id"] for each in engine.networks()}


@pytest.mark.parametrize("role", [*ROLES, "careful"])
@every_way
async def test_others_are_denied_by_every_name_and_left_alone(
    role: str, way: str, acting: Callable[[str], Acting], world: World, engine: docker.APIClient
) -> None:
    alice, before = acting(role), state(engine, world)
    for tool, arguments in {
        **on_containers(world.theirs.called(way)),
        **on_networks(world.their_network.called(way)),
        **links(world.their_network.called(way), world.theirs.called(way)),
    }.items():
        await alice.denied(tool, **arguments)
    assert state(engine, world) == before
    assert alice.proxy.changes() == []


@pytest.mark.parametrize("role", [*ROLES, "careful"])
@every_way
async def test_one_object_of_others_is_enough_to_deny_a_call(
    role: str, way: str, acting: Callable[[str], Acting], world: World, engine: docker.APIClient
) -> None:
    alice, before = acting(role), state(engine, world)
    for calls in (
        links(world.their_network.called(way), world.ours.called(way)),
        links(world.our_network.called(way), world.theirs.called(way)),
    ):
        for tool, arguments in calls.items():
            await alice.denied(tool, **arguments)
    assert state(engine, world) == before
    assert alice.proxy.changes() == []


@every_role
async def test_the_right_name_on_others_labels_and_the_right_labels_on_another_name(
    role: str, acting: Callable[[str], Acting], world: World, engine: docker.APIClient, image: str, name: Any
) -> None:
    """Each role looks at what its rule says, and at nothing else."""
    engine.create_container(image, ["sleep", "600"], name=name("ours-unlabelled"))
    engine.create_container(image, ["sleep", "600"], name=name("theirs-labelled"), labels=world.labels)
    may, may_not = name("ours-unlabelled"), name("theirs-labelled")
    if role == "labelled":
        may, may_not = may_not, may
    alice = acting(role)
    await alice("inspect-container", container_name=may)
    await alice.denied("inspect-container", container_name=may_not)
    await alice.denied("remove-container", container_name=may_not)
    await alice("remove-container", container_name=may)


async def test_what_a_role_may_only_read_it_may_not_change(
    acting: Callable[[str], Acting], world: World, engine: docker.APIClient
) -> None:
    """Nothing has to be looked at to tell that."""
    alice = acting("onlooker")
    for tool, arguments in {
        **on_containers(world.ours.name),
        **links(world.our_network.name, world.ours.name),
        **on_networks(world.our_network.name),
    }.items():
        if tool in ("inspect-container", "get-logs", "container-stats", "network-inspect"):
            await alice(tool, **arguments)
            continue
        asked = len(alice.proxy.requests)
        await alice.denied(tool, **arguments)
        assert not [each for each in alice.proxy.requests[asked:] if "/containers/" in each or "/networks/" in each]
    await alice.denied("create-container", image="i", name=world.ours.name)
    await alice.denied("network-create", name=world.our_network.name)
    assert engine.inspect_container(world.ours.id)["State"]["Running"]


async def test_a_role_that_is_not_defined_may_nothing(acting: Callable[[str], Acting], world: World) -> None:
    nobody = acting("undefined")
    for tool, arguments in {**on_containers(world.ours.name), "list-containers": {}, "network-list": {}}.items():
        await nobody.denied(tool, **arguments)


async def test_what_was_renamed_is_judged_by_the_name_it_has(
    acting: Callable[[str], Acting], world: World, engine: docker.APIClient, name: Callable[[str], str]
) -> None:
    alice = acting("named")
    await alice("inspect-container", container_name=world.ours.id)
    engine.rename(world.ours.id, name("theirs-now"))
    await alice.denied("stop-container", container_name=world.ours.id)
    await alice.denied("stop-container", container_name=name("theirs-now"))


async def test_a_name_that_looks_like_an_id_is_a_name(
    acting: Callable[[str], Acting], world: World, engine: docker.APIClient, image: str
) -> None:
    """The engine prefers a full id to a name, and a name to the prefix of an id: so it is asked before it is judged."""
    trap = engine.create_container(image, ["sleep", "600"], name=world.ours.id[:12])
    try:
        for role in ROLES:
            await acting(role).denied("remove-container", container_name=world.ours.id[:12], force=True)
    finally:
        engine.remove_container(trap["Id"], force=True)


# --- what is told of others ---------------------------------------------------------------------------------------


def alike(one: DockerMcpError, named: str, other: DockerMcpError, also_named: str) -> bool:
    """Whether two denials differ in nothing but what the caller named itself."""
    return one.describe().replace(named, "it") == other.describe().replace(also_named, "it")


@every_role
async def test_by_name_nobody_learns_whether_something_of_others_exists(
    role: str, acting: Callable[[str], Acting], world: World, name: Callable[[str], str]
) -> None:
    alice, gone = acting(role), name("theirs-gone")
    there = {**on_containers(world.theirs.name), **links(world.our_network.name, world.theirs.name)}
    missing = {**on_containers(gone), **links(world.our_network.name, gone)}
    for tool in there:
        errors = [await alice.denied(tool, **calls[tool]) for calls in (there, missing)]
        assert alike(errors[0], world.theirs.name, errors[1], gone), [error.describe() for error in errors]
    there = {**on_networks(world.their_network.name), **links(world.their_network.name, world.ours.name)}
    missing = {**on_networks(gone), **links(gone, world.ours.name)}
    for tool in there:
        errors = [await alice.denied(tool, **calls[tool]) for calls in (there, missing)]
        assert alike(errors[0], world.their_network.name, errors[1], gone), [error.describe() for error in errors]


@every_role
@pytest.mark.parametrize("digits", [64, 12])
async def test_by_id_nobody_learns_whether_something_of_others_exists_or_its_name(
    role: str, digits: int, acting: Callable[[str], Acting], world: World
) -> None:
    alice = acting(role)
    for thing, calls in ((world.theirs, on_containers), (world.their_network, on_networks)):
        there, missing = thing.id[:digits], thing.id[::-1][:digits]
        for tool in calls(there):
            errors = [await alice.denied(tool, **calls(named)[tool]) for named in (there, missing)]
            assert thing.name not in errors[0].describe()
            assert alike(errors[0], there, errors[1], missing), [error.describe() for error in errors]


@pytest.mark.parametrize("role", ["named", "onlooker"])
async def test_of_what_is_its_own_a_role_learns_that_it_is_gone(
    role: str, acting: Callable[[str], Acting], world: World, name: Callable[[str], str]
) -> None:
    answer = await acting(role).answer("inspect-container", container_name=name("ours-gone"))
    assert answer.error
    assert answer.error.code == "container_not_found"


# --- lists --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [*ROLES, "onlooker"])
async def test_lists_show_what_a_role_may_see_and_count_nothing_else(
    role: str, acting: Callable[[str], Acting], world: World, engine: docker.APIClient, image: str, name: Any
) -> None:
    engine.create_container(image, ["true"], name=name("ours-second"), labels=world.labels)
    alice, ours = acting(role), sorted([name("ours-second"), world.ours.name])
    listed = await alice("list-containers", all=True, fields=["labels"])
    assert sorted(row["name"] for row in listed["containers"]) == ours
    assert listed["total"] == 2
    assert [row["name"] for row in (await alice("list-containers"))["containers"]] == [world.ours.name]
    first = await alice("list-containers", all=True, limit=1)
    rest = await alice("list-containers", all=True, limit=1, cursor=first["next_cursor"])
    assert sorted(row["name"] for page in (first, rest) for row in page["containers"]) == ours
    assert "next_cursor" not in rest
    networks = await alice("network-list")
    assert [row["name"] for row in networks["networks"]] == [world.our_network.name]
    assert networks["total"] == 1
    assert await alice("image-list") == {"images": [], "total": 0}
    assert (await alice("compose-list"))["stacks"] == []


async def test_lists_leave_out_what_a_role_is_denied(
    acting: Callable[[str], Acting], world: World, engine: docker.APIClient, image: str, name: Any
) -> None:
    engine.create_container(image, ["true"], name=name("other-labelled"), labels={LABEL: name("b")})
    alice = acting("careful")
    containers = {row["name"] for row in (await alice("list-containers", all=True, limit=200))["containers"]}
    assert containers & {world.ours.name, world.theirs.name, name("other-labelled")} == {world.ours.name}
    networks = {row["name"] for row in (await alice("network-list"))["networks"]}
    assert networks & {world.our_network.name, world.their_network.name} == {world.our_network.name}
    assert "bridge" in networks


@every_role
async def test_what_shares_a_network_of_ours_is_not_shown(
    role: str, acting: Callable[[str], Acting], world: World, engine: docker.APIClient
) -> None:
    for each in (world.ours, world.theirs):
        engine.connect_container_to_network(each.id, world.our_network.id)
    shown = await acting(role)("network-inspect", name=world.our_network.name)
    assert [row["name"] for row in shown["containers"]] == [world.ours.name]


# --- new objects --------------------------------------------------------------------------------------------------


async def test_containers_are_made_only_under_names_of_the_role(
    acting: Callable[[str], Acting], world: World, image: str, name: Callable[[str], str], engine: docker.APIClient
) -> None:
    alice, of = acting("named"), {"image": image, "command": ["true"], "start": False}
    for other in ({"name": name("theirs-new")}, {}, {"name": name("ours")}, {"name": name("ours-x").upper()}):
        await alice.denied("create-container", **of, **other)
    await alice.denied("create-container", **of, name=name("theirs-new"), labels=world.labels)
    made = await alice("create-container", **of, name=name("ours-new"))
    assert engine.inspect_container(made["id"])["Name"] == f"/{name('ours-new')}"


async def test_containers_are_made_only_with_labels_of_the_role(
    acting: Callable[[str], Acting], world: World, image: str, name: Callable[[str], str], engine: docker.APIClient
) -> None:
    alice, of = acting("labelled"), {"image": image, "command": ["true"], "start": False}
    for labels in ({}, {LABEL: name("b")}, {LABEL: ""}, {"other": name("a")}, {LABEL.upper(): name("a")}):
        await alice.denied("create-container", **of, name=name("new"), labels=labels)
    await alice.denied("create-container", **of, name=name("new"))
    made = await alice("create-container", **of, name=name("new"), labels=world.labels)
    assert engine.inspect_container(made["id"])["Config"]["Labels"][LABEL] == name("a")
    await alice("remove-container", container_name=name("new"))


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        ("named", {"name": "ours-new"}, [{"name": "theirs-new"}, {"name": "ours"}]),
        ("labelled", {"name": "new", "label": "a"}, [{"name": "new"}, {"name": "new", "label": "b"}]),
        ("careful", {"name": "new"}, [{"name": "theirs-new"}, {"name": "new", "label": "b"}]),
    ],
)
async def test_networks_are_made_only_under_names_and_labels_of_the_role(
    role: str, may: dict[str, str], may_not: list[dict[str, str]], acting: Callable[[str], Acting], name: Any
) -> None:
    def arguments(given: dict[str, str]) -> dict[str, Any]:
        labels = {"labels": {LABEL: name(given["label"])}} if "label" in given else {}
        return {"name": name(given["name"]), **labels}

    alice = acting(role)
    for each in may_not:
        await alice.denied("network-create", **arguments(each))
    await alice("network-create", **arguments(may))


def new_container(world: World, role: str, image: str, name: Callable[[str], str]) -> dict[str, Any]:
    """A call that the role may make."""
    given = {"image": image, "command": ["true"], "start": False, "name": name("ours-new")}
    return given | ({"labels": world.labels} if role == "labelled" else {})


@pytest.mark.parametrize("role", [*ROLES, "careful"])
@every_way
async def test_containers_are_not_made_in_networks_of_others(
    role: str, way: str, acting: Callable[[str], Acting], world: World, image: str, name: Any, engine: docker.APIClient
) -> None:
    alice, of = acting(role), new_container(world, role, image, name)
    await alice.denied("create-container", **of, networks=[world.their_network.called(way)])
    await alice.denied("create-container", **of, networks=[world.our_network.name, world.their_network.called(way)])
    assert engine.inspect_network(world.their_network.id)["Containers"] == {}


@pytest.mark.parametrize("role", [*ROLES, "careful"])
async def test_containers_are_not_given_volumes_of_others(
    role: str, acting: Callable[[str], Acting], world: World, image: str, name: Any
) -> None:
    alice, of = acting(role), new_container(world, role, image, name)
    await alice.denied("create-container", **of, volumes={world.their_volume: "/data"})
    await alice.denied("create-container", **of, volumes={world.our_volume: "/a", world.their_volume: "/b:ro"})


async def test_labels_of_networks_and_volumes_deny_as_their_names_do(
    acting: Callable[[str], Acting], world: World, image: str, name: Any, engine: docker.APIClient
) -> None:
    engine.create_network(name("shared-net"), labels={LABEL: name("b")})
    engine.create_volume(name("shared-data"), labels={LABEL: name("b")})
    alice, of = acting("careful"), new_container(world, "careful", image, name)
    await alice.denied("network-connect", network=name("shared-net"), container=world.ours.name)
    await alice.denied("create-container", **of, networks=[name("shared-net")])
    await alice.denied("create-container", **of, volumes={name("shared-data"): "/data"})


@pytest.mark.parametrize("role", [*ROLES, "careful"])
@pytest.mark.parametrize("into", ["network", "volume"])
async def test_containers_are_made_in_networks_and_with_volumes_of_ours(
    role: str,
    into: str,
    acting: Callable[[str], Acting],
    world: World,
    image: str,
    name: Any,
    engine: docker.APIClient,
) -> None:
    alice, of = acting(role), new_container(world, role, image, name)
    places: dict[str, Any] = {
        "network": {"networks": [world.our_network.name]},
        "volume": {"volumes": {world.our_volume: "/data"}},
    }
    made = engine.inspect_container((await alice("create-container", **of, **places[into]))["id"])
    if into == "network":
        assert list(made["NetworkSettings"]["Networks"]) == [world.our_network.name]
    else:
        assert [mount["Name"] for mount in made["Mounts"]] == [world.our_volume]


@every_role
async def test_others_cannot_be_taken_over_by_labels_of_compose(
    role: str, acting: Callable[[str], Acting], world: World, image: str, name: Any
) -> None:
    """A container with such a label would be a part of a stack of others."""
    of = new_container(world, role, image, name)
    labels = {**of.pop("labels", {}), "com.docker.compose.project": "theirs"}
    answer = await acting(role).answer("create-container", **of, labels=labels)
    assert answer.error
    assert answer.error.code == "invalid_arguments"


# --- the rules change ---------------------------------------------------------------------------------------------


async def test_rules_that_change_hold_from_the_next_call(
    acting: Callable[[str], Acting], world: World, rules: Path
) -> None:
    alice = acting("named")
    await alice("inspect-container", container_name=world.ours.name)
    before = alice.application.policy().digest
    write_private(rules, orjson.dumps({"roles": {"named": {"allow": [{"tools": ["network-*"]}]}}}))
    await alice.denied("inspect-container", container_name=world.ours.name)
    assert alice.application.policy().digest != before
    write_private(rules, b'{"roles": {"named": {"allow": [{}]}')
    await alice.denied("inspect-container", container_name=world.ours.name)
