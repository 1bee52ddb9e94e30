"""``docker-mcp backup`` and ``restore``: what is recorded, and where the keys of a log go."""

import base64
import json
import stat
from pathlib import Path

import pytest

from adapters.store.location import Location
from server.key_bundle import KeyBundle
from tests.cli.command import Outcome, Variables, complaint, docker_mcp, log_at
from tests.cli.keys import opened, seal, sealer
from tests.conftest import SEALING_KEY, PostgresServer, settings_for, url_of
from tests.contract.tampering import events

OTHER = base64.b64encode(b"not the key that sealed anything").decode()


def ok(done: Outcome) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def without_keys(location: Location) -> Variables:
    return {"DOCKER_MCP_DATABASE_URL": url_of(location)}


@pytest.mark.promise("P6")
def test_keys_of_a_sqlite_log_are_kept_apart_and_restored(sqlite_location: Location, tmp_path: Path) -> None:
    env = without_keys(sqlite_location)
    assert sqlite_location.path
    ok(docker_mcp("user", "add", "alice", "--role", "admin", env=env))
    ok(docker_mcp("token", "alice", env=env))
    docker_mcp("doctor", env=env)  # makes the sealing key
    bundle = KeyBundle.of(settings_for(sqlite_location, DOCKER_MCP_SEALING_KEY=""), sqlite_location, None)
    command = seal(sqlite_location, "the value", by=sealer(bundle.values["DOCKER_MCP_SEALING_KEY"]))
    file, keys = tmp_path / "copies/copy.db", tmp_path / "keys.env"
    printed = ok(docker_mcp("backup", str(file), "--keys", str(keys), env=env))
    assert "verified, signed with key" in printed
    assert f"its keys are in {keys}" in printed
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    secrets = dict(line.split("=", 1) for line in keys.read_text().splitlines() if not line.startswith("#"))
    assert set(secrets) == {"DOCKER_MCP_SEALING_KEY", "DOCKER_MCP_SIGNING_KEY", "MCP_AUTH_SECRET"}
    for copied in file.parent.iterdir():
        content = copied.read_bytes()
        assert not any(value.encode() in content or base64.b64decode(value) in content for value in secrets.values())
    new = Location(path=tmp_path / "new/ledger.db")
    assert new.path
    assert "its keys were put beside it" in ok(
        docker_mcp("restore", str(file), "--keys", str(keys), env=without_keys(new))
    )
    for ending in (".key", ".auth-secret", ".signing-key"):
        theirs, ours = (place.with_name(place.name + ending) for place in (sqlite_location.path, new.path))
        assert theirs.read_bytes().strip() == ours.read_bytes().strip()
        assert stat.S_IMODE(ours.stat().st_mode) == 0o600
    assert opened(new, command, sealer(secrets["DOCKER_MCP_SEALING_KEY"])) == "the value"
    *before, last = events(new)
    assert before == events(sqlite_location)
    assert before[-1].type == "log.backed_up"
    assert (last.type, json.loads(last.data)["position"]) == ("log.restored", len(before))


@pytest.mark.postgres
def test_the_keys_of_a_postgresql_log_stay_variables(
    postgres_location: Location, postgres: PostgresServer, tmp_path: Path
) -> None:
    seal(postgres_location, "the value")
    printed = ok(docker_mcp("backup", f"{tmp_path}/copies/", env=log_at(postgres_location)))
    (file,) = (tmp_path / "copies").glob("ledger-*.db")
    assert "not signed: there is no DOCKER_MCP_SIGNING_KEY" in printed
    again = json.loads(ok(docker_mcp("backup", f"{tmp_path}/again.db", "--json", env=log_at(postgres_location))))
    assert again["key_places"] == {"DOCKER_MCP_SEALING_KEY": "DOCKER_MCP_SEALING_KEY"}
    assert "DOCKER_MCP_SEALING_KEY from the settings" in printed
    new = Location.parse(postgres.url(postgres.create_database()))
    (tmp_path / "wrong.env").write_text(f"DOCKER_MCP_SEALING_KEY={OTHER}\n")
    wrong = docker_mcp("restore", str(file), "--keys", str(tmp_path / "wrong.env"), env=log_at(new))
    assert wrong.returncode == 2
    assert "the copy was sealed with key" in complaint(wrong)
    missing = docker_mcp("restore", str(file), "--json", env=without_keys(new))
    told = json.loads(ok(missing))
    assert (told["is_signed"], told["missing_sealing_key_id"]) == (None, sealer().key_id)
    assert "a server does not start before it has the sealing key" in missing.stderr
    assert [event.type for event in events(new)][-2:] == ["log.backed_up", "log.restored"]


def test_keys_that_are_there_already_are_not_overwritten(sqlite_location: Location, tmp_path: Path) -> None:
    file, keys = tmp_path / "copy.db", tmp_path / "keys.env"
    seal(sqlite_location, "the value")
    ok(docker_mcp("backup", str(file), "--keys", str(keys), env=log_at(sqlite_location)))
    new = Location(path=tmp_path / "new/ledger.db")
    assert new.path
    new.path.parent.mkdir()
    other = new.path.with_name("ledger.db.key")
    other.write_text(OTHER)
    done = docker_mcp("restore", str(file), "--keys", str(keys), env=without_keys(new))
    assert done.returncode == 2
    assert f"another DOCKER_MCP_SEALING_KEY is there already: {other}" in complaint(done)
    assert (other.read_text(), new.path.exists()) == (OTHER, False)
    recorded = events(sqlite_location)
    again = docker_mcp("backup", str(file), env=log_at(sqlite_location))
    assert (again.returncode, events(sqlite_location)) == (2, recorded)


def test_a_file_of_keys_is_read_strictly(tmp_path: Path) -> None:
    (tmp_path / "no.env").write_text(f"PATH=/bin\nDOCKER_MCP_SEALING_KEY={SEALING_KEY}\n")
    done = docker_mcp("restore", "copy.db", "--keys", str(tmp_path / "no.env"), cwd=tmp_path)
    assert done.returncode == 2
    assert "is not what `docker-mcp backup --keys` writes" in complaint(done)


@pytest.mark.promise("P7")
@pytest.mark.parametrize("arguments", [["backup", "x.db"], ["restore", "x.db"]])
def test_who_may_only_read_can_do_neither(arguments: list[str], tmp_path: Path) -> None:
    done = docker_mcp(*arguments, env={"DOCKER_MCP_STDIO_ROLE": "user"}, cwd=tmp_path)
    assert done.returncode == 1
    assert "denied" in complaint(done)


def test_a_log_that_does_not_exist_is_not_made(sqlite_location: Location, tmp_path: Path) -> None:
    done = docker_mcp("backup", str(tmp_path / "copy.db"), env=log_at(sqlite_location))
    assert "there is no log" in complaint(done)
    assert sqlite_location.path
    assert not sqlite_location.path.exists()
