"""The log fails in the middle of a command: nothing is lost, nothing is claimed that is not recorded."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import docker
import pytest

from adapters.store.location import Location
from adapters.store.migrate import migrate
from domain.chain import verify
from tests.conftest import PostgresServer, Serve, caller
from tests.engine_proxy import EngineProxy
from tests.server.conftest import OnChange, fill
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.engine]


@pytest.mark.promise("P5")
async def test_an_outcome_that_finds_the_disk_full_is_recorded_later(
    serve: Serve, small_disk: Path, proxy: EngineProxy, image: str, name: Callable[[str], str], engine: docker.APIClient
) -> None:
    location = Location(path=small_disk / "ledger.db")
    async with serve(location, DOCKER_HOST=proxy.url, DOCKER_MCP_DISK_RESERVE_MIB=0) as application:
        proxy.requests = OnChange(lambda: fill(small_disk))
        answer = await application.dispatcher.dispatch(
            "create-container", {"image": image, "name": name("web"), "command": "sleep 600"}, caller(application)
        )
        assert answer.error
        assert answer.error.code == "outcome_not_recorded"
        assert "could not be recorded yet" in answer.error.message
        assert answer.command_id in answer.error.message
        assert answer.result is None
        assert "outcomes" in await application.problems()
        assert engine.inspect_container(name("web"))["State"]["Running"]
        small_disk.joinpath("filler").unlink()
        await until(lambda: not application.journal.health.unrecorded_outcomes)
        assert [event.status for event in application.store.read_stream(answer.command_id)][-1] == "success"
        assert await application.problems() == {}


@pytest.mark.postgres
@pytest.mark.promise("P5")
async def test_an_outcome_that_finds_postgres_gone_is_recorded_when_it_is_back(
    serve: Serve, own_postgres: PostgresServer, proxy: EngineProxy, image: str, name: Callable[[str], str]
) -> None:
    location = Location.parse(own_postgres.url(own_postgres.create_database()))
    migrate(location)
    async with serve(location, DOCKER_HOST=proxy.url, DOCKER_MCP_APPEND_TIMEOUT_S=2) as application:
        proxy.requests = OnChange(own_postgres.stop)
        answer = await application.dispatcher.dispatch(
            "create-container", {"image": image, "name": name("web"), "command": "sleep 600"}, caller(application)
        )
        assert answer.error
        assert answer.error.code == "outcome_not_recorded"
        own_postgres.start()
        await until(lambda: not application.journal.health.unrecorded_outcomes)
        assert application.store.read_stream(answer.command_id)[-1].status == "success"
        assert application.store.open_commands() == []
        assert list(verify(application.store.read())) == []


@pytest.mark.postgres
@pytest.mark.promise("P1")
async def test_a_refused_call_whose_record_was_in_doubt_does_not_stay_open(
    serve: Serve,
    own_postgres: PostgresServer,
    proxy: EngineProxy,
    image: str,
    name: Callable[[str], str],
    engine: docker.APIClient,
) -> None:
    location = Location.parse(own_postgres.url(own_postgres.create_database()))
    migrate(location)
    async with serve(location, DOCKER_HOST=proxy.url, DOCKER_MCP_APPEND_TIMEOUT_S=1) as application:
        await application.dispatcher.dispatch("list-containers", {}, caller(application))
        processes = _processes(own_postgres)
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        answer = await application.dispatcher.dispatch(
            "create-container", {"image": image, "name": name("web")}, caller(application)
        )
        for process in processes:
            os.kill(process, signal.SIGCONT)
        assert answer.error
        assert answer.error.code == "log_unavailable"
        await until(lambda: not application.journal.health.unrecorded_outcomes)
        assert application.store.open_commands() == []
        assert [event.status for event in application.store.read_stream(answer.command_id)][-1:] in ([], ["failed"])
        assert engine.containers(all=True, filters={"name": name("web")}) == []
        assert proxy.changes() == []


def _processes(server: PostgresServer) -> list[int]:
    """The server and its children."""
    first = int((server.data / "postmaster.pid").read_text().splitlines()[0])
    children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    return [first, *map(int, children)]
