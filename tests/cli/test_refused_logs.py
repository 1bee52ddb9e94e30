"""A log that a server must not write, or cannot seal for: every command that needs it says what is wrong."""

import base64
import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from adapters.store.location import Location
from server.cli.check import check_log
from server.settings import load_settings
from tests.cli.command import complaint, docker_mcp, finding, log_at, plain_user
from tests.conftest import READER, Serve, caller, url_of

pytestmark = pytest.mark.anyio

COMMANDS = ["stdio", "http", "audit", "demo"]
SECRET = {"image": "none", "name": "none", "environment": {"TOKEN": "hidden-value"}}


def change(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql)


@pytest.fixture
def database(sqlite_location: Location) -> Path:
    """An empty log with its own key file."""
    assert sqlite_location.path
    check_log(load_settings(DOCKER_MCP_DATABASE_URL=url_of(sqlite_location)))
    return sqlite_location.path


@pytest.fixture
async def sealed(sqlite_location: Location, serve: Serve) -> Path:
    """A log that holds a sealed value."""
    async with serve() as application:
        await application.dispatcher.dispatch("create-container", SECRET, caller(application, principal=READER))
    assert sqlite_location.path
    return sqlite_location.path


@pytest.mark.parametrize("command", COMMANDS)
def test_a_database_of_a_newer_version_is_refused(command: str, database: Path) -> None:
    change(database, "UPDATE alembic_version SET version_num = '9999'")
    done = docker_mcp(command, env={"DOCKER_MCP_DATABASE_URL": f"sqlite:///{database}"})
    assert done.returncode == 2
    assert "schema 9999" in complaint(done)
    assert "install the newer version" in complaint(done)


def test_migrate_refuses_a_database_of_a_newer_version(database: Path) -> None:
    change(database, "UPDATE alembic_version SET version_num = '9999'")
    done = docker_mcp("migrate", env={"DOCKER_MCP_DATABASE_URL": f"sqlite:///{database}"})
    assert done.returncode == 2
    assert "install the newer version" in complaint(done)


@pytest.mark.promise("P3")
@pytest.mark.parametrize("command", ["stdio", "migrate"])
def test_a_database_that_lost_a_guard_is_refused(command: str, database: Path) -> None:
    change(database, "DROP TRIGGER event_no_delete")
    done = docker_mcp(command, env={"DOCKER_MCP_DATABASE_URL": f"sqlite:///{database}"})
    assert done.returncode == 2
    assert "event_no_delete" in complaint(done)
    assert "evidence" in complaint(done)


@pytest.mark.promise("P3")
@pytest.mark.postgres
def test_a_postgresql_database_that_lost_a_guard_is_refused(postgres_location: Location) -> None:
    with psycopg.connect(postgres_location.url, autocommit=True) as connection:
        connection.execute("ALTER TABLE event DISABLE TRIGGER event_no_change")
    done = docker_mcp("stdio", env=log_at(postgres_location))
    assert done.returncode == 2
    assert "event_no_change" in complaint(done)


def test_the_doctor_tells_of_a_lost_guard(database: Path) -> None:
    change(database, "DROP TRIGGER event_chain")
    done = docker_mcp("doctor", "--json", env={"DOCKER_MCP_DATABASE_URL": f"sqlite:///{database}"})
    assert done.returncode == 1
    assert "event_chain" in finding("log", done)["seen"]


@pytest.mark.parametrize("command", ["audit", "migrate"])
def test_a_file_that_is_no_database_is_refused(command: str, sqlite_location: Location) -> None:
    assert sqlite_location.path
    sqlite_location.path.parent.mkdir()
    sqlite_location.path.write_bytes(b"this is no database " * 300)
    before = sqlite_location.path.read_bytes()
    done = docker_mcp(command, env=log_at(sqlite_location))
    assert done.returncode == 1
    assert "log_unavailable" in complaint(done)
    assert sqlite_location.path.read_bytes() == before


@pytest.mark.parametrize("command", ["audit", "migrate"])
def test_a_state_directory_that_cannot_be_made_is_named(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = docker_mcp(command, env={"DOCKER_MCP_STATE_DIR": str(tmp_path / "file" / "state")})
    assert done.returncode in (1, 2)
    assert str(tmp_path / "file" / "state") in complaint(done)
    assert "Not a directory" in complaint(done)


@pytest.mark.parametrize("command", ["audit", "migrate"])
def test_a_state_directory_of_another_user_is_named(command: str, tmp_path: Path) -> None:
    directory = tmp_path / "state"
    directory.mkdir()
    directory.chmod(0o555)
    done = docker_mcp(command, env={"DOCKER_MCP_STATE_DIR": str(directory)}, prefix=plain_user())
    assert done.returncode in (1, 2)
    assert str(directory) in complaint(done)
    assert os.strerror(errno.EACCES) in complaint(done)


async def test_a_lost_sealing_key_is_not_replaced_in_silence(sealed: Path) -> None:
    done = docker_mcp("stdio", env={"DOCKER_MCP_DATABASE_URL": f"sqlite:///{sealed}"})
    assert done.returncode == 2
    assert f"their key is gone: {sealed}.key" in complaint(done)
    assert not sealed.with_name("ledger.db.key").exists()


@pytest.mark.promise("P6")
async def test_a_key_that_is_not_the_logs_is_refused(sealed: Path) -> None:
    other = base64.b64encode(b"x" * 32).decode()
    done = docker_mcp("stdio", env={"DOCKER_MCP_DATABASE_URL": f"sqlite:///{sealed}", "DOCKER_MCP_SEALING_KEY": other})
    assert done.returncode == 2
    assert "the log was sealed with key" in complaint(done)
    assert other not in complaint(done)


def test_a_key_that_others_can_read_is_refused(database: Path) -> None:
    database.with_name("ledger.db.key").chmod(0o644)
    done = docker_mcp("stdio", env={"DOCKER_MCP_DATABASE_URL": f"sqlite:///{database}"})
    assert done.returncode == 2
    assert f"chmod 600 {database}.key" in complaint(done)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00"])
def test_a_damaged_key_file_is_named(content: bytes, database: Path) -> None:
    database.with_name("ledger.db.key").write_bytes(content)
    done = docker_mcp("stdio", env={"DOCKER_MCP_DATABASE_URL": f"sqlite:///{database}"})
    assert done.returncode == 2
    assert f"{database}.key is not base64 of 32 bytes" in complaint(done)


@pytest.mark.promise("P6")
@pytest.mark.parametrize("value", ["abc", "schlüssel"])
def test_a_malformed_key_is_not_repeated(value: str, sqlite_location: Location) -> None:
    done = docker_mcp("audit", env={**log_at(sqlite_location), "DOCKER_MCP_SEALING_KEY": value})
    assert done.returncode == 2
    assert "DOCKER_MCP_SEALING_KEY" in complaint(done)
    assert value not in complaint(done)


@pytest.mark.postgres
def test_postgresql_needs_a_sealing_key_of_its_own(postgres_location: Location) -> None:
    done = docker_mcp("stdio", env={"DOCKER_MCP_DATABASE_URL": postgres_location.url})
    assert done.returncode == 2
    assert "PostgreSQL needs DOCKER_MCP_SEALING_KEY" in complaint(done)
    assert "openssl rand -base64 32" in complaint(done)
