"""Measurements of a container and facts about the engine."""

from typing import Any

import anyio
import docker
import pytest

from tests.real.calls import SLEEP, Calls, Name

pytestmark = pytest.mark.anyio


async def test_busy_paused_and_lonely_containers_are_measured(
    call: Calls, engine: docker.APIClient, image: str, name: Name, container: str
) -> None:
    limits = engine.create_host_config(nano_cpus=500_000_000, mem_limit=32 * 1024**2)
    lonely = engine.create_host_config(network_mode="none")
    spin = ["sh", "-c", "while true; do :; done"]
    engine.start(engine.create_container(image, spin, name=name("busy"), host_config=limits))
    engine.start(engine.create_container(image, SLEEP, name=name("lonely"), host_config=lonely))
    engine.pause(container)
    measured: dict[str, dict[str, Any]] = {}

    async def measure(each: str) -> None:
        measured[each] = await call("container-stats", container_name=each)

    async with anyio.create_task_group() as group:
        for each in (name("busy"), name("lonely"), container):
            group.start_soon(measure, each)
    busy = measured[name("busy")]
    assert busy["name"] == name("busy")
    assert 20 <= busy["cpu_millicores"] <= 700
    assert 0 < busy["memory_bytes"] <= busy["memory_limit_bytes"] == 32 * 1024**2
    assert busy["processes"] >= 1
    assert {"network_rx_bytes", "network_tx_bytes", "disk_read_bytes", "disk_write_bytes"} <= busy.keys()
    paused = measured[container]
    assert (paused["cpu_millicores"], paused["processes"]) == (0, 1)
    alone = measured[name("lonely")]
    assert (alone["network_rx_bytes"], alone["network_tx_bytes"]) == (0, 0)


@pytest.mark.parametrize("ended", [False, True])
async def test_a_container_that_does_not_run_is_not_measured(
    call: Calls, engine: docker.APIClient, image: str, name: Name, ended: bool
) -> None:
    engine.create_container(image, ["true"], name=name())
    if ended:
        engine.start(name())
        engine.wait(name(), timeout=20)
    error = await call.refused("container-stats", container_name=name())
    assert error.code == "container_not_running"
    assert "start-container" in error.hint


async def test_the_engine_is_described_as_it_describes_itself(call: Calls, engine: docker.APIClient) -> None:
    info = await call("system-info")
    said = engine.info()
    same = {
        "engine_id": "ID",
        "name": "Name",
        "version": "ServerVersion",
        "operating_system": "OperatingSystem",
        "architecture": "Architecture",
        "kernel": "KernelVersion",
        "cpus": "NCPU",
        "memory_bytes": "MemTotal",
        "storage_driver": "Driver",
    }
    assert {ours: info[ours] for ours in same} == {ours: said[theirs] for ours, theirs in same.items()}
    assert info["api_version"] == engine.api_version
    assert info["containers"] == info["containers_running"] + info["containers_paused"] + info["containers_stopped"]
