"""Containers that run as they were asked to."""

from pathlib import Path

import docker
import pytest

from tests.real.calls import SLEEP, Calls, Name, eventually

pytestmark = pytest.mark.anyio


def said(engine: docker.APIClient, container: str) -> str:
    """Return what a container prints until it ends, without its errors."""
    engine.wait(container, timeout=20)
    printed: bytes = engine.logs(container, stderr=False)
    return printed.decode()


async def test_a_container_runs_with_its_command_environment_folder_and_user(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    await call(
        "create-container",
        image=image,
        name=name(),
        entrypoint="sh -c",
        command=['echo "$GREETING"; cd . && echo "$PWD"; test -w /bin || echo "no root"'],
        environment={"GREETING": "a  b"},
        working_dir="/tmp",
        user="1000:1000",
    )
    assert said(engine, name()) == "a  b\n/tmp\nno root\n"


@pytest.mark.parametrize("read_only", [{"target": "/data:ro"}, {"target": {"bind": "/data", "mode": "ro"}}])
async def test_a_host_folder_is_seen_and_read_only_if_asked(
    call: Calls, engine: docker.APIClient, image: str, name: Name, tmp_path: Path, read_only: dict[str, object]
) -> None:
    (tmp_path / "file").write_text("from the host\n")
    script = "cat /data/file; echo x > /data/new || echo refused"
    await call(
        "create-container",
        image=image,
        name=name(),
        command=["sh", "-c", script],
        volumes={str(tmp_path): read_only["target"]},
    )
    assert said(engine, name()) == "from the host\nrefused\n"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("target", ["/data", "/data:rw", {"bind": "/data"}])
async def test_a_named_volume_outlives_its_container_and_tells_its_command(
    call: Calls, engine: docker.APIClient, image: str, name: Name, target: object
) -> None:
    volumes = {name("volume"): target}
    first = await call.answer(
        "create-container", image=image, name=name("a"), command=["sh", "-c", "echo kept > /data/x"], volumes=volumes
    )
    assert said(engine, name("a")) == ""
    await call("remove-container", container_name=name("a"), volumes=True)
    await call("create-container", image=image, name=name("b"), command=["cat", "/data/x"], volumes=volumes)
    assert said(engine, name("b")) == "kept\n"
    labels = engine.inspect_volume(name("volume"))["Labels"]
    assert labels["docker-mcp.command"] == first.command_id


async def test_a_container_becomes_healthy(call: Calls, engine: docker.APIClient, image: str, name: Name) -> None:
    check = {"cmd": "test -f /tmp/ready", "interval": "100ms", "timeout": "2s", "retries": 100}
    script = ["sh", "-c", "sleep 0.3; echo > /tmp/ready; exec sleep 600"]
    await call("create-container", image=image, name=name(), command=script, health_check=check)
    await eventually(lambda: engine.inspect_container(name())["State"]["Health"]["Status"] == "healthy")
    assert (await call("inspect-container", container_name=name()))["health"] == "healthy"


async def test_a_container_whose_health_check_fails_is_told_as_unhealthy(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    check = {"cmd": ["sh", "-c", "exit 1"], "interval": "50ms", "retries": 1}
    await call("create-container", image=image, name=name(), command=SLEEP, health_check=check)
    await eventually(lambda: engine.inspect_container(name())["State"]["Health"]["Status"] == "unhealthy")
    assert (await call("inspect-container", container_name=name()))["health"] == "unhealthy"
    row = next(row for row in (await call("list-containers"))["containers"] if row["name"] == name())
    assert row["status"].endswith("(unhealthy)"), "told unasked, since the state alone says running"


async def test_limits_are_told_as_the_engine_holds_them(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    limits = {"cpu": "0.5", "memory": "16m"}
    await call("create-container", image=image, name=name(), command=SLEEP, resources=limits, start=False)
    detail = await call("inspect-container", container_name=name())
    assert (detail["memory_bytes"], detail["nano_cpus"]) == (16 * 1024**2, 500_000_000)


async def test_a_container_joins_every_network_it_was_given(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    networks = [name("net-a"), name("net-b")]
    ids = [(await call("network-create", name=network))["id"] for network in networks]
    await call("create-container", image=image, name=name("by-name"), command=SLEEP, networks=networks)
    await call("create-container", image=image, name=name("by-id"), command=SLEEP, networks=[ids[0], ids[1][:20]])
    for suffix in ("by-name", "by-id"):
        attached = engine.inspect_container(name(suffix))["NetworkSettings"]["Networks"]
        assert {network: end["NetworkID"] for network, end in attached.items()} == dict(zip(networks, ids, strict=True))


async def test_a_container_that_ends_at_once_is_made_and_told_as_it_is(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    await call("create-container", image=image, name=name(), command=["sh", "-c", "exit 3"])
    engine.wait(name(), timeout=20)
    detail = await call("inspect-container", container_name=name())
    assert (detail["state"], detail["running"], detail["exit_code"]) == ("exited", False, 3)
