"""A server that was driven through everything, on each database, and a Prometheus that watches one."""

import time
from collections.abc import Iterator
from typing import Any

import docker
import pytest

from adapters.store.location import Location
from tests.conftest import SEALING_KEY, PostgresServer, removed_afterwards
from tests.monitoring.prometheus import Prometheus, scraping
from tests.monitoring.traffic import drive
from tests.protocol.servers import HttpServer, running


@pytest.fixture(scope="module")
def watched(
    engine: docker.APIClient, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[HttpServer, Prometheus]]:
    """A server with a Prometheus that has watched it for a while before and while it was driven."""
    folder = tmp_path_factory.mktemp("watched")
    server = HttpServer(folder / "server", DOCKER_MCP_ENGINE_EVENTS=True)
    with (
        running(server),
        scraping(folder / "prometheus", f"127.0.0.1:{server.port}") as prometheus,
        removed_afterwards(engine) as name,
    ):
        time.sleep(6)  # more than the windows of the shortened rules
        drive(server, name, image)
        time.sleep(2)  # a scrape and an evaluation
        yield server, prometheus


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def driven(
    request: pytest.FixtureRequest, engine: docker.APIClient, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Location]:
    """The log of a server that was driven, while it still runs."""
    state = tmp_path_factory.mktemp("driven")
    location = Location(path=state / "ledger.db")
    settings: dict[str, Any] = {}
    if request.param == "postgres":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        template: str = request.getfixturevalue("migrated_template")
        location = Location.parse(postgres.url(postgres.create_database(template)))
        settings = {
            "DOCKER_MCP_DATABASE_URL": location.url,
            "DOCKER_MCP_SEALING_KEY": SEALING_KEY,
            "MCP_AUTH_SECRET": SEALING_KEY,
        }
    server = HttpServer(state, **settings)
    with running(server), removed_afterwards(engine) as name:
        drive(server, name, image)
        yield location
