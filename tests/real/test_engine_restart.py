"""The engine is started again in the middle of a command: the outcome is what stands afterwards."""

import asyncio
import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from adapters.docker.demo_image import provide_image
from adapters.docker.engine import Engine
from tests.conftest import Serve
from tests.engine_proxy import EngineProxy
from tests.real.calls import Calls, eventually
from tests.real.scene import QUICK
from tests.waiting import WAIT_S

pytestmark = [pytest.mark.anyio, pytest.mark.promise("P5")]

_READY_S = 90


class RestartingEngine:
    """An engine in a network namespace of its own: one that starts again takes the bridge of the others away."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="dmt-", dir="/tmp"))  # socket paths have to be short
        self.url = f"unix://{self.directory}/docker.sock"
        self._log = (self.directory / "log").open("wb")
        self.start()
        self.image = provide_image(Engine({"DOCKER_HOST": self.url}, 60, 2))

    def start(self) -> None:
        own = {each: self.directory / each for each in ("data-root", "exec-root", "pidfile")}
        options = [f"--{name}={path}" for name, path in own.items()]
        more = ["--iptables=false", "--ip-forward=false", "--ip-masq=false", "--shutdown-timeout=1"]
        command = ["unshare", "--net", "dockerd", f"--host={self.url}", *options, *more]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(docker.errors.DockerException):
                self.api = docker.APIClient(self.url, version="auto", timeout=60)
                return
            time.sleep(0.05)
        raise AssertionError("the engine does not start: " + (self.directory / "log").read_text()[-2000:])

    def stop(self) -> None:
        self.api.close()
        self._process.terminate()
        self._process.wait(30)

    def close(self) -> None:
        with contextlib.suppress(docker.errors.DockerException, OSError):
            for container in self.api.containers(all=True):
                self.api.remove_container(container["Id"], force=True, v=True)
        self.stop()
        self._log.close()
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted((path for path in mounted if path.startswith(str(self.directory))), reverse=True):
            subprocess.run(["umount", "--lazy", mount], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.directory, ignore_errors=True)


@pytest.fixture(scope="module")
def restarting() -> Iterator[RestartingEngine]:
    with contextlib.closing(RestartingEngine()) as engine:
        yield engine


@pytest.mark.parametrize("tool", ["stop-container", "restart-container"])
async def test_a_command_that_meets_a_restart_of_the_engine_gets_the_outcome_that_is_seen_afterwards(
    serve: Serve, restarting: RestartingEngine, tool: str
) -> None:
    stubborn = ["sh", "-c", "trap '' TERM; sleep 600 & wait"]
    made = restarting.api.create_container(restarting.image, stubborn, name=tool, stop_timeout=1)
    restarting.api.start(made["Id"])
    before = restarting.api.inspect_container(tool)["State"]
    async with serve(catalogue=QUICK, DOCKER_HOST=restarting.url) as application:
        call = Calls(application)
        asked = asyncio.create_task(call.answer(tool, container_name=tool, timeout=40))
        await eventually(lambda: [each.status for each in application.store.open_commands()] == ["running"])
        await asyncio.sleep(2)  # until it has reached the engine
        await asyncio.to_thread(restarting.stop)
        answer = await asyncio.wait_for(asked, WAIT_S)
        assert answer.error is not None
        assert answer.error.applied == "unknown", answer.error.describe()
        assert call.status(answer) == "unknown"
        await asyncio.to_thread(restarting.start)
        await asyncio.wait_for(application.recovery.finish(), 60)
        after = restarting.api.inspect_container(tool)["State"]
        started, ended = (before[each] != after[each] for each in ("StartedAt", "FinishedAt"))
        assert ended or started
        happened = not after["Running"] if tool == "stop-container" else started
        assert call.status(answer) == ("success" if happened else "unknown"), (after, call.outcome(answer))


async def test_events_of_an_engine_that_is_started_again_are_followed_and_the_time_between_is_a_gap(
    serve: Serve, restarting: RestartingEngine
) -> None:
    def seen() -> list[tuple[str, str]]:
        events = [event for event in application.store.read() if event.type.startswith("engine.")]
        return [(event.type, f"{event.payload().get('name')} {event.payload().get('action')}") for event in events]

    def observed(what: str) -> bool:
        return ("engine.observed", what) in seen()

    made = restarting.api.create_container(restarting.image, ["sleep", "600"], name="followed", stop_timeout=1)
    async with serve(DOCKER_HOST=restarting.url, DOCKER_MCP_ENGINE_EVENTS=True) as application:
        restarting.api.start(made["Id"])
        await eventually(lambda: observed("followed start"))
        await asyncio.to_thread(restarting.stop)
        await asyncio.to_thread(restarting.start)
        restarting.api.create_container(restarting.image, ["sleep", "600"], name="later")
        await eventually(lambda: observed("later create"))
        types = [kind for kind, _ in seen()]
        assert types.count("engine.gap") == 2
        events = [event for event in application.store.read() if event.type == "engine.observed"]
        assert len({event.payload()["engine_time"] for event in events}) == len(events)


class AtRestart(list[str]):
    """Does something when the engine is asked for a restart, before the answer."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__()
        self._act = act

    def append(self, request: str) -> None:
        super().append(request)
        if "/restart" in request:
            self._act()


@pytest.mark.parametrize(("ends", "applied"), [(True, "partial"), (False, "none")])
async def test_a_restart_that_the_engine_says_has_failed_is_told_by_what_it_left(
    proxied: Calls, proxy: EngineProxy, engine: docker.APIClient, container: str, ends: bool, applied: str
) -> None:
    proxy.reply("POST .*/restart", 500, f"Cannot restart container {container}: failed to update store")
    proxy.requests = AtRestart(lambda: engine.stop(container, timeout=0) if ends else None)
    answer = await proxied.answer("restart-container", container_name=container, timeout=0)
    assert answer.error is not None
    assert "failed to update store" in answer.error.message
    assert (proxied.status(answer), proxied.outcome(answer)["applied"]) == ("failed", applied)


async def test_a_restart_that_has_failed_and_cannot_be_looked_at_is_unknown_until_it_can(
    proxied: Calls, proxy: EngineProxy, container: str
) -> None:
    await proxied("system-info")
    proxy.reply("POST .*/restart", 500, "shutting down")
    proxy.requests = AtRestart(proxy.refuse)
    answer = await proxied.answer("restart-container", container_name=container, timeout=0)
    assert proxied.status(answer) == "unknown"
    proxy.listen()
    await eventually(lambda: proxied.status(answer) == "failed")
    assert proxied.outcome(answer)["applied"] == "none"
