"""A disk that fills up: new commands are refused while the outcomes of running ones still fit."""

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from adapters.store.disk import DiskReserve
from adapters.store.location import Location
from domain.chain import verify
from domain.errors import LowDiskError
from server.bootstrap import Application
from server.call import Answer
from tests.conftest import Serve, caller
from tests.engine_proxy import EngineProxy
from tests.server.conftest import OnChange
from tests.waiting import until

pytestmark = [pytest.mark.anyio]

RESERVE_MIB = 4
FREE_WHEN_LOW = 2 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own of 16 MiB."""
    mount_point = tmp_path / "disk"
    mount_point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(mount_point)], check=True)
    yield mount_point
    subprocess.run(["umount", "--lazy", str(mount_point)], check=True)


def fill_up_to(disk: Path, free: int) -> Path:
    """Leave ``free`` bytes; return the file that takes the others."""
    filler = disk / "filler"
    status = subprocess.run(["stat", "-f", "-c", "%a %S", str(disk)], capture_output=True, check=True, text=True)
    blocks, size = map(int, status.stdout.split())
    filler.write_bytes(b"x" * (blocks * size - free))
    return filler


async def create(application: Application, image: str, name: str) -> Answer:
    arguments = {"image": image, "name": name, "command": "sleep 600"}
    return await application.dispatcher.dispatch("create-container", arguments, caller(application))


@pytest.mark.engine
@pytest.mark.promise("P2", "P1", "P5")
async def test_below_the_reserve_an_outcome_still_fits_while_new_commands_are_refused(
    serve: Serve, disk: Path, proxy: EngineProxy, image: str, name: Callable[[str], str], engine: docker.APIClient
) -> None:
    location = Location(path=disk / "ledger.db")
    async with serve(location, DOCKER_HOST=proxy.url, DOCKER_MCP_DISK_RESERVE_MIB=RESERVE_MIB) as application:
        proxy.requests = OnChange(lambda: fill_up_to(disk, FREE_WHEN_LOW))
        running = await create(application, image, name("running"))
        assert running.error is None, "its outcome is recorded and told"
        assert application.store.read_stream(running.command_id)[-1].status == "success"
        assert (disk / "filler").exists()

        await until(lambda: not application.reserve.has_room())
        head = application.store.read()[-1].position
        proxy.requests = []
        for tool in ("create-container", "list-containers", "no-such-tool"):
            arguments = {"image": image, "name": name("refused")} if tool == "create-container" else {}
            refused = await application.dispatcher.dispatch(tool, arguments, caller(application))
            assert isinstance(refused.error, LowDiskError)
            assert refused.error.code == "log_unavailable"
            assert f"less than {RESERVE_MIB} MiB" in refused.error.message
            assert "DOCKER_MCP_DISK_RESERVE_MIB" in refused.error.hint
            assert "counted in the log, not recorded" in refused.error.hint
            assert not refused.command_id
        assert proxy.requests == []
        assert engine.containers(all=True, filters={"name": name("refused")}) == []
        assert "MiB" in (await application.problems())["log"]
        await application.refusals.turn()
        assert {event.type for event in application.store.read() if event.position > head} <= {"checkpoint.signed"}

        (disk / "filler").unlink()
        await until(application.reserve.has_room)
        assert "log" not in await application.problems()
        again = await create(application, image, name("again"))
        assert again.error is None
        await application.refusals.turn()
        counts = [event.payload()["codes"] for event in application.store.read() if event.type == "calls.suppressed"]
        assert counts == [[["log_unavailable", 3]]]


@pytest.mark.promise("P2")
async def test_below_the_reserve_the_log_is_still_closed_in_good_order(serve: Serve, disk: Path) -> None:
    location = Location(path=disk / "ledger.db")
    async with serve(location, DOCKER_MCP_DISK_RESERVE_MIB=RESERVE_MIB) as application:
        fill_up_to(disk, FREE_WHEN_LOW)
        await until(lambda: not application.reserve.has_room())
        refused = await application.dispatcher.dispatch("list-containers", {}, caller(application))
        assert refused.error
    async with serve(location, DOCKER_MCP_DISK_RESERVE_MIB=0) as application:
        types = [row.type for row in application.store.read() if row.type != "checkpoint.signed"]
        assert types[-4:] == ["calls.suppressed", "server.stopped", "server.started", "policy.loaded"]
        assert list(verify(application.store.read())) == []


def test_the_disk_is_looked_at_once_a_second(disk: Path) -> None:
    now = [0.0]
    reserve = DiskReserve(disk / "ledger.db", RESERVE_MIB << 20, lambda: now[0])
    assert reserve.has_room()
    fill_up_to(disk, FREE_WHEN_LOW)
    now[0] = 0.9
    assert reserve.has_room()
    now[0] = 1.0
    assert not reserve.has_room()
    (disk / "filler").unlink()
    now[0] = 2.0
    assert reserve.has_room()


@pytest.mark.parametrize(("path", "reserve"), [(None, 1 << 60), (Path("/proc/none/ledger.db"), 1 << 60)])
def test_where_nobody_can_look_there_is_room(path: Path | None, reserve: int) -> None:
    assert DiskReserve(path, reserve).has_room()


def test_no_reserve_asks_for_no_room(tmp_path: Path) -> None:
    assert not DiskReserve(tmp_path, 1 << 60).has_room()
    assert DiskReserve(tmp_path, 0).has_room()


@pytest.mark.engine
async def test_below_the_reserve_the_engines_events_wait_until_there_is_room(
    serve: Serve, disk: Path, engine: docker.APIClient, container: str
) -> None:
    def seen() -> list[str]:
        events = [event.payload() for event in application.store.read() if event.type == "engine.observed"]
        return [each["action"] for each in events if each.get("name") == container]

    options = {"DOCKER_MCP_ENGINE_EVENTS": True, "DOCKER_MCP_DISK_RESERVE_MIB": RESERVE_MIB}
    async with serve(Location(path=disk / "ledger.db"), **options) as application:
        engine.pause(container)
        await until(lambda: seen() == ["pause"])
        filler = fill_up_to(disk, FREE_WHEN_LOW)
        await until(lambda: not application.reserve.has_room())
        await asyncio.sleep(0.5)  # what it was about to record
        engine.unpause(container)
        await asyncio.sleep(0.5)
        assert seen() == ["pause"]
        filler.unlink()
        await until(lambda: seen() == ["pause", "unpause"])
