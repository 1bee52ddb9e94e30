"""``docker-mcp verify`` and ``checkpoint``: what a person sees, and the exit codes a script goes by."""

import json
import shutil
from pathlib import Path

import pytest

from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from server.bootstrap import new_id, now_ms
from tests.cli.command import complaint, docker_mcp, finding, log_at, plain_user
from tests.conftest import SEALING_KEY, url_of
from tests.contract.events import life
from tests.contract.rows import execute, rows
from tests.contract.tampering import events, tamper

pytestmark = pytest.mark.promise("P4")


def fill(location: Location, commands: int = 2) -> None:
    store = SqlEventStore(location, now_ms, new_id())
    for _ in range(commands):
        store.append(life()).result(30)
    store.close()


def variables(location: Location) -> dict[str, str | None]:
    return {**log_at(location), "DOCKER_MCP_SIGNING_KEY": SEALING_KEY}


def test_an_intact_log(location: Location) -> None:
    fill(location)
    before = rows(location, "SELECT count(*) FROM event")
    done = docker_mcp("verify", env=variables(location))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("intact")
    assert "records 1 to 8 (8 in" in done.stdout
    assert rows(location, "SELECT count(*) FROM event") == before


def test_the_first_bad_record_is_named(location: Location) -> None:
    fill(location)
    tamper(location, "UPDATE event SET principal = 'mallory' WHERE position IN (3, 6)")
    done = docker_mcp("verify", env=variables(location))
    assert done.returncode == 3
    first = done.stdout.splitlines()[0]
    assert first == "TAMPERED  record 3: does not match its hash: the record was changed"
    tree = json.loads(docker_mcp("verify", "--json", env=variables(location)).stdout)
    assert (tree["intact"], tree["found"], tree["records"]) == (False, 2, 8)
    assert [each["position"] for each in tree["findings"]] == [3, 6]


def test_a_checkpoint_is_made_printed_and_kept_and_shows_a_cut_tail(location: Location, tmp_path: Path) -> None:
    fill(location)
    kept = tmp_path / "elsewhere" / "checkpoints.jsonl"
    env = {**variables(location), "DOCKER_MCP_CHECKPOINTS_TO": str(kept)}
    made = docker_mcp("checkpoint", env=env)
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout == kept.read_text()
    assert json.loads(made.stdout)["position"] == 8
    assert docker_mcp("checkpoint", env=env).stdout == made.stdout  # nothing new
    assert events(location)[-1].principal.startswith("local:")
    assert docker_mcp("verify", "--checkpoint", str(kept), env=env).returncode == 0
    tamper(location, "DELETE FROM event WHERE position > 4")
    assert docker_mcp("verify", env=env).returncode == 0
    done = docker_mcp("verify", "--checkpoint", str(kept), env=env)
    assert done.returncode == 3
    assert "its tail was cut" in done.stdout


def test_whoever_has_only_the_log_the_lines_of_syslog_and_the_public_key_can_verify(
    sqlite_location: Location, tmp_path: Path
) -> None:
    fill(sqlite_location)
    line = docker_mcp("checkpoint", env=variables(sqlite_location)).stdout
    (tmp_path / "syslog").write_text(f"Nov 26 03:00:00 host docker-mcp: {line}\n\n")
    (tmp_path / "key.pem").write_text(docker_mcp("checkpoint", "key", env=variables(sqlite_location)).stdout)
    copy = tmp_path / "copy.db"
    assert sqlite_location.path
    shutil.copy(sqlite_location.path, copy)
    env = {"DOCKER_MCP_DATABASE_URL": url_of(Location(path=copy))}
    arguments = ["verify", "--checkpoint", str(tmp_path / "syslog")]
    unkeyed = docker_mcp(*arguments, "--json", env=env)
    assert (unkeyed.returncode, json.loads(unkeyed.stdout)["unchecked_signatures"]) == (0, 2)
    keyed = docker_mcp(*arguments, "--public-key", str(tmp_path / "key.pem"), "--json", env=env)
    assert json.loads(keyed.stdout)["checkpoints"] == 2
    since = docker_mcp("verify", "--from-checkpoint", "--public-key", str(tmp_path / "key.pem"), "--json", env=env)
    assert json.loads(since.stdout)["first_position"] == 9
    assert [file.name for file in tmp_path.iterdir() if "key" in file.name] == ["key.pem"]


def test_a_copy_that_nothing_can_be_written_beside_is_verified(sqlite_location: Location, tmp_path: Path) -> None:
    fill(sqlite_location)
    assert sqlite_location.path
    folder = tmp_path / "readonly"
    folder.mkdir()
    shutil.copy(sqlite_location.path, folder / "copy.db")
    (folder / "copy.db").chmod(0o444)
    folder.chmod(0o555)
    env = {"DOCKER_MCP_DATABASE_URL": url_of(Location(path=folder / "copy.db"))}
    done = docker_mcp("verify", env=env, prefix=plain_user())
    assert done.returncode == 0, done.stderr
    assert [file.name for file in folder.iterdir()] == ["copy.db"]


@pytest.mark.parametrize("sort", ["gone", "no database", "no log", "damaged"])
def test_what_cannot_be_checked_is_told_apart_from_tampering(sqlite_location: Location, sort: str) -> None:
    path = sqlite_location.path
    assert path
    if sort == "damaged":
        fill(sqlite_location, 50)
        content = bytearray(path.read_bytes())
        root = rows(sqlite_location, "SELECT rootpage FROM sqlite_master WHERE name = 'event'")[0][0]
        content[(root - 1) * 4096 : root * 4096] = b"\xff" * 4096
        path.write_bytes(content)
    elif sort != "gone":
        path.parent.mkdir()
        path.write_bytes(b"this is no database " * 500 if sort == "no database" else b"")
    done = docker_mcp("verify", env=variables(sqlite_location))
    assert done.returncode == 4
    assert "could not be checked" in complaint(done)


def test_a_database_that_does_not_answer_is_told_apart_too() -> None:
    done = docker_mcp("verify", env={"DOCKER_MCP_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"})
    assert done.returncode == 4
    assert "cannot connect" in complaint(done)


def test_wrong_files_are_explained(sqlite_location: Location, tmp_path: Path) -> None:
    fill(sqlite_location)
    (tmp_path / "wrong").write_text('{"position": 1}\n')
    for option, problem in [
        ("--checkpoint", "wrong, line 1: this is no checkpoint"),
        ("--public-key", "holds no Ed25519 public key"),
    ]:
        done = docker_mcp("verify", option, str(tmp_path / "wrong"), env=variables(sqlite_location))
        assert done.returncode == 2
        assert problem in complaint(done)
    done = docker_mcp("verify", "--segment", str(tmp_path / "wrong"), env=variables(sqlite_location))
    assert done.returncode == 4
    assert "it is no segment" in complaint(done)


@pytest.mark.postgres
def test_without_a_signing_key_postgres_gets_no_checkpoints_and_doctor_says_so(postgres_location: Location) -> None:
    fill(postgres_location)
    for command in (["checkpoint"], ["checkpoint", "key"]):
        done = docker_mcp(*command, env=log_at(postgres_location))
        assert done.returncode == 2
        assert "DOCKER_MCP_SIGNING_KEY" in complaint(done)
    found = finding("checkpoints", docker_mcp("doctor", "--json", env=log_at(postgres_location)))
    assert (found["ok"], found["optional"]) == (False, True)
    assert "DOCKER_MCP_SIGNING_KEY" in found["fix"]


def test_doctor_says_when_no_copies_are_kept(sqlite_location: Location, tmp_path: Path) -> None:
    found = finding("checkpoints", docker_mcp("doctor", "--json", env=variables(sqlite_location)))
    assert (found["ok"], found["optional"]) == (False, True)
    assert "DOCKER_MCP_CHECKPOINTS_TO" in found["fix"]
    env = {**variables(sqlite_location), "DOCKER_MCP_CHECKPOINTS_TO": str(tmp_path / "kept")}
    assert finding("checkpoints", docker_mcp("doctor", "--json", env=env))["ok"]


def test_a_missing_guard_is_told(location: Location) -> None:
    fill(location)
    execute(location, "DROP TRIGGER event_chain" + ("" if location.path else " ON event"))
    done = docker_mcp("verify", env=variables(location))
    assert done.returncode == 3
    assert "does not guard the log; missing, changed or not ours: event_chain" in done.stdout
