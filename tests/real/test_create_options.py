"""Every option of create-container, as the engine has it afterwards."""

from functools import reduce
from typing import Any

import docker
import pytest

from domain.catalogue.fields import COMMAND_LABEL, PRINCIPAL_LABEL
from tests.real.calls import SLEEP, Calls, Name

pytestmark = pytest.mark.anyio

MEBIBYTE = 1024**2
SECOND = 1_000_000_000

OPTIONS: list[tuple[dict[str, Any], str, Any]] = [
    ({"resources": {"cpu": "0.5"}}, "HostConfig.NanoCpus", SECOND // 2),
    ({"resources": {"cpu": 1}}, "HostConfig.NanoCpus", SECOND),
    ({"resources": {"cpu": 0.25, "memory": "64m"}}, "HostConfig.Memory", 64 * MEBIBYTE),
    ({"resources": {"memory": "0.5g"}}, "HostConfig.Memory", 512 * MEBIBYTE),
    ({"resources": {"memory": 33554432}}, "HostConfig.Memory", 32 * MEBIBYTE),
    ({}, "HostConfig.RestartPolicy", {"Name": "", "MaximumRetryCount": 0}),
    ({"restart_policy": "no"}, "HostConfig.RestartPolicy", {"Name": "no", "MaximumRetryCount": 0}),
    ({"restart_policy": "always"}, "HostConfig.RestartPolicy", {"Name": "always", "MaximumRetryCount": 0}),
    (
        {"restart_policy": "unless-stopped"},
        "HostConfig.RestartPolicy",
        {"Name": "unless-stopped", "MaximumRetryCount": 0},
    ),
    ({"restart_policy": "on-failure"}, "HostConfig.RestartPolicy", {"Name": "on-failure", "MaximumRetryCount": 0}),
    ({"restart_policy": "on-failure:3"}, "HostConfig.RestartPolicy", {"Name": "on-failure", "MaximumRetryCount": 3}),
    ({"command": "sh -c 'echo \"a  b\"; sleep 1'"}, "Config.Cmd", ["sh", "-c", 'echo "a  b"; sleep 1']),
    ({"command": ["echo", "a b", ""]}, "Config.Cmd", ["echo", "a b", ""]),
    ({"entrypoint": "sh -c"}, "Config.Entrypoint", ["sh", "-c"]),
    ({"entrypoint": ["sleep"], "command": ["5"]}, "Config.Entrypoint", ["sleep"]),
    ({"working_dir": "/tmp"}, "Config.WorkingDir", "/tmp"),
    ({"user": "1000:1000"}, "Config.User", "1000:1000"),
    ({"networks": ["none"]}, "HostConfig.NetworkMode", "none"),
    (
        {"health_check": {"cmd": "test -f /tmp/ready || exit 1", "interval": "1m30s", "retries": 3}},
        "Config.Healthcheck",
        {"Test": ["CMD-SHELL", "test -f /tmp/ready || exit 1"], "Interval": 90 * SECOND, "Retries": 3},
    ),
    (
        {"health_check": {"cmd": ["true", "a b"], "timeout": "500ms", "start_period": "1.5s"}},
        "Config.Healthcheck",
        {"Test": ["CMD", "true", "a b"], "Timeout": SECOND // 2, "StartPeriod": 3 * SECOND // 2},
    ),
    (
        {"health_check": {"cmd": "true", "interval": "1ms", "timeout": "0s"}},
        "Config.Healthcheck",
        {"Test": ["CMD-SHELL", "true"], "Interval": SECOND // 1000},
    ),
]


@pytest.mark.parametrize(("arguments", "place", "expected"), OPTIONS)
async def test_the_engine_has_what_was_asked_for(
    call: Calls, engine: docker.APIClient, image: str, name: Name, arguments: dict[str, Any], place: str, expected: Any
) -> None:
    answer = await call(
        "create-container", **{"image": image, "name": name(), "command": SLEEP, **arguments}, start=False
    )
    found = engine.inspect_container(name())
    assert reduce(lambda tree, key: tree[key], place.split("."), found) == expected
    assert answer["id"] == found["Id"]
    assert answer["state"] == found["State"]["Status"] == "created"


async def test_environment_values_reach_the_container_as_text(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    environment = {
        "TEXT": "a  b='c'",
        "NUMBER": 7,
        "NEGATIVE": -1,
        "YES": True,
        "NO": False,
        "EMPTY": "",
        "UMLAUT": "grüße",
        "LINES": "a\nb",
    }
    await call("create-container", image=image, name=name(), command=SLEEP, environment=environment, start=False)
    expected = {
        "TEXT=a  b='c'",
        "NUMBER=7",
        "NEGATIVE=-1",
        "YES=true",
        "NO=false",
        "EMPTY=",
        "UMLAUT=grüße",
        "LINES=a\nb",
    }
    assert expected <= set(engine.inspect_container(name())["Config"]["Env"])


async def test_a_container_without_a_name_gets_one_that_tells_its_command(
    call: Calls, engine: docker.APIClient, image: str
) -> None:
    answer = await call.answer("create-container", image=image, command=SLEEP, start=False)
    made = answer.content()
    try:
        found = engine.inspect_container(made["id"])
        assert found["Name"] == f"/{made['name']}"
        assert answer.command_id.endswith(made["name"].removeprefix("mcp-"))
        assert call.outcome(answer)["touched"] == [{"kind": "container", "id": made["id"], "name": made["name"]}]
    finally:
        engine.remove_container(made["id"])


async def test_the_log_names_a_container_that_was_created_without_a_name(
    call: Calls, engine: docker.APIClient, image: str
) -> None:
    answer = await call.answer("create-container", image=image, command=SLEEP, start=False)
    engine.remove_container(answer.content()["id"])
    assert call.events(answer)[-1].object == f"container/{answer.content()['name']}"


async def test_labels_lead_from_the_container_to_its_command(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    answer = await call.answer(
        "create-container", image=image, name=name(), command=SLEEP, labels={"team": "a", "empty": ""}, start=False
    )
    assert engine.inspect_container(name())["Config"]["Labels"] == {
        "team": "a",
        "empty": "",
        COMMAND_LABEL: answer.command_id,
        PRINCIPAL_LABEL: call.application.principal.name,
    }


@pytest.mark.parametrize("label", [COMMAND_LABEL, PRINCIPAL_LABEL, "docker-mcp.", "Docker-MCP.Command"])
@pytest.mark.parametrize("value", ["forged", ""])
async def test_a_caller_cannot_set_the_labels_of_the_server(
    call: Calls, engine: docker.APIClient, image: str, name: Name, label: str, value: str
) -> None:
    error = await call.refused("create-container", image=image, name=name(), labels={label: value})
    assert error.code == "invalid_arguments"
    assert engine.containers(all=True, filters={"name": name()}) == []


async def test_an_image_cannot_forge_the_labels_of_the_server(
    call: Calls, engine: docker.APIClient, name: Name, root_folder: bytes, forget_image: Any
) -> None:
    forged = forget_image(name("image"))
    changes = [f"LABEL {COMMAND_LABEL}=forged {PRINCIPAL_LABEL}= other=kept"]
    engine.import_image_from_data(root_folder, repository=forged, changes=changes)
    answer = await call.answer("create-container", image=forged, name=name(), command=SLEEP, start=False)
    assert engine.inspect_container(name())["Config"]["Labels"] == {
        "other": "kept",
        COMMAND_LABEL: answer.command_id,
        PRINCIPAL_LABEL: call.application.principal.name,
    }


async def test_an_image_may_be_named_by_its_id(call: Calls, engine: docker.APIClient, image: str, name: Name) -> None:
    image_id = engine.inspect_image(image)["Id"]
    for reference in (image_id, image_id.removeprefix("sha256:")[:12]):
        suffix = f"by-{len(reference)}"
        await call("create-container", image=reference, name=name(suffix), command=SLEEP, start=False)
        assert engine.inspect_container(name(suffix))["Image"] == image_id
