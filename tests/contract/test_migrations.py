"""The migrations build what the models say, in one step or not at all, also when processes start together."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, create_engine, inspect
from sqlmodel import SQLModel

from adapters.store import tables  # noqa: F401 (declares the log)
from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.migrate import alembic_config, migrate
from adapters.store.schema import REVISION
from adapters.store.session import AUDIT_FILTERS, EVENT_COLUMNS, FINAL_SQL
from domain.errors import ConfigurationError
from server.bootstrap import new_id, now_ms
from tests.conftest import PostgresServer
from tests.contract.rows import execute, rows


def test_models_and_migrations_agree(location: Location) -> None:
    SqlEventStore(location, now_ms, new_id()).check()
    engine = create_engine(location.sqlalchemy_url())
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []
        checks = {check["name"] for check in inspect(connection).get_check_constraints("event")}
    engine.dispose()
    declared = {constraint.name for constraint in SQLModel.metadata.tables["event"].constraints}
    assert checks <= declared
    assert len(checks) == 6


def test_check_constraints_are_the_same_in_model_and_migration(sqlite_location: Location) -> None:
    SqlEventStore(sqlite_location, now_ms, new_id()).check()
    built = rows(sqlite_location, "SELECT sql FROM sqlite_master WHERE name = 'event'")[0][0]
    for constraint in SQLModel.metadata.tables["event"].constraints:
        if isinstance(constraint, CheckConstraint) and "octet_length" not in str(constraint.sqltext):
            assert str(constraint.sqltext) in built
    indexes = "\n".join(
        row[0]
        for row in rows(sqlite_location, "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    )
    assert indexes.count(FINAL_SQL) == len(AUDIT_FILTERS) + 1


def test_the_log_has_a_column_for_each_field_of_an_event() -> None:
    assert tuple(SQLModel.metadata.tables["event"].columns.keys()) == EVENT_COLUMNS


def test_this_version_needs_the_newest_migration() -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        assert ScriptDirectory.from_config(alembic_config(connection)).get_current_head() == REVISION
    engine.dispose()


def test_migrating_twice_changes_nothing(location: Location) -> None:
    SqlEventStore(location, now_ms, new_id()).check()
    migrate(location)
    assert rows(location, "SELECT version_num FROM alembic_version") == [(REVISION,)]


START = """
import sys
from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from server.bootstrap import new_id, now_ms
store = SqlEventStore(Location.parse(sys.argv[1]), now_ms, new_id(), 30)
store.check()
store.close()
"""


def test_servers_that_start_together_create_one_database(sqlite_location: Location) -> None:
    command = [sys.executable, "-c", START, f"sqlite:///{sqlite_location.path}"]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    assert rows(sqlite_location, "SELECT version_num FROM alembic_version") == [(REVISION,)]


@pytest.mark.postgres
def test_migrations_that_run_together_take_turns(postgres: PostgresServer) -> None:
    location = Location.parse(postgres.url(postgres.create_database()))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, [location] * 4))
    assert rows(location, "SELECT version_num FROM alembic_version") == [(REVISION,)]


@pytest.mark.postgres
def test_postgres_is_not_migrated_behind_the_operators_back(postgres: PostgresServer) -> None:
    location = Location.parse(postgres.url(postgres.create_database()))
    with pytest.raises(ConfigurationError) as refused:
        SqlEventStore(location, now_ms, new_id()).check()
    assert "docker-mcp migrate" in refused.value.hint


def test_a_database_of_a_newer_version_is_not_written(location: Location) -> None:
    SqlEventStore(location, now_ms, new_id()).check()
    execute(location, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match="9999"):
        SqlEventStore(location, now_ms, new_id()).check()


@pytest.mark.postgres
def test_a_database_that_cannot_hold_every_text_is_refused(postgres: PostgresServer) -> None:
    database = postgres.create_database()
    postgres.drop_database(database)
    execute(
        Location.parse(postgres.url("postgres")),
        f"CREATE DATABASE {database} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0",
    )
    with pytest.raises(ConfigurationError, match="encoding SQL_ASCII") as refused:
        migrate(Location.parse(postgres.url(database)))
    assert "ENCODING 'UTF8'" in (refused.value.hint or "")
    postgres.drop_database(database)
