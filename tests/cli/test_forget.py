"""``docker-mcp forget``: sealed values become unreadable, the log stays whole and says so."""

import os
import pty
import sqlite3
import subprocess
from contextlib import closing

import psycopg
import pytest

from adapters.store.location import Location
from domain.command_stream import CommandStream
from server.bootstrap import new_id
from tests.cli.command import LIMIT_S, STDIO, complaint, docker_mcp, environment, log_at
from tests.cli.keys import data_keys, events, files_with, opened, seal, sealer
from tests.conftest import PostgresServer, Serve, caller
from tests.contract.events import stream
from tests.contract.rows import execute

pytestmark = pytest.mark.anyio


def deployment(of: str = "shop") -> CommandStream:
    return stream(tool="deploy-compose", target=f"stack/{of}")


@pytest.fixture
def server_of(request: pytest.FixtureRequest, location: Location) -> PostgresServer | None:
    """The PostgreSQL server that holds ``location``, None for SQLite."""
    found: PostgresServer | None = None if location.path else request.getfixturevalue("postgres")
    return found


@pytest.mark.promise("P6")
def test_forgetting_deletes_one_key_and_is_recorded(location: Location) -> None:
    command, other = seal(location, "hidden"), seal(location, "kept")
    before = events(location)
    assert opened(location, command, sealer()) == "hidden"
    done = docker_mcp("forget", command["id"], env=log_at(location))
    assert (done.returncode, done.stderr) == (0, "")
    assert command["id"] in done.stdout
    assert set(data_keys(location)) == {other["id"]}
    assert opened(location, other, sealer()) == "kept"
    *same, record = events(location)
    assert same == before
    assert (record.type, record.stream) == ("secrets.forgotten", f"secrets/{command['id']}")
    assert record.principal.startswith("local:")
    assert record.payload() == {"command_id": command["id"], "key_id": sealer().key_id}


@pytest.mark.promise("P6")
def test_no_file_of_the_database_keeps_a_byte_of_the_key(location: Location, server_of: PostgresServer | None) -> None:
    commands = [seal(location, f"hidden {number}") for number in range(40)]
    keys = data_keys(location)
    chosen = [commands[number]["id"] for number in (0, 20, 39)]
    for command_id in chosen:
        assert files_with(keys[command_id].wrapped, location, server_of)
        assert docker_mcp("forget", command_id, env=log_at(location)).returncode == 0
    for command_id, key in keys.items():
        assert bool(files_with(key.wrapped, location, server_of)) == (command_id not in chosen)


@pytest.mark.promise("P6")
def test_copies_that_sqlite_left_in_the_free_space_of_its_pages_go_too(sqlite_location: Location) -> None:
    *_, command = (seal(sqlite_location, "hidden") for _ in range(6))
    key = data_keys(sqlite_location)[command["id"]]
    assert sqlite_location.path
    with closing(sqlite3.connect(sqlite_location.path, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete = OFF")  # as SQLite is built but by some distributions
        more = [(f"more-{number}", key.key_id, f"{number:080}") for number in range(200)]
        connection.executemany("INSERT INTO data_key VALUES (?, ?, ?)", more)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert sqlite_location.path.read_bytes().count(key.wrapped.encode()) > 1
    assert docker_mcp("forget", command["id"], env=log_at(sqlite_location)).returncode == 0
    assert files_with(key.wrapped, sqlite_location, None) == []
    assert len(data_keys(sqlite_location)) == 205


async def test_a_server_that_runs_goes_on(serve: Serve, location: Location) -> None:
    command = seal(location, "hidden")
    async with serve(location) as application:
        assert docker_mcp("forget", command["id"], env=log_at(location)).returncode == 0
        answer = await application.dispatcher.dispatch(
            "get-command", {"command_id": command["id"]}, caller(application)
        )
        assert answer.error is None
    assert "secrets.forgotten" in {event.type for event in events(location)}


def test_the_sealing_key_is_not_needed(sqlite_location: Location) -> None:
    command = seal(sqlite_location, "hidden")
    done = docker_mcp("forget", command["id"], env={**log_at(sqlite_location), "DOCKER_MCP_SEALING_KEY": None})
    assert done.returncode == 0
    assert data_keys(sqlite_location) == {}


def test_what_is_forgotten_already_is_told_and_not_recorded_again(location: Location) -> None:
    command = seal(location, "hidden")
    docker_mcp("forget", command["id"], env=log_at(location))
    before = events(location)
    done = docker_mcp("forget", command["id"], env=log_at(location))
    assert done.returncode == 0
    assert "already forgotten at 20" in done.stdout
    assert "by local:" in done.stdout
    assert events(location) == before


def test_an_unknown_command_is_told(sqlite_location: Location) -> None:
    for wrong in (new_id(), f"secrets/{new_id()}", "sealing_key", ""):
        done = docker_mcp("forget", wrong, env=log_at(sqlite_location))
        assert done.returncode == 1
        assert complaint(done).startswith("docker-mcp: command_not_found: no command")
    assert events(sqlite_location) == []


async def test_a_command_without_sealed_values_is_told(serve: Serve, sqlite_location: Location) -> None:
    async with serve() as application:
        answer = await application.dispatcher.dispatch("get-command", {"command_id": new_id()}, caller(application))
    before = events(sqlite_location)
    done = docker_mcp("forget", answer.command_id, env=log_at(sqlite_location))
    assert done.returncode == 1
    assert "nothing_sealed" in complaint(done)
    assert events(sqlite_location) == before


def test_who_may_only_read_forgets_nothing(sqlite_location: Location) -> None:
    command = seal(sqlite_location, "hidden")
    done = docker_mcp("forget", command["id"], env={**log_at(sqlite_location), "DOCKER_MCP_STDIO_ROLE": "user"})
    assert done.returncode == 1
    assert "denied" in complaint(done)
    assert set(data_keys(sqlite_location)) == {command["id"]}


def test_the_values_that_a_stack_runs_with_are_forgotten_only_on_a_second_word(location: Location) -> None:
    older, newest, other = (seal(location, "hidden", of=deployment(of)) for of in ("shop", "shop", "blog"))
    before = events(location)
    done = docker_mcp("forget", newest["id"], env=log_at(location))
    assert done.returncode == 2
    assert "latest deployment of stack shop" in complaint(done)
    assert "--yes" in complaint(done)
    assert events(location) == before
    assert set(data_keys(location)) == {older["id"], newest["id"], other["id"]}
    assert docker_mcp("forget", older["id"], env=log_at(location)).returncode == 0
    assert docker_mcp("forget", newest["id"], "--yes", env=log_at(location)).returncode == 0
    assert set(data_keys(location)) == {other["id"]}


@pytest.mark.parametrize(("word", "code", "left"), [("n", 2, 1), ("y", 0, 0)])
def test_on_a_terminal_the_person_is_asked(word: str, code: int, left: int, sqlite_location: Location) -> None:
    command = seal(sqlite_location, "hidden", of=deployment())
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [*STDIO, "forget", command["id"]],
        stdin=its,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env=environment(log_at(sqlite_location)),
    )
    os.close(its)
    os.write(ours, f"{word}\n".encode())
    _out, told = process.communicate(timeout=LIMIT_S)
    os.close(ours)
    assert process.returncode == code
    assert b"stack shop" in told
    assert len(data_keys(sqlite_location)) == left


def test_a_process_that_reads_meanwhile_is_told_of_and_the_rest_is_done_later(sqlite_location: Location) -> None:
    command = seal(sqlite_location, "hidden")
    key = data_keys(sqlite_location)[command["id"]]
    assert sqlite_location.path
    impatient = {**log_at(sqlite_location), "DOCKER_MCP_APPEND_TIMEOUT_S": "0.3"}
    with closing(sqlite3.connect(sqlite_location.path, isolation_level=None)) as reading:
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM event").fetchone()
        done = docker_mcp("forget", command["id"], env=impatient)
        assert done.returncode == 1
        assert "another process reads the log" in done.stderr
        assert data_keys(sqlite_location) == {}
    done = docker_mcp("forget", command["id"], env=impatient)
    assert (done.returncode, done.stderr) == (0, "")
    assert files_with(key.wrapped, sqlite_location, None) == []


@pytest.mark.postgres
def test_a_role_that_does_not_own_the_table_deletes_the_key_and_tells_who_has_to_vacuum(
    postgres_location: Location,
) -> None:
    command = seal(postgres_location, "hidden")
    role = f"server_{new_id().replace('-', '')[-12:]}"
    execute(
        postgres_location,
        f"CREATE ROLE {role} LOGIN",
        f"GRANT SELECT, INSERT ON event TO {role}",
        f"GRANT SELECT ON alembic_version, audit_trail TO {role}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON open_command, data_key TO {role}",
    )
    restricted = Location.parse(postgres_location.url.replace("postgres@", f"{role}@"))
    done = docker_mcp("forget", command["id"], env=log_at(restricted))
    assert done.returncode == 1
    assert "VACUUM (FULL) data_key" in done.stderr
    assert data_keys(postgres_location) == {}
    with psycopg.connect(postgres_location.url, autocommit=True) as owner:
        owner.execute("VACUUM (FULL) data_key")
