"""``docker-mcp migrate``, and the databases that wait for it."""

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from adapters.store.location import Location
from adapters.store.schema import REVISION
from tests.cli.command import complaint, docker_mcp, finding, log_at
from tests.conftest import PostgresServer

ODD_NAME = "per%20cent %zz que?st ha#sh üml&b=c;d'\""


@pytest.fixture
def unmigrated(postgres: PostgresServer) -> Location:
    return Location.parse(postgres.url(postgres.create_database()))


def test_migrate_makes_a_sqlite_log_that_only_its_owner_can_read(tmp_path: Path) -> None:
    state = tmp_path / "deep" / "state"
    done = docker_mcp("migrate", env={"DOCKER_MCP_STATE_DIR": str(state)})
    assert done.returncode == 0
    assert done.stdout == f"sqlite {state}/ledger.db: schema {REVISION}\n"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert {file.name for file in state.iterdir() if file.is_file() and file.stat().st_mode & 0o077} == set()


def test_migrate_twice_on_sqlite_is_harmless(tmp_path: Path) -> None:
    outcomes = [docker_mcp("migrate") for _ in range(2)]
    assert [done.returncode for done in outcomes] == [0, 0]
    assert outcomes[0].stdout == outcomes[1].stdout
    with closing(sqlite3.connect(tmp_path / "state" / "ledger.db")) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(REVISION,)]
        assert connection.execute("SELECT count(*) FROM event").fetchone() == (0,)


@pytest.mark.postgres
def test_migrate_twice_on_postgresql_is_harmless(unmigrated: Location) -> None:
    outcomes = [docker_mcp("migrate", env=log_at(unmigrated)) for _ in range(2)]
    assert [done.returncode for done in outcomes] == [0, 0]
    assert outcomes[0].stdout == outcomes[1].stdout
    with psycopg.connect(unmigrated.url) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(REVISION,)]
        assert connection.execute("SELECT count(*) FROM event").fetchone() == (0,)


@pytest.mark.postgres
def test_an_unmigrated_postgresql_database_is_left_to_migrate(unmigrated: Location) -> None:
    for command in ("stdio", "http"):
        done = docker_mcp(command, env={**log_at(unmigrated), "MCP_AUTH_SECRET": "a secret of the tests"})
        assert done.returncode == 2
        assert "run `docker-mcp migrate`" in complaint(done)
    examined = docker_mcp("doctor", "--json", env=log_at(unmigrated))
    assert finding("log", examined)["fix"] == "run `docker-mcp migrate`"
    with psycopg.connect(unmigrated.url) as connection:
        assert connection.execute("SELECT to_regclass('event')").fetchone() == (None,)


def test_the_log_is_where_the_state_directory_says_whatever_its_name(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    state = home / ODD_NAME
    for command in ("migrate", "audit"):
        done = docker_mcp(command, env={"DOCKER_MCP_STATE_DIR": str(state)}, cwd=home)
        assert done.returncode == 0, done.stderr
    assert [entry.name for entry in home.iterdir()] == [ODD_NAME]
    with closing(sqlite3.connect(state / "ledger.db")) as connection:
        assert connection.execute("SELECT count(*) FROM event WHERE tool = 'audit-logs'").fetchone() > (0,)
