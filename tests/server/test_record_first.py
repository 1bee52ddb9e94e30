"""With a log that cannot be written, nothing is done and nothing is told."""

import contextlib
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import docker
import pytest

from adapters.store.location import Location
from adapters.store.migrate import migrate
from domain.errors import LogUnavailableError
from server.bootstrap import Application
from tests.conftest import PostgresServer, Serve, caller
from tests.contract.rows import rows
from tests.engine_proxy import EngineProxy
from tests.server.conftest import fill

pytestmark = [pytest.mark.anyio, pytest.mark.engine, pytest.mark.promise("P1")]


def more_than_looks(proxy: EngineProxy) -> list[str]:
    """The requests that are more than a greeting or a list."""
    return [
        request
        for request in proxy.requests
        if not re.search(r"GET \S*/(version|info|_ping|containers/json\S*)$", request)
    ]


async def assert_refused(application: Application, proxy: EngineProxy, image: str, name: str) -> None:
    """A change, a read and a list are refused; the engine heard of no more than the list, and nobody of its answer."""
    proxy.requests.clear()
    calls: dict[str, dict[str, Any]] = {
        "create-container": {"image": image, "name": name},
        "get-logs": {"container_name": name},
        "list-containers": {},
        "deploy-compose": {"project_name": name, "compose_yaml": f"services: {{web: {{image: {image}}}}}"},
        "compose-down": {"project_name": name},
    }
    for tool, arguments in calls.items():
        answer = await application.dispatcher.dispatch(tool, arguments, caller(application))
        assert isinstance(answer.error, LogUnavailableError), answer
        assert answer.error.code == "log_unavailable"
        assert "doctor" in answer.error.hint
        assert answer.result is None
    assert more_than_looks(proxy) == []
    assert "log" in await application.problems()


async def assert_works(application: Application, image: str, name: str) -> None:
    answer = await application.dispatcher.dispatch(
        "create-container", {"image": image, "name": name, "command": "sleep 60"}, caller(application)
    )
    assert answer.error is None, answer.error.describe()


async def test_a_full_disk_refuses_calls_until_there_is_space_again(
    serve: Serve, small_disk: Path, proxy: EngineProxy, image: str, name: Callable[[str], str], engine: docker.APIClient
) -> None:
    location = Location(path=small_disk / "ledger.db")
    async with serve(location, DOCKER_HOST=proxy.url, DOCKER_MCP_DISK_RESERVE_MIB=0) as application:
        await assert_works(application, image, name("before"))
        filler = fill(small_disk)
        await assert_refused(application, proxy, image, name("refused"))
        filler.unlink()
        await assert_works(application, image, name("after"))
        assert "log" not in await application.problems()
    assert engine.containers(all=True, filters={"name": name("refused")}) == []
    assert rows(location, "PRAGMA integrity_check") == [("ok",)]
    positions = [row[0] for row in rows(location, "SELECT position FROM event ORDER BY position")]
    assert positions == list(range(1, len(positions) + 1))


async def test_a_server_starts_on_a_read_only_log_and_says_what_is_wrong(
    serve: Serve, small_disk: Path, proxy: EngineProxy, image: str, name: Callable[[str], str]
) -> None:
    location = Location(path=small_disk / "ledger.db")
    async with serve(location, DOCKER_HOST=proxy.url):
        pass
    await anyio.run_process(["mount", "-o", "remount,ro", str(small_disk)])
    async with serve(location, DOCKER_HOST=proxy.url, DOCKER_MCP_DISK_RESERVE_MIB=0) as application:
        await assert_refused(application, proxy, image, name("refused"))


async def test_a_database_file_that_was_taken_away_refuses_calls(
    serve: Serve, sqlite_location: Location, proxy: EngineProxy, image: str, name: Callable[[str], str]
) -> None:
    assert sqlite_location.path
    async with serve(DOCKER_HOST=proxy.url) as application:
        sqlite_location.path.rename(sqlite_location.path.with_suffix(".moved"))
        proxy.requests.clear()
        answer = await application.dispatcher.dispatch(
            "create-container", {"image": image, "name": name("refused")}, caller(application)
        )
        assert isinstance(answer.error, LogUnavailableError)
        assert more_than_looks(proxy) == []


async def test_a_log_that_another_process_has_locked_refuses_calls_in_time(
    serve: Serve, sqlite_location: Location, proxy: EngineProxy, image: str, name: Callable[[str], str]
) -> None:
    assert sqlite_location.path
    async with serve(DOCKER_HOST=proxy.url, DOCKER_MCP_APPEND_TIMEOUT_S=0.5) as application:
        with contextlib.closing(sqlite3.connect(sqlite_location.path, isolation_level=None)) as rival:
            rival.execute("BEGIN IMMEDIATE")
            await assert_refused(application, proxy, image, name("refused"))
            rival.execute("ROLLBACK")
        await assert_works(application, image, name("after"))


@pytest.mark.postgres
async def test_a_stopped_postgres_refuses_calls_until_it_is_back(
    serve: Serve, own_postgres: PostgresServer, proxy: EngineProxy, image: str, name: Callable[[str], str]
) -> None:
    location = Location.parse(own_postgres.url(own_postgres.create_database()))
    migrate(location)
    async with serve(location, DOCKER_HOST=proxy.url, DOCKER_MCP_APPEND_TIMEOUT_S=2) as application:
        await assert_works(application, image, name("before"))
        own_postgres.stop()
        await assert_refused(application, proxy, image, name("refused"))
        own_postgres.start()
        await assert_works(application, image, name("after"))


async def test_a_command_is_durable_before_the_engine_hears_of_it(
    serve: Serve, sqlite_location: Location, proxy: EngineProxy, image: str, name: Callable[[str], str]
) -> None:
    seen: list[list[str]] = []

    class Watching(list[str]):
        def append(self, request: str) -> None:
            super().append(request)
            if "POST" in request:
                sql = "SELECT type FROM event WHERE tool IS NOT NULL ORDER BY position"
                seen.append([row[0] for row in rows(sqlite_location, sql)])

    async with serve(DOCKER_HOST=proxy.url) as application:
        proxy.requests = Watching()
        await assert_works(application, image, name("watched"))
    assert len(seen) == 2  # create and start
    assert all(types == ["command.received", "command.authorized", "execution.started"] for types in seen)
