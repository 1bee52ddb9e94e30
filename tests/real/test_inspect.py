"""What one container looks like from outside."""

import logging
from pathlib import Path
from typing import Any

import docker
import orjson
import pytest

from domain.canonical import sha256_hex
from domain.principal import Principal
from tests.conftest import Serve, caller, write_rules
from tests.real.calls import SLEEP, Calls, Name

pytestmark = pytest.mark.anyio


async def test_a_container_is_described_as_the_engine_has_it(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    host = engine.create_host_config(
        binds=[f"{name('volume')}:/data:ro"], restart_policy={"Name": "on-failure", "MaximumRetryCount": 2}
    )
    made = engine.create_container(
        image,
        ["600"],
        name=name(),
        entrypoint=["sleep"],
        user="1000",
        working_dir="/tmp",
        labels={"a": "b"},
        environment=["SHOWN=by name", "BARE"],
        host_config=host,
    )
    engine.start(made["Id"])
    found = engine.inspect_container(name())
    detail = await call("inspect-container", container_name=name())
    address = found["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    assert detail.pop("environment")[:2] == ["SHOWN", "BARE"]
    assert detail == {
        "id": found["Id"],
        "name": name(),
        "image": image,
        "image_id": found["Image"].removeprefix("sha256:")[:12],
        "created": found["Created"],
        "state": "running",
        "running": True,
        "exit_code": 0,
        "oom_killed": False,
        "restart_count": 0,
        "started_at": found["State"]["StartedAt"],
        "command": ["600"],
        "entrypoint": ["sleep"],
        "working_dir": "/tmp",
        "user": "1000",
        "labels": {"a": "b"},
        "ports": [],
        "mounts": [f"{name('volume')}:/data:ro"],
        "networks": [{"name": "bridge", "ip_address": address, "aliases": []}],
        "restart_policy": "on-failure:2",
        "memory_bytes": 0,
        "nano_cpus": 0,
    }


@pytest.mark.promise("P6")
async def test_environment_values_are_nowhere_in_the_answer(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    engine.create_container(image, SLEEP, name=name(), environment=["TOKEN=tell-nobody-7531", "URL=a=tell-nobody-7531"])
    detail = await call("inspect-container", container_name=name())
    assert {"TOKEN", "URL"} <= set(detail["environment"])
    assert b"tell-nobody-7531" not in orjson.dumps(detail)
    everything = await call(
        "list-containers", all=True, limit=500, fields=["command", "created", "labels", "mounts", "networks", "ports"]
    )
    assert b"tell-nobody-7531" not in orjson.dumps(everything)


@pytest.mark.promise("P6")
async def test_only_a_role_that_may_read_secrets_is_shown_environment_values_and_the_log_never_is(
    serve: Serve, engine: docker.APIClient, image: str, name: Name, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    engine.create_container(image, SLEEP, name=name(), environment=["TOKEN=tell-nobody-7531", "BARE"])
    roles = {"auditor": {"allow": [{}], "secrets": "readable"}, "plain": {"allow": [{}]}}
    rules = write_rules(tmp_path / "rules", roles=roles)
    async with serve(DOCKER_MCP_AUTH_FILE=rules) as application:

        async def inspect(role: str) -> tuple[set[str], dict[str, Any]]:
            as_role = caller(application, principal=Principal("alice", role))
            answer = await application.dispatcher.dispatch("inspect-container", {"container_name": name()}, as_role)
            assert answer.error is None
            outcome = application.store.read_stream(answer.command_id)[-1].payload()
            assert outcome["result_sha256"] == sha256_hex(answer.text().encode())
            assert outcome["result_bytes"] == len(answer.text().encode())
            return set(answer.content()["environment"]), outcome

        readable, outcome = await inspect("auditor")
        assert readable >= {"TOKEN=tell-nobody-7531", "BARE"}
        assert "result" not in outcome
        for role in ("plain", "admin", "user"):
            assert (await inspect(role))[0] == {entry.partition("=")[0] for entry in readable}
        write_rules(tmp_path / "rules", roles={**roles, "admin": roles["auditor"], "auditor": roles["plain"]})
        assert "TOKEN=tell-nobody-7531" in (await inspect("admin"))[0]
        assert "TOKEN" in (await inspect("auditor"))[0]
        path = application.store.location.path
        assert path
        written = [file.read_bytes() for file in path.parent.iterdir() if file.is_file()]
    assert b"tell-nobody" not in b"".join(written)
    assert "tell-nobody" not in caplog.text


@pytest.mark.promise("P6")
async def test_an_environment_value_that_the_runtime_quotes_in_its_error_is_hidden(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    engine.create_container(image, SLEEP, name=name(), environment=["TOKEN=tell-nobody-7531\x00x"])
    error = await call.refused("start-container", container_name=name())
    assert "environment variable" in error.message
    detail = await call("inspect-container", container_name=name())
    assert "environment variable" in detail["error"]
    assert "tell-nobody-7531" in engine.inspect_container(name())["State"]["Error"]
    assert "tell-nobody" not in error.describe()
    assert "tell-nobody" not in orjson.dumps(detail).decode()


async def test_why_a_container_did_not_start_is_told(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    made = engine.create_container(image, ["no-such-program"], name=name())
    error = await call.refused("start-container", container_name=name())
    assert error.code == "refused_by_engine"
    detail = await call("inspect-container", container_name=made["Id"])
    assert '"no-such-program": executable file not found' in detail["error"]
    assert detail["state"] == "created"
