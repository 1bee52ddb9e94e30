"""What is refused or fails: told clearly, recorded, nothing of it readable, everything else as it was."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import orjson
import pytest

from tests.conftest import Serve
from tests.engine_proxy import EngineProxy
from tests.real.calls import SLEEP, Calls, Name
from tests.real.stack_files import SLEEPER, STACK, containers, ids, one_service, running

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

SECRET = "tell-nobody-Zx81"
NEVER_HEALTHY: dict[str, Any] = {"test": "exit 1", "interval": "1s", "retries": 500}


@pytest.fixture(autouse=True)
def _no_stack_is_left(engine: docker.APIClient, name: Name) -> Iterator[None]:
    yield
    for found in engine.containers(all=True, filters={"label": f"{STACK}={name('stack')}"}):
        engine.remove_container(found["Id"], force=True)


async def refused(call: Calls, name: Name, compose_yaml: str, **more: Any) -> str:
    answer = await call.answer("deploy-compose", project_name=name("stack"), compose_yaml=compose_yaml, **more)
    assert answer.error is not None, answer.content()
    told = answer.error.describe()
    assert SECRET not in told
    assert "Traceback" not in told
    assert all(SECRET not in event.data for event in call.events(answer))
    assert call.status(answer) in ("rejected", "failed")
    return told


@pytest.mark.parametrize(
    ("compose_yaml", "told"),
    [
        ("services: [", "invalid_yaml: line 2"),
        ("services:\n  web: {image: a}\n  web: {image: b}", "line 3: services.web stands here twice"),
        ("services: {web: {image: a}}\n---\nservices: {}", "line 2: a second document"),
        ("services: {web: {image: !file /etc/shadow}}", "line 1: tags are not allowed"),
        ("services:\n  web:\n    image: a\n    env_file: /etc/shadow", "line 4: services.web.env_file"),
        ("services:\n  web:\n    build: .", "line 3: services.web.build"),
        ("include: [/etc/x.yml]\nservices: {web: {image: a}}", "line 1: include"),
        ("services: {web: {extends: {file: /x, service: y}}}", "line 1: services.web.extends.file"),
        ("services: {web: {image: a}}\nsecrets:\n  s: {environment: HOME}", "line 3: secrets.s.environment"),
        ("services: {web: {image: a}}\nconfigs:\n  s:\n    file: /etc/shadow", "line 4: configs.s.file"),
        ("services: {web: {image: a, profiles: [x]}}", "line 1: services.web.profiles"),
        ("services:\n  web:\n    image: a\n    port: 80", "line 4: services.web.port"),
        ("services:\n  web:\n    image: a\n    cpus: [1]", "line 4: services.web.cpus"),
        (f"services:\n  web:\n    image: a\n    ports: ['x:{SECRET}']", "line 4: services.web.ports.0"),
        (
            f"services:\n  web:\n    image: a\n    environment:\n      A: '{SECRET}${{'",
            "line 5: services.web.environment.A",
        ),
        (f"services:\n  web:\n    image: a\n    depends_on: [{SECRET}]", "line 4: services.web.depends_on.0"),
        ("services: {web: {image: 'a:${TAG}', command: '${HOME} ${PATH}'}}", "no value here: HOME, PATH, TAG"),
        (
            "services: {web: {image: a, volumes: ['./data:/data']}}",
            "services.web.volumes.0.source: a relative host path",
        ),
        ("services: {web: {image: a, volumes: ['../../data:/data']}}", "relative host path"),
        ("services: {web: {image: a, volumes: ['~/data:/data']}}", "path"),
        ("services: {web: {image: a, volumes: [{type: bind, source: .., target: /x}]}}", "relative host path"),
        (
            "services: {web: {image: a, volumes: ['data:/x']}}\n"
            "volumes: {data: {driver_opts: {type: none, o: bind, device: ../x}}}",
            "volumes.data.driver_opts.device: a relative host path",
        ),
        ("services: {web: {image: a, environment: [DOCKER_HOST]}}", "services.web.environment.DOCKER_HOST: no value"),
        ("services: {web: {image: a, environment: [DOCKER_CONFIG]}}", "environment.DOCKER_CONFIG: no value"),
        (
            "services: {web: {image: a, labels: {docker-mcp.stack: x}}}",
            "labels that start with docker-mcp. and com.docker.compose. are not yours",
        ),
        ("services: {web: {command: x}}", "has neither an image nor a build context"),
        ("services: {}", "at least one service"),
        ("{}", "at least one service"),
        ("a", "at least one service"),
        ("a: &a [1, 2]\nservices: {web: {image: *nothing}}", "line 2: the alias has no anchor"),
        ("\x01", "a character that YAML does not allow"),
    ],
)
async def test_a_file_that_cannot_be_deployed_is_refused_by_line_and_key(
    call: Calls, engine: docker.APIClient, name: Name, compose_yaml: str, told: str
) -> None:
    assert told in await refused(call, name, compose_yaml)
    assert containers(engine, name("stack")) == {}


async def test_a_bomb_of_aliases_is_refused_at_once(call: Calls, name: Name) -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "aliases written out" in await refused(call, name, "\n".join([*levels, "services: {web: {image: a}}"]))


async def test_a_file_of_ten_megabytes_is_refused_and_recorded_small(call: Calls, name: Name) -> None:
    answer = await call.answer("deploy-compose", project_name=name("stack"), compose_yaml="#" * 10_000_000)
    assert answer.error is not None
    assert "compose_yaml: String should have at most 262144 characters" in answer.error.describe()
    assert sum(len(event.data) for event in call.events(answer)) < 2_000


@pytest.mark.parametrize("project", ["../x", "a/b", "-p", "A", "", "x" * 64, "a b", "..", "é"])
@pytest.mark.parametrize("tool", ["deploy-compose", "compose-down", "compose-ps"])
async def test_a_name_that_is_no_stacks_is_refused(call: Calls, tool: str, project: str) -> None:
    more = {"compose_yaml": "services: {}"} if tool == "deploy-compose" else {}
    error = await call.refused(tool, project_name=project, **more)
    assert error.code == "invalid_arguments"
    assert "project_name" in error.message


@pytest.mark.parametrize(
    "tool", ["compose-ps", "compose-logs", "compose-start", "compose-stop", "compose-restart", "compose-down"]
)
async def test_a_stack_that_does_not_exist_is_not_found(call: Calls, name: Name, tool: str) -> None:
    error = await call.refused(tool, project_name=name("nowhere"))
    assert (error.code, error.applied) == ("stack_not_found", "none")
    assert "compose-list" in error.hint


@pytest.mark.parametrize("tool", ["compose-logs", "compose-start", "compose-stop", "compose-restart"])
async def test_a_service_that_does_not_exist_is_named_with_those_that_do(
    call: Calls, image: str, name: Name, tool: str
) -> None:
    await call("deploy-compose", project_name=name("stack"), compose_yaml=orjson.dumps(one_service(image)).decode())
    error = await call.refused(tool, project_name=name("stack"), service="wab")
    assert error.code == "service_not_found"
    assert "services: web" in error.hint
    assert (await call.refused(tool, project_name=name("stack"), service="--all")).code == "invalid_arguments"


async def test_a_removed_service_is_told_apart_from_one_that_never_was(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    await call("deploy-compose", project_name=name("stack"), compose_yaml=orjson.dumps(one_service(image)).decode())
    engine.remove_container(ids(engine, name("stack"))["web"], force=True)
    error = await call.refused("compose-start", project_name=name("stack"), service="web")
    assert (error.code, error.hint) == ("service_not_deployed", "deploy-compose makes them")


async def test_an_image_that_does_not_exist_leaves_nothing(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    stack = one_service(image)
    stack["services"]["other"] = {"image": "nosuch.invalid/image:1"}
    told = await refused(call, name, orjson.dumps(stack).decode())
    assert told.startswith("registry_unreachable")
    assert containers(engine, name("stack")) == {}
    assert engine.networks(names=[f"{name('stack')}_default"]) == []


async def test_a_port_in_use_is_told_with_what_stands_and_nothing_is_rolled_back(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    made = engine.create_container(
        image, SLEEP, name=name("c"), ports=[80], host_config=engine.create_host_config(port_bindings={80: None})
    )
    engine.start(made["Id"])
    port = engine.port(made["Id"], 80)[0]["HostPort"]
    stack = one_service(image, ports=[f"{port}:80"], depends_on=["db"])
    stack["services"]["db"] = {"image": image, "command": SLEEPER}
    answer = await call.answer("deploy-compose", project_name=name("stack"), compose_yaml=orjson.dumps(stack).decode())
    assert answer.error is not None
    assert (answer.error.code, answer.error.applied) == ("port_in_use", "partial")
    assert "now db: running; web: created" in answer.error.message
    assert running(engine, name("stack")) == {"db"}
    (state,) = call.outcome(answer)["state_after"]
    stands = {each["service"]: (each["id"], each["status"]) for each in state["facts"]["containers"]}
    found = ids(engine, name("stack"))
    assert stands == {"db": (found["db"], "running"), "web": (found["web"], "created")}


@pytest.mark.parametrize(
    ("keys", "patience_s", "code"),
    [
        ({"healthcheck": {"test": "exit 1", "interval": "100ms", "retries": 2}}, 30, "service_unhealthy"),
        ({"healthcheck": NEVER_HEALTHY}, 3, "not_in_time"),
        ({"command": ["sh", "-c", "exit 3"]}, 30, "service_failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("dependent", [False, True], ids=["alone", "waited for"])
async def test_a_service_that_does_not_come_up_is_told(
    call: Calls,
    engine: docker.APIClient,
    image: str,
    name: Name,
    keys: dict[str, Any],
    patience_s: int,
    code: str,
    dependent: bool,
) -> None:
    stack = one_service(image, **keys)
    if "healthcheck" not in keys:  # it may be seen before it ends: another one keeps the deployment waiting
        stack["services"]["slow"] = {"image": image, "command": SLEEPER, "healthcheck": NEVER_HEALTHY}
    if dependent:
        condition = "service_healthy" if "healthcheck" in keys else "service_completed_successfully"
        stack["services"]["later"] = {
            "image": image,
            "command": SLEEPER,
            "depends_on": {"web": {"condition": condition}},
        }
    told = await refused(call, name, orjson.dumps(stack).decode(), timeout=patience_s)
    assert told.startswith(f"{code}: ")
    assert "now " in told
    assert "web: " in told
    assert "compose-logs shows why" in told
    assert "web" in containers(engine, name("stack"))


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    """An allowed directory with a stack's file, and a secret beside it."""
    root = tmp_path / "allowed"
    (root / "sub").mkdir(parents=True)
    (root / "sub/stack.yml").write_text("services: {web: {image: a}, more: {image: b}}")
    (root / "large.yml").write_text("#" * 300_000)
    (root / "binary.yml").write_bytes(b"\xff\xfe")
    (root / "broken.yml").write_text("services: [")
    (tmp_path / "secret.yml").write_text(f"services: {{{SECRET}: {{image: a}}}}")
    (root / "link.yml").symlink_to(tmp_path / "secret.yml")
    (root / "up").symlink_to(tmp_path)
    return root


async def test_a_file_below_an_allowed_directory_tells_the_services(
    serve: Serve, image: str, name: Name, roots: Path
) -> None:
    async with serve(DOCKER_MCP_COMPOSE_ROOTS=f"/nowhere:{roots}") as application:
        call = Calls(application)
        for path in (
            "sub/stack.yml",
            "sub/../sub/stack.yml",
            str(roots / "sub/stack.yml"),
            str(roots / "up/allowed/sub/stack.yml"),
        ):
            shown = await call("compose-ps", project_name=name("stack"), compose_file=path)
            assert [service["service"] for service in shown["services"]] == ["more", "web"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("{root}/../secret.yml", "outside_roots"),
        ("../secret.yml", "outside_roots"),
        ("../nothing.yml", "outside_roots"),
        ("link.yml", "outside_roots"),
        ("up/secret.yml", "outside_roots"),
        ("/etc/shadow", "outside_roots"),
        ("/nothing/at/all", "outside_roots"),
        ("large.yml", "invalid_arguments"),
        ("binary.yml", "invalid_arguments"),
        ("broken.yml", "invalid_yaml"),
        ("sub", "invalid_arguments"),
        ("x\x00y", "invalid_arguments"),
        ("nothing.yml", "stack_not_found"),
    ],
)
@pytest.mark.parametrize("tool", ["compose-ps", "compose-logs", "compose-start", "compose-stop", "compose-down"])
async def test_other_files_are_not_read(
    serve: Serve, engine: docker.APIClient, image: str, name: Name, roots: Path, path: str, code: str, tool: str
) -> None:
    async with serve(DOCKER_MCP_COMPOSE_ROOTS=str(roots)) as application:
        call = Calls(application)
        answer = await call.answer(tool, project_name=name("stack"), compose_file=path.format(root=roots))
        assert answer.error is not None
        assert answer.error.code == code
        assert SECRET not in answer.error.describe()
        assert call.status(answer) in ("failed", "rejected")


async def test_without_roots_no_file_is_read(call: Calls, name: Name, roots: Path) -> None:
    error = await call.refused("compose-ps", project_name=name("stack"), compose_file=str(roots / "sub/stack.yml"))
    assert (error.code, "DOCKER_MCP_COMPOSE_ROOTS" in error.hint) == ("outside_roots", True)


async def test_a_missing_plugin_is_named_with_its_package_and_the_rest_works(
    serve: Serve, image: str, name: Name
) -> None:
    async with serve(DOCKER_MCP_COMPOSE="/nowhere/docker-compose") as application:
        call = Calls(application)
        told = await refused(call, name, "services: {web: {image: a}}")
        assert told.startswith("compose_missing: ")
        assert "docker-compose-plugin" in told
        assert await call("list-containers")
        assert await call("compose-list")


@pytest.mark.promise("P1")
async def test_what_is_refused_asks_the_engine_for_nothing(proxied: Calls, proxy: EngineProxy, name: Name) -> None:
    await refused(proxied, name, "services: {web: {image: a, build: .}}")
    assert proxy.changes() == []
