"""``docker-mcp audit export`` and ``import-verify``: the log taken out of the house, and checked by strangers."""

import csv
import hashlib
import io
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from server.bootstrap import new_id, now_ms
from tests.cli.command import Outcome, complaint, docker_mcp, log_at
from tests.cli.test_audit import write_lock
from tests.contract.events import DENIED, RECEIVED, life, stream
from tests.contract.rows import rows


@pytest.fixture
def log(sqlite_location: Location) -> Location:
    """Two commands of alice and a denied one of bob: ten events."""
    return filled(sqlite_location)


def filled(location: Location) -> Location:
    store = SqlEventStore(location, now_ms, new_id())
    denied = life(RECEIVED, DENIED, of=stream(principal="bob", tool="remove-container", target="container/db"))
    store.append([*life(), *life(of=stream(target="container/=1+1")), *denied]).result(30)
    store.close()
    return location


def export(log: Location, *arguments: str, role: str | None = None, to: str = "-") -> Outcome:
    return docker_mcp("audit", "export", "--to", to, *arguments, env={**log_at(log), "DOCKER_MCP_STDIO_ROLE": role})


def exported(log: Location, *arguments: str, role: str | None = None) -> list[dict[str, Any]]:
    done = export(log, "--format", "jsonl", *arguments, role=role)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def is_whole(lines: list[bytes]) -> bool:
    """A stranger's checker of the chain: it knows the contract's form, and nothing of ours."""
    previous = None
    for number, line in enumerate(lines):
        record = json.loads(line)
        claimed = record.pop("event_hash")
        text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if hashlib.sha256(text.encode()).hexdigest() != claimed:
            return False
        if number and record["previous_hash"] != previous:
            return False
        previous = claimed
    return True


@pytest.mark.promise("P4")
def test_a_stranger_can_check_an_exported_chain(location: Location, tmp_path: Path) -> None:
    filled(location)
    file = tmp_path / "records.jsonl"
    done = export(location, "--format", "audit-record", to=str(file))
    assert done.returncode == 0, done.stderr
    lines = file.read_bytes().splitlines()
    assert len(lines) == 10
    assert is_whole(lines)
    assert not is_whole(lines[:3] + lines[4:])
    assert not is_whole([*lines[:3], lines[3].replace(b"alice", b"mallo"), *lines[4:]])
    manifest = json.loads(Path(f"{file}.manifest.json").read_bytes())
    assert manifest["canonical_form_version"] == "audit-record-contract/1"
    assert manifest["segment"]["records"] == 10
    assert manifest["segment"]["last_event_hash"] == json.loads(lines[-1])["event_hash"]
    verified = docker_mcp("audit", "import-verify", str(file))
    assert verified.returncode == 0
    assert "intact: 10 records" in verified.stdout


def test_a_range_begins_where_it_begins_and_says_what_comes_before(log: Location, tmp_path: Path) -> None:
    first, rest = tmp_path / "first", tmp_path / "rest"
    export(log, "--format", "audit-record", "--to-position", "4", to=str(first))
    export(log, "--format", "audit-record", "--from-position", "5", "--to-position", "10", to=str(rest))
    last_of_first = json.loads(first.read_bytes().splitlines()[-1])["event_hash"]
    assert json.loads(rest.read_bytes().splitlines()[0])["previous_hash"] == last_of_first
    alone = docker_mcp("audit", "import-verify", str(rest))
    assert alone.returncode == 0
    assert last_of_first in alone.stdout
    assert docker_mcp("audit", "import-verify", str(rest), "--after", last_of_first).returncode == 0
    assert docker_mcp("audit", "import-verify", str(rest), "--after", "ab" * 32).returncode == 1


@pytest.mark.promise("P2")
def test_an_export_is_a_command_that_ends_before_itself(log: Location) -> None:
    assert len(exported(log)) == 10
    assert [row["tool"] for row in exported(log, "--from-position", "11")] == ["audit-export"] * 4
    ((data,),) = rows(log, "SELECT data FROM event WHERE position = 15")
    assert json.loads(data)["arguments"] == {"format": "jsonl", "from_position": 11}


@pytest.mark.promise("P1")
def test_no_byte_leaves_when_the_export_cannot_be_recorded(log: Location) -> None:
    assert log.path
    with write_lock(log.path):
        done = docker_mcp(
            "audit",
            "export",
            "--to",
            "-",
            "--format",
            "jsonl",
            env={**log_at(log), "DOCKER_MCP_APPEND_TIMEOUT_S": "0.3"},
        )
    assert done.returncode == 1
    assert "database is locked" in complaint(done)


@pytest.mark.promise("P7")
def test_a_role_that_sees_its_own_records_exports_these_alone(log: Location) -> None:
    assert exported(log, role="user") == []
    assert {row["tool"] for row in exported(log, role="user")} == {"audit-export"}
    refused = export(log, "--format", "audit-record", "--manifest", "/nowhere/m", role="user")
    assert refused.returncode == 1
    assert "sees its own alone" in complaint(refused)


def test_csv_opens_as_a_table_without_formulas(log: Location) -> None:
    done = export(log, "--format", "csv")
    table = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["position"] for row in table] == [str(number) for number in range(1, 11)]
    assert (table[9]["status"], table[9]["reason"]) == ("denied", "role user may not mutate")
    assert json.loads(table[3]["data"])["duration_us"] == 1500


def test_the_file_is_the_owners_alone_and_never_half(log: Location, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    done = export(log, "--format", "jsonl", to=str(file))
    assert f"10 events of positions 1 to 10 to {file}" in done.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("*log.jsonl*")] == ["log.jsonl"]


def test_a_wrong_question_is_explained_and_recorded(log: Location) -> None:
    wrong = export(log, "--format", "xml")
    assert wrong.returncode == 2
    assert "a format is one of jsonl, csv, audit-record" in complaint(wrong)
    assert "--manifest FILE" in complaint(export(log, "--format", "audit-record"))
    assert rows(log, "SELECT tool, status FROM event WHERE position > 10 AND status IS NOT NULL") == [
        ("audit-export", "rejected")
    ]


def test_nothing_is_overwritten_and_a_place_that_is_none_is_told(log: Location, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("mine")
    refused = export(log, "--format", "jsonl", to=str(there))
    assert (refused.returncode, there.read_text()) == (2, "mine")
    assert "exists already" in complaint(refused)
    nowhere = export(log, "--format", "jsonl", to="/nowhere/at/all")
    assert nowhere.returncode == 1
    assert "cannot be written" in complaint(nowhere)


def test_a_reader_that_goes_away_sees_no_traceback(log: Location) -> None:
    done = docker_mcp(
        "audit", "export", "--to", "-", "--format", "jsonl", env=log_at(log), prefix=["sh", "-c", '"$@" | true', "sh"]
    )
    assert "Error" not in done.stderr


# --- import-verify ------------------------------------------------------------------------------------------------


@pytest.fixture
def records(log: Location, tmp_path: Path) -> Path:
    file = tmp_path / "records"
    export(log, "--format", "audit-record", to=str(file))
    return file


@pytest.mark.promise("P4")
def test_the_first_bad_line_is_named(records: Path) -> None:
    lines = records.read_bytes().splitlines()
    records.write_bytes(b"\n".join([*lines[:4], lines[4].replace(b"alice", b"mallo"), *lines[6:]]))
    done = docker_mcp("audit", "import-verify", str(records))
    assert done.returncode == 1
    assert "line 5: event_hash" in complaint(done)


@pytest.mark.promise("P4")
def test_a_tail_that_was_cut_off_shows_by_the_manifest(records: Path) -> None:
    records.write_bytes(b"".join(records.read_bytes().splitlines(keepends=True)[:-1]))
    done = docker_mcp("audit", "import-verify", str(records))
    assert done.returncode == 1
    assert "segment.records" in complaint(done)
    Path(f"{records}.manifest.json").unlink()
    without = docker_mcp("audit", "import-verify", str(records))
    assert without.returncode == 0
    assert "no manifest" in without.stdout


@pytest.mark.parametrize("content", [None, b"", b"\x00" * 100], ids=["no file", "empty", "zeroes"])
def test_a_file_that_holds_no_records_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    done = docker_mcp("audit", "import-verify", str(file))
    assert done.returncode == 1
    assert str(file) in complaint(done)


def test_a_check_needs_no_log_and_makes_none(records: Path, tmp_path: Path) -> None:
    state = tmp_path / "untouched"
    done = docker_mcp("audit", "import-verify", str(records), env={"DOCKER_MCP_STATE_DIR": str(state)})
    assert done.returncode == 0
    assert not state.exists()
