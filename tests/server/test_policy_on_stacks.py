"""Roles and stacks: whoever may operate a stack by its name reaches nothing that is another's or denied."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import docker
import orjson
import pytest

from adapters.private_file import write_private
from tests.conftest import Serve
from tests.engine_proxy import EngineProxy
from tests.real.stack_files import PROJECT, SERVICE, containers
from tests.server.test_policy_on_objects import LABEL, Acting

pytestmark = [pytest.mark.anyio, pytest.mark.engine, pytest.mark.promise("P7")]

Name = Callable[[str], str]
OPERATIONS: dict[str, dict[str, Any]] = {
    "compose-ps": {},
    "compose-logs": {},
    "compose-start": {},
    "compose-stop": {"timeout": 0},
    "compose-restart": {"timeout": 0},
    "compose-down": {"timeout": 0},
}


_FROM_COMPOSE = {"com.docker.compose.oneoff": "False", "com.docker.compose.config-hash": "0" * 64}


@pytest.fixture
async def acting(
    serve: Serve, proxy: EngineProxy, tmp_path: Path, name: Name, image: str
) -> AsyncIterator[Callable[[str], Acting]]:
    """Returns what calls in a role."""
    own = [f"stack/{name('a')}-*"]
    roles: dict[str, Any] = {
        "named": {"allow": [{"tools": ["*compose*"], "objects": own}]},
        "careful": {
            "allow": [{}],
            "deny": [
                {"objects": [f"container/{name('prod')}-*", f"volume/{name('prod')}_*"]},
                {"labels": {LABEL: "b"}},
            ],
        },
        "labelled": {"allow": [{"labels": {LABEL: "a"}}]},
        "of-images": {"allow": [{"images": [image]}]},
        "not-images": {"allow": [{}], "deny": [{"images": [image.partition(":")[0]]}]},
    }
    file = tmp_path / "rules" / "auth.json"
    opened = {"external_volumes": True, "join_containers": True, "volumes_from": True}
    write_private(file, orjson.dumps({"roles": roles, "host_safety": opened}))
    async with serve(DOCKER_HOST=proxy.url, DOCKER_MCP_AUTH_FILE=file) as application:
        yield lambda role: Acting(application, proxy, role)


@pytest.fixture
def standing(engine: docker.APIClient, image: str) -> Callable[..., str]:
    """Makes a container that Compose takes for one of a stack, and returns its name."""

    def make(project: str, service: str = "web", container: str | None = None, **labels: str) -> str:
        named = container or f"{project}-{service}-1"
        of = {PROJECT: project, SERVICE: service, **_FROM_COMPOSE, **labels}
        engine.start(engine.create_container(image, ["sleep", "600"], name=named, labels=of)["Id"])
        return named

    return make


def stack(image: str, **keys: Any) -> dict[str, Any]:
    service = {"image": image, "command": ["sleep", "600"], "stop_grace_period": "0s", "network_mode": "none", **keys}
    return {"services": {"web": service}}


def deployment(project: str, tree: dict[str, Any]) -> dict[str, Any]:
    return {"project_name": project, "compose_yaml": orjson.dumps(tree).decode(), "wait": False}


# --- stacks that stand ----------------------------------------------------------------------------------------------


async def test_operations_reach_the_stack_of_that_name_alone(
    acting: Callable[[str], Acting], standing: Callable[..., str], engine: docker.APIClient, name: Name
) -> None:
    """Not one whose name begins alike."""
    ours, theirs = name("a-shop"), name("a-shop") + "2"
    standing(ours)
    standing(theirs)
    alice = acting("named")
    before = engine.inspect_container(f"{theirs}-web-1")
    for tool in ("compose-ps", "compose-logs", "compose-stop", "compose-down"):
        await alice(tool, project_name=ours, **OPERATIONS[tool])
    assert containers(engine, ours) == {}
    assert engine.inspect_container(f"{theirs}-web-1")["State"] == before["State"]
    for tool, more in OPERATIONS.items():
        await alice.denied(tool, project_name=name("prod"), **more)


@pytest.mark.parametrize("by", ["name", "label", "one-off"])
async def test_a_container_that_is_denied_denies_its_whole_stack(
    by: str, acting: Callable[[str], Acting], standing: Callable[..., str], engine: docker.APIClient, name: Name
) -> None:
    project = name("a-mixed")
    standing(project)
    if by == "name":
        denied = standing(project, "db", name("prod-db"))
    else:
        off = {"com.docker.compose.oneoff": "True"} if by == "one-off" else {}
        denied = standing(project, "db", None, **{LABEL: "b"}, **off)
    alice = acting("careful")
    for tool, more in OPERATIONS.items():
        await alice.denied(tool, project_name=project, **more)
    await alice.denied("deploy-compose", **deployment(project, stack("any")))  # it would be removed as an orphan
    assert project not in [row["name"] for row in (await alice("compose-list", limit=500))["stacks"]]
    assert engine.inspect_container(denied)["State"]["Running"]
    other = name("a-plain")
    standing(other)
    assert other in [row["name"] for row in (await alice("compose-list", limit=500))["stacks"]]
    await alice("compose-stop", project_name=other, timeout=0)


async def test_by_labels_a_role_operates_stacks_that_bear_them_throughout(
    acting: Callable[[str], Acting], standing: Callable[..., str], engine: docker.APIClient, image: str, name: Name
) -> None:
    ours, mixed = name("a-ours"), name("a-mixed")
    standing(ours, **{LABEL: "a"})
    standing(mixed, **{LABEL: "a"})
    standing(mixed, "db", None)
    alice = acting("labelled")
    assert [row["name"] for row in (await alice("compose-list"))["stacks"]] == [ours]
    for tool, more in OPERATIONS.items():
        await alice.denied(tool, project_name=mixed, **more)
        await alice.denied(tool, project_name=name("a-none"), **more)
    for tool, more in OPERATIONS.items():
        await alice(tool, project_name=ours, **more)


# --- deployments ----------------------------------------------------------------------------------------------------


async def test_by_labels_a_role_deploys_what_bears_them_throughout(
    acting: Callable[[str], Acting], standing: Callable[..., str], image: str, name: Name
) -> None:
    project, bearing = name("a-new"), {"labels": {LABEL: "a"}}
    alice = acting("labelled")
    for tree in (
        stack(image),
        stack(image, labels={LABEL: "b"}),
        {"services": {**stack(image, **bearing)["services"], "db": stack(image)["services"]["web"]}},
        {**stack(image, **bearing, volumes=["data:/d"]), "volumes": {"data": {}}},
        {**stack(image, **bearing, volumes=["data:/d"]), "volumes": {"data": {"labels": {LABEL: "b"}}}},
    ):
        await alice.denied("deploy-compose", **deployment(project, tree))
    standing(project, "old")
    await alice.denied("deploy-compose", **deployment(project, stack(image, **bearing)))
    tree = {**stack(image, **bearing, volumes=["data:/d"]), "volumes": {"data": bearing}}
    answer = await alice.answer("deploy-compose", **deployment(name("a-other"), tree))
    assert answer.error is None, answer.error.describe()


async def test_a_deployment_takes_over_nothing_of_others(
    acting: Callable[[str], Acting], engine: docker.APIClient, image: str, name: Name
) -> None:
    """By a name of its own, as external, by joining it, or because it bears a name that Compose would give."""
    victim = name("prod-db")
    engine.start(engine.create_container(image, ["sleep", "600"], name=victim)["Id"])
    project = name("a-new")
    engine.create_volume(f"{project}_data")
    engine.create_volume(name("prod-data"), labels={LABEL: "b"})
    mounting = stack(image, volumes=["data:/data"])
    before = engine.inspect_container(victim)
    for role, tree in (
        ("named", stack(image, container_name=victim)),
        ("named", stack(image, network_mode=f"container:{victim}")),
        ("named", stack(image, pid=f"container:{victim}")),
        ("named", stack(image, ipc=f"container:{victim}")),
        ("named", stack(image, volumes_from=[f"container:{victim}"])),
        ("named", {**mounting, "volumes": {"data": {}}}),
        ("named", {**mounting, "volumes": {"data": {"name": name("prod-data")}}}),
        ("named", {**mounting, "volumes": {"data": {"external": True, "name": name("prod-data")}}}),
        ("careful", stack(image, container_name=victim)),
        ("careful", {**mounting, "volumes": {"data": {"external": True, "name": name("prod-data")}}}),
    ):
        await acting(role).denied("deploy-compose", **deployment(project, tree))
    after = engine.inspect_container(victim)
    assert (after["Id"], after["State"]) == (before["Id"], before["State"])
    assert containers(engine, project) == {}


async def test_a_stack_that_is_down_leaves_its_volumes_to_whoever_may_touch_them(
    acting: Callable[[str], Acting], engine: docker.APIClient, image: str, name: Name
) -> None:
    """Otherwise a stack of the same name would get hold of them."""
    project = name("prod")
    engine.create_volume(f"{project}_data", labels={PROJECT: project, "com.docker.compose.volume": "data"})
    tree = {**stack(image, volumes=["data:/data"], labels={LABEL: "a"}), "volumes": {"data": {"labels": {LABEL: "a"}}}}
    for role in ("labelled", "careful"):
        await acting(role).denied("deploy-compose", **deployment(project, tree))
    assert containers(engine, project) == {}


# --- images ---------------------------------------------------------------------------------------------------------


async def test_images_are_judged_of_containers_pulls_and_every_service(
    acting: Callable[[str], Acting], engine: docker.APIClient, image: str, name: Name
) -> None:
    other, image_id = "nosuch.invalid/other:1", engine.inspect_image(image)["Id"]
    alice = acting("of-images")
    for spelling in (other, image_id, image_id.removeprefix("sha256:")[:12], image_id.removeprefix("sha256:")):
        await alice.denied("create-container", image=spelling, name=name("c"))
        await alice.denied("image-pull", image=spelling)
        await alice.denied("deploy-compose", **deployment(name("a-new"), stack(spelling)))
    two = {"services": {**stack(image)["services"], "db": stack(other)["services"]["web"]}}
    await alice.denied("deploy-compose", **deployment(name("a-new"), two))
    mounted = stack(image, volumes=[{"type": "image", "source": other, "target": "/x"}])
    answer = await alice.answer("deploy-compose", **deployment(name("a-new"), mounted))
    assert answer.error
    assert answer.error.code in ("denied", "invalid_arguments")  # as far as the plugin knows such mounts
    await alice("create-container", image=f"docker.io/library/{image}", name=name("c"), command=["sleep", "600"])
    await alice("stop-container", container_name=name("c"), timeout=0)
    await alice("list-containers")
    deployed = await alice.answer("deploy-compose", **deployment(name("a-new"), stack(image)))
    assert deployed.error is None, deployed.error.describe()


async def test_a_denied_image_is_denied_by_every_spelling(
    acting: Callable[[str], Acting], engine: docker.APIClient, image: str, name: Name
) -> None:
    repository, _, tag = image.partition(":")
    image_id = engine.inspect_image(image)["Id"]
    alice = acting("not-images")
    for spelling in (
        image,
        repository,
        f"library/{image}",
        f"docker.io/{image}",
        f"index.docker.io/library/{repository}:{tag or 'latest'}",
        f"docker.io:443/library/{image}",
        f"{repository}@sha256:{'0' * 64}",
        image_id,
        image_id.removeprefix("sha256:")[:6],
    ):
        await alice.denied("create-container", image=spelling, name=name("c"))
        await alice.denied("image-pull", image=spelling)
        await alice.denied("deploy-compose", **deployment(name("a-new"), stack(spelling)))
    assert engine.containers(all=True, filters={"name": name("c")}) == []
