"""``docker-mcp rotate-sealing-key``: the log goes over to a new key, whatever interrupts it, and without the old."""

import base64
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.key_file import key_file
from adapters.sealing import AesSealer
from adapters.store.location import Location
from domain.errors import SealingKeyRotatedError, UnsealError
from server.bootstrap import new_id
from server.keys import sealer_of
from server.settings import Settings, load_settings
from tests.cli.command import Variables, complaint, docker_mcp, environment, finding, log_at
from tests.cli.keys import OTHER_KEY, Sealed, data_keys, events, files_with, opened, seal, sealer
from tests.conftest import READER, SEALING_KEY, PostgresServer, Serve, caller, url_of
from tests.contract.rows import rows

pytestmark = pytest.mark.anyio

SECRET = {"image": "none", "name": "none", "environment": {"TOKEN": "hidden-value"}}


def to_other(location: Location) -> Variables:
    """Return the variables that lead from the key of the tests to another."""
    return {**log_at(location), "DOCKER_MCP_NEW_SEALING_KEY": OTHER_KEY}


def with_other(location: Location) -> Variables:
    return {**log_at(location), "DOCKER_MCP_SEALING_KEY": OTHER_KEY}


def by_file(location: Location) -> Variables:
    """Return the variables of a log whose key is in a file."""
    return {"DOCKER_MCP_DATABASE_URL": url_of(location)}


def settings_by_file(location: Location) -> Settings:
    return load_settings(DOCKER_MCP_DATABASE_URL=url_of(location))


@pytest.fixture
def server_of(request: pytest.FixtureRequest, location: Location) -> PostgresServer | None:
    """The PostgreSQL server that holds ``location``, None for SQLite."""
    found: PostgresServer | None = None if location.path else request.getfixturevalue("postgres")
    return found


@pytest.fixture
def file(sqlite_location: Location) -> Path:
    """The file that keeps the key of a SQLite log, which is there and in use."""
    sealer_of(settings_by_file(sqlite_location), sqlite_location)
    found = key_file(sqlite_location)
    assert found
    return found


def kept(file: Path) -> AesSealer:
    """Return the sealer of the key that a file holds."""
    return AesSealer(base64.b64decode(file.read_bytes()))


@pytest.mark.promise("P6")
def test_every_value_is_opened_by_the_new_key_only_and_no_event_has_changed(location: Location) -> None:
    commands = [seal(location, f"hidden {number}") for number in range(5)]
    before = events(location)
    done = docker_mcp("rotate-sealing-key", env=to_other(location))
    assert (done.returncode, done.stderr) == (0, "")
    assert OTHER_KEY not in done.stdout
    assert "set DOCKER_MCP_SEALING_KEY" in done.stdout
    assert [opened(location, command, sealer(OTHER_KEY)) for command in commands] == [f"hidden {n}" for n in range(5)]
    with pytest.raises(UnsealError):
        opened(location, commands[0], sealer())
    *same, record = events(location)
    assert same == before
    assert (record.type, record.stream) == ("sealing_key.rotated", "sealing_key")
    assert record.principal.startswith("local:")
    ids = {"old_key_id": sealer().key_id, "new_key_id": sealer(OTHER_KEY).key_id}
    assert record.payload() == {**ids, "count": 5}


@pytest.mark.promise("P6")
def test_no_file_of_the_database_keeps_an_old_wrapping(location: Location, server_of: PostgresServer | None) -> None:
    for number in range(40):
        seal(location, f"hidden {number}")
    old = data_keys(location)
    assert docker_mcp("rotate-sealing-key", env=to_other(location)).returncode == 0
    assert data_keys(location).keys() == old.keys()
    assert [key for key in old.values() if files_with(key.wrapped, location, server_of)] == []


def test_afterwards_the_new_key_opens_the_log_and_the_old_one_does_not(location: Location) -> None:
    seal(location, "hidden")
    docker_mcp("rotate-sealing-key", env=to_other(location))
    refused = docker_mcp("stdio", env=log_at(location))
    assert refused.returncode == 2
    assert f"the log was sealed with key {sealer(OTHER_KEY).key_id}" in complaint(refused)
    assert "--lost" in complaint(refused)
    assert docker_mcp("stdio", env=with_other(location)).returncode == 0
    both = docker_mcp("doctor", "--json", env=to_other(location))
    assert finding("key", both)["ok"], "a server that knows both keys takes the one that the log has gone over to"


def test_a_log_that_seals_nothing_yet_goes_over_too(location: Location) -> None:
    assert docker_mcp("rotate-sealing-key", env=to_other(location)).returncode == 0
    assert docker_mcp("stdio", env=log_at(location)).returncode == 2
    assert events(location)[0].payload()["count"] == 0


def test_one_rotation_follows_another(sqlite_location: Location, file: Path) -> None:
    command = seal(sqlite_location, "hidden", by=kept(file))
    for _ in range(3):
        assert docker_mcp("rotate-sealing-key", env=by_file(sqlite_location)).returncode == 0
    told = [event.payload() for event in events(sqlite_location)[-3:]]
    assert [each["old_key_id"] for each in told[1:]] == [each["new_key_id"] for each in told[:-1]]
    assert kept(file).key_id == told[-1]["new_key_id"]
    assert opened(sqlite_location, command, kept(file)) == "hidden"


def test_the_key_file_is_replaced_and_the_old_key_is_gone(sqlite_location: Location, file: Path) -> None:
    command, old = seal(sqlite_location, "hidden", by=kept(file)), file.read_bytes()
    done = docker_mcp("rotate-sealing-key", env=by_file(sqlite_location))
    assert done.returncode == 0
    assert f"keep a copy of {file}" in done.stdout
    assert file.stat().st_mode & 0o777 == 0o600
    assert opened(sqlite_location, command, kept(file)) == "hidden"
    assert [each.name for each in file.parent.glob(".*")] == []
    assert sorted(each.name for each in file.parent.glob("*.key*")) == [file.name]
    assert files_with(old.decode().strip(), sqlite_location, None) == []
    assert docker_mcp("stdio", env=by_file(sqlite_location)).returncode == 0


def test_the_old_key_file_is_kept_on_demand(sqlite_location: Location, file: Path) -> None:
    seal(sqlite_location, "hidden", by=kept(file))
    old = file.read_bytes()
    done = docker_mcp("rotate-sealing-key", "--keep-old", env=by_file(sqlite_location))
    kept_file = file.with_name(f"{file.name}.old-{AesSealer(base64.b64decode(old)).key_id}")
    assert str(kept_file) in done.stdout
    assert kept_file.read_bytes() == old
    assert kept_file.stat().st_mode & 0o777 == 0o600


def test_a_given_key_goes_into_the_file(sqlite_location: Location, file: Path) -> None:
    env = {**by_file(sqlite_location), "DOCKER_MCP_NEW_SEALING_KEY": OTHER_KEY}
    assert docker_mcp("rotate-sealing-key", env=env).returncode == 0
    assert file.read_text().strip() == OTHER_KEY


@pytest.mark.parametrize(
    ("key", "told"),
    [(None, "openssl rand -base64 32"), (SEALING_KEY, "already"), ("abc", "DOCKER_MCP_NEW_SEALING_KEY is not base64")],
)
def test_a_key_that_is_no_new_one_changes_nothing(key: str | None, told: str, location: Location) -> None:
    seal(location, "hidden")
    before, log = data_keys(location), events(location)
    done = docker_mcp("rotate-sealing-key", env={**log_at(location), "DOCKER_MCP_NEW_SEALING_KEY": key})
    assert done.returncode == 2
    assert told in complaint(done)
    assert "abc" not in complaint(done)
    assert (data_keys(location), events(location)) == (before, log)


def test_who_may_only_read_rotates_nothing(location: Location) -> None:
    seal(location, "hidden")
    before = events(location)
    done = docker_mcp("rotate-sealing-key", env={**to_other(location), "DOCKER_MCP_STDIO_ROLE": "user"})
    assert done.returncode == 1
    assert "denied" in complaint(done)
    assert events(location) == before


@pytest.mark.promise("P6")
async def test_a_server_that_still_has_the_old_key_refuses_to_seal_and_does_the_rest(
    serve: Serve, location: Location
) -> None:
    async with serve(location) as application:
        dispatch = application.dispatcher.dispatch
        await dispatch("create-container", SECRET, caller(application, principal=READER))
        assert docker_mcp("rotate-sealing-key", env=to_other(location)).returncode == 0
        before = data_keys(location)
        refused = await dispatch("create-container", SECRET, caller(application))
        assert isinstance(refused.error, SealingKeyRotatedError)
        assert "start the server again" in refused.error.describe()
        story = await dispatch("get-command", {"command_id": next(iter(before))}, caller(application))
        assert story.error is None
        assert data_keys(location) == before
    assert {key.key_id for key in data_keys(location).values()} == {sealer(OTHER_KEY).key_id}


# --- killed in the middle -----------------------------------------------------------------------------------------

KILLED = """
import importlib, os, signal, sys

def die(*_arguments, **_options):
    os.kill(os.getpid(), signal.SIGKILL)

def dies(step, when):
    def call(*arguments, **options):
        if when == "before":
            die()
        step(*arguments, **options)
        die()
    return call

place, name, when = sys.argv[1:]
owner = importlib.import_module(place.partition(":")[0])
owner = getattr(owner, place.partition(":")[2]) if ":" in place else owner
setattr(owner, name, dies(getattr(owner, name), when))
sys.argv = ["docker-mcp", "rotate-sealing-key"]
from server.cli.main import run
run()
"""


def rotate_and_die(step: tuple[str, str], when: str, env: Variables) -> None:
    """Rotate in a process that is killed before or after a step, as by the power going out."""
    command = [sys.executable, "-c", KILLED, *step, when]
    done = subprocess.run(command, env=environment(env), capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def assert_readable(location: Location, settings: Settings, command: Sealed) -> None:
    """A server starts, and what was sealed before is opened by its key."""
    assert opened(location, command, sealer_of(settings, location)) == "hidden"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "step",
    [
        ("server.cli.rotate", "lay_ready"),
        ("adapters.store.sqlite:SqliteSession", "replace_data_keys"),
        ("adapters.store.sqlite:SqliteSession", "commit"),
        ("server.cli.rotate", "take_over"),
        ("adapters.store.sqlite:SqliteSession", "wipe"),
    ],
    ids=lambda step: step[1],
)
def test_a_rotation_that_is_killed_leaves_a_log_and_its_key(
    step: tuple[str, str], when: str, sqlite_location: Location, file: Path
) -> None:
    command = seal(sqlite_location, "hidden", by=kept(file))
    rotate_and_die(step, when, by_file(sqlite_location))
    assert docker_mcp("stdio", env=by_file(sqlite_location)).returncode == 0
    assert_readable(sqlite_location, settings_by_file(sqlite_location), command)
    assert docker_mcp("rotate-sealing-key", env=by_file(sqlite_location)).returncode == 0
    assert_readable(sqlite_location, settings_by_file(sqlite_location), command)
    assert sorted(each.name for each in file.parent.glob("*.key*")) == [file.name], "a key was left lying about"
    assert events(sqlite_location)


@pytest.mark.postgres
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["replace_data_keys", "commit", "wipe"])
def test_a_rotation_that_is_killed_on_postgresql_leaves_one_of_the_two_keys(
    step: str, when: str, postgres_location: Location
) -> None:
    command = seal(postgres_location, "hidden")
    rotate_and_die(("adapters.store.postgres:PostgresSession", step), when, to_other(postgres_location))
    both = load_settings(
        DOCKER_MCP_DATABASE_URL=postgres_location.url,
        DOCKER_MCP_SEALING_KEY=SEALING_KEY,
        DOCKER_MCP_NEW_SEALING_KEY=OTHER_KEY,
    )
    assert_readable(postgres_location, both, command)
    done = docker_mcp("rotate-sealing-key", env=to_other(postgres_location))
    assert done.returncode == 0 or "already" in complaint(done)
    assert opened(postgres_location, command, sealer(OTHER_KEY)) == "hidden"
    assert [event.type for event in events(postgres_location)].count("sealing_key.rotated") == 1


# --- the old key is lost ------------------------------------------------------------------------------------------


def test_without_the_old_key_the_log_goes_on_and_keeps_what_it_cannot_open(
    sqlite_location: Location, file: Path
) -> None:
    old = kept(file)
    command = seal(sqlite_location, "hidden", by=old)
    before = data_keys(sqlite_location)
    file.unlink()
    assert docker_mcp("rotate-sealing-key", env=by_file(sqlite_location)).returncode == 2
    done = docker_mcp("rotate-sealing-key", "--lost", env=by_file(sqlite_location))
    assert done.returncode == 0
    assert "1 data keys belong to other keys" in done.stdout
    assert data_keys(sqlite_location) == before
    record = events(sqlite_location)[-1].payload()
    ids = {"old_key_id": old.key_id, "new_key_id": kept(file).key_id}
    assert record == {**ids, "count": 0, "lost": True}
    assert docker_mcp("stdio", env=by_file(sqlite_location)).returncode == 0
    newer = seal(sqlite_location, "new", by=kept(file))
    assert docker_mcp("rotate-sealing-key", env=by_file(sqlite_location)).returncode == 0
    assert opened(sqlite_location, newer, kept(file)) == "new"
    assert opened(sqlite_location, command, old) == "hidden", "who finds the old key can still use it"


@pytest.mark.parametrize("content", [b"rubbish", base64.b64encode(b"of another log".ljust(32))])
def test_a_file_that_is_not_the_key_is_kept_aside(content: bytes, sqlite_location: Location, file: Path) -> None:
    seal(sqlite_location, "hidden", by=kept(file))
    file.write_bytes(content)
    assert docker_mcp("rotate-sealing-key", "--lost", env=by_file(sqlite_location)).returncode == 0
    (aside,) = file.parent.glob("*.old-*")
    assert aside.read_bytes() == content


def test_a_key_that_is_there_is_not_lost(location: Location) -> None:
    seal(location, "hidden")
    before = data_keys(location)
    done = docker_mcp("rotate-sealing-key", "--lost", env=to_other(location))
    assert done.returncode == 2
    assert "is not lost" in complaint(done)
    assert data_keys(location) == before


# --- reading without the key --------------------------------------------------------------------------------------


@pytest.mark.promise("P2")
@pytest.mark.parametrize("key", [None, OTHER_KEY])
def test_the_log_is_read_without_its_key_and_the_look_is_recorded(key: str | None, location: Location) -> None:
    command = seal(location, "hidden")
    done = docker_mcp("audit", env={**log_at(location), "DOCKER_MCP_SEALING_KEY": key})
    assert done.returncode == 0
    assert command["id"] in done.stdout
    (note,) = done.stderr.splitlines()
    assert note.startswith("docker-mcp: note: read without the sealing key: ")
    assert "audit-logs" in {event.tool for event in events(location)}
    assert rows(location, "SELECT count(*) FROM data_key") == [(1,)]


def test_a_key_file_is_not_made_by_reading(sqlite_location: Location, file: Path) -> None:
    seal(sqlite_location, "hidden", by=kept(file))
    file.unlink()
    assert docker_mcp("audit", env=by_file(sqlite_location)).returncode == 0
    assert not file.exists()
    refused = docker_mcp("stdio", env=by_file(sqlite_location))
    assert refused.returncode == 2
    for way in ("restore the file", "docker-mcp audit", "rotate-sealing-key --lost"):
        assert way in complaint(refused)


def test_an_unknown_question_is_refused_without_the_key_as_with_it(sqlite_location: Location, file: Path) -> None:
    seal(sqlite_location, "hidden", by=kept(file))
    file.unlink()
    done = docker_mcp("audit", "--status", new_id(), env=by_file(sqlite_location))
    assert done.returncode == 2
    assert "a status is one of" in done.stderr
