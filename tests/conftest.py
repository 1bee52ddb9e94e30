"""Real parts for the tests: an engine, an image, SQLite files, a PostgreSQL server. What is missing fails loudly."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import docker
import orjson
import psycopg
import pytest

from adapters.docker.demo_image import provide_image
from adapters.docker.engine import Engine
from adapters.private_file import write_private
from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.migrate import migrate
from domain.catalogue import CATALOGUE
from domain.catalogue.tool import Catalogue
from domain.principal import Principal, Role
from server.bootstrap import Application, new_id, now_ms
from server.call import Caller
from server.settings import Settings, load_settings
from tests.engine_proxy import EngineProxy
from tests.order import longest_first
from tests.promises import PROMISES

SEALING_KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

OPENED = {"mount_roots": [tempfile.gettempdir()], "host_network": True, "drivers": ["host", "overlay", "weave"]}
"""What tests that are not about host safety may ask of the host."""

covered: set[str] = set()


def write_rules(config: Path, **sections: Any) -> Path:
    """Write the auth file of a configuration directory; return where it is."""
    path = config / "docker-mcp/docker_mcp_auth.json"
    write_private(path, orjson.dumps(sections))
    return path


def pytest_configure() -> None:
    # Jobs that a script starts in the background ignore it, and so would every process that the tests interrupt.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        longest_first(items)
    for item in items:
        for mark in item.iter_markers("promise"):
            unknown = set(mark.args) - set(PROMISES)
            assert not unknown, f"{item.nodeid} names promises that do not exist: {unknown}"
            covered.update(mark.args)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads or writes the state of the person who runs it."""
    for name in [name for name in os.environ if name.startswith(("DOCKER_MCP_", "MCP_")) or name == "LOG_LEVEL"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DOCKER_MCP_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("DOCKER_MCP_ENGINE_EVENTS", "false")  # of the objects of all other tests
    write_rules(tmp_path / "config", host_safety=OPENED)


# --- Docker -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def engine() -> docker.APIClient:
    """A plain client of the engine, to ask what is really there."""
    try:
        return docker.APIClient(version="auto", timeout=60, **docker.utils.kwargs_from_env())
    except docker.errors.DockerException as error:
        pytest.fail(f"no Docker Engine answers; start one with scripts/engine.sh ({error})")


@pytest.fixture(scope="session")
def image(engine: docker.APIClient) -> str:
    """An image with busybox, made without a registry."""
    if not Path("/bin/busybox").exists():
        pytest.fail("no static busybox; install it with apt-get install busybox-static")
    return provide_image(Engine(os.environ, 60, 2))


@contextmanager
def removed_afterwards(engine: docker.APIClient) -> Iterator[Callable[[str], str]]:
    """Give names for objects; whatever bears one is removed afterwards."""
    prefix = f"dmt-{uuid.uuid4().hex[:8]}"

    def with_prefix(suffix: str = "c") -> str:
        return f"{prefix}-{suffix}"

    try:
        yield with_prefix
    finally:
        _remove_all(engine, prefix)


def _remove_all(engine: docker.APIClient, prefix: str) -> None:
    for container in engine.containers(all=True, filters={"name": prefix}):
        with contextlib.suppress(docker.errors.APIError):
            engine.remove_container(container["Id"], force=True, v=True)
    for network in engine.networks(filters={"name": prefix}):
        with contextlib.suppress(docker.errors.APIError):
            engine.remove_network(network["Id"])
    for volume in engine.volumes(filters={"name": prefix})["Volumes"] or []:
        with contextlib.suppress(docker.errors.APIError):
            engine.remove_volume(volume["Name"], force=True)


@pytest.fixture
def name(engine: docker.APIClient) -> Iterator[Callable[[str], str]]:
    """Names for objects of this test; whatever bears one is removed afterwards, also after a failure."""
    with removed_afterwards(engine) as named:
        yield named


@pytest.fixture
def container(engine: docker.APIClient, image: str, name: Callable[[str], str]) -> str:
    """The name of a running container that was not made by the server."""
    made = engine.create_container(image, ["sleep", "600"], name=name("running"))
    engine.start(made["Id"])
    return name("running")


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[EngineProxy]:
    """A way to the engine that shows what is asked, and that can be spoiled."""
    with contextlib.closing(EngineProxy(tmp_path / "engine.sock")) as proxy:
        yield proxy


# --- databases --------------------------------------------------------------------------------------------------


def postgres_programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.fail("no PostgreSQL server programs; install them with apt-get install postgresql")
    return found[-1].parent


class PostgresServer:
    """A PostgreSQL server of our own on a free port, run by a user other than root."""

    def __init__(self, directory: Path, durable: bool) -> None:
        self.programs = postgres_programs()
        self.data = directory / "data"
        self.port = free_port()
        self._durable = durable
        self._user = "postgres" if os.getuid() == 0 else None
        if self._user:
            shutil.chown(directory, self._user)
        self._run("initdb", "-D", self.data, "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self.start()

    def start(self) -> None:
        options = f"-p {self.port} -k {self.data} -c listen_addresses=127.0.0.1 -c max_connections=200"
        if not self._durable:
            options += " -c fsync=off -c full_page_writes=off"
        self._run("pg_ctl", "-D", self.data, "-w", "-l", self.data / "log", "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-D", self.data, "-w", "-m", mode, "stop")

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self, template: str = "template1") -> str:
        database = f"t{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {database} TEMPLATE {template} STRATEGY FILE_COPY".encode())
        return database

    def drop_database(self, database: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {database} WITH (FORCE)".encode())

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self.programs / program), *map(str, arguments)]
        subprocess.run(command, check=True, user=self._user, stdout=subprocess.DEVNULL, cwd="/")


@contextmanager
def postgres_server(durable: bool = True) -> Iterator[PostgresServer]:
    """A server in a directory that its user can enter, which pytest's own are not.

    One that is not ``durable`` survives its own death, not that of the machine.
    """
    with tempfile.TemporaryDirectory(prefix="docker-mcp-postgres-") as directory:
        server = PostgresServer(Path(directory), durable)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server(durable=False) as server:
        yield server


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server that the test may stop."""
    with postgres_server(durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres: PostgresServer) -> str:
    """A database with the newest schema, to be copied."""
    database = postgres.create_database()
    migrate(Location.parse(postgres.url(database)))
    return database


MakeFile = Callable[[Location], None]


@pytest.fixture(scope="session")
def make_file(tmp_path_factory: pytest.TempPathFactory) -> MakeFile:
    """Makes the file of a SQLite log with the newest schema, if there is none, by copying: migrating takes longer."""
    template = tmp_path_factory.mktemp("template") / "ledger.db"
    migrate(Location(path=template))

    def make(location: Location) -> None:
        if location.path and not location.path.exists():
            location.make_file()
            location.path.write_bytes(template.read_bytes())

    return make


@pytest.fixture
def sqlite_location(tmp_path: Path) -> Location:
    return Location(path=tmp_path / "log" / "ledger.db")


@pytest.fixture
def postgres_location(postgres: PostgresServer, migrated_template: str) -> Iterator[Location]:
    database = postgres.create_database(migrated_template)
    yield Location.parse(postgres.url(database))
    postgres.drop_database(database)  # hundreds of them take as long to remove together as to make


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def location(request: pytest.FixtureRequest) -> Location:
    """An empty log on each database in turn."""
    found: Location = request.getfixturevalue(f"{request.param}_location")
    return found


@pytest.fixture
def store(location: Location, make_file: MakeFile) -> Iterator[SqlEventStore]:
    make_file(location)
    opened = SqlEventStore(location, now_ms, new_id())
    opened.check()
    yield opened
    opened.close()


# --- the server -------------------------------------------------------------------------------------------------


def url_of(location: Location) -> str:
    return f"sqlite:///{location.path}" if location.path else location.url


MANY_REFUSALS = 100_000
"""Refused calls that a server of the tests records in a minute: one that many tests share meets floods otherwise."""


def settings_for(location: Location, **changes: Any) -> Settings:
    own: dict[str, Any] = {"DOCKER_MCP_DATABASE_URL": url_of(location), "DOCKER_MCP_SEALING_KEY": SEALING_KEY}
    own |= {"DOCKER_MCP_REFUSALS_PER_MINUTE": MANY_REFUSALS, "DOCKER_MCP_ENGINE_EVENTS": False}
    return load_settings(**{**own, **changes})


Serve = Callable[..., AbstractAsyncContextManager[Application]]


@pytest.fixture
def serve(sqlite_location: Location, make_file: MakeFile) -> Serve:
    """Starts an application in this process: ``async with serve() as application``."""

    @asynccontextmanager
    async def start(
        location: Location | None = None,
        catalogue: Catalogue = CATALOGUE,
        more_ports: dict[type, Any] | None = None,
        **settings: Any,
    ) -> AsyncIterator[Application]:
        location = location or sqlite_location
        make_file(location)
        application = Application(settings_for(location, **settings), "test", catalogue, more_ports)
        await application.start()
        try:
            yield application
        finally:
            await application.stop("the test is over")

    return start


def caller(application: Application, **changes: Any) -> Caller:
    """The local user, as the transports present it."""
    given: dict[str, Any] = {"principal": application.principal, "transport": "test", "correlation_id": "test-talk"}
    return Caller(**{**given, **changes})


ADMIN = Principal("test-admin", Role.ADMIN)
READER = Principal("test-reader", Role.USER)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
