"""``docker-mcp replay``: the past, for people and programs; the question is recorded, Docker is not asked."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from domain.events import CommandSucceeded
from domain.objects import Kind, ObjectState
from server.bootstrap import new_id, now_ms
from server.cli.replay_forms import table_form
from tests.benchmarks.made_log import generate
from tests.cli.command import complaint, docker_mcp, log_at
from tests.contract.events import AUTHORIZED, RECEIVED, STARTED, SUCCEEDED, life, stream
from tests.contract.rows import execute, rows

EVENTS = 400


@pytest.fixture
def made(sqlite_location: Location) -> Location:
    generate(sqlite_location, EVENTS)
    execute(sqlite_location, "PRAGMA journal_mode = WAL")  # as every server sets it
    return sqlite_location


def replayed(location: Location, *options: str, **env: str) -> dict[str, Any]:
    done = docker_mcp("replay", "--format", "json", *options, env={**log_at(location), **env})
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.promise("P2")
def test_the_state_at_a_moment_is_told_and_the_question_recorded(made: Location) -> None:
    early, late = replayed(made, "--at", "100"), replayed(made, DOCKER_HOST="unix:///nowhere.sock")
    assert early["about"]["position"] == 100
    assert late["about"]["position"] > EVENTS
    assert {"kind", "name", "id", "state", "changed_at", "changed_by", "change"} <= early["state"][0].keys()
    assert len(early["state"]) < len(late["state"])
    asked = rows(made, "SELECT status, data FROM event WHERE tool = 'replay' AND status = 'success'")
    assert len(asked) == 2
    table = docker_mcp("replay", "--at", "100", env=log_at(made)).stdout
    assert table.splitlines()[0].endswith("(position 100)")
    long_ago = docker_mcp("replay", "--at", "2001-01-01T00:00:00Z", env=log_at(made)).stdout
    assert long_ago.splitlines()[0] == "before the log begins"
    assert replayed(made, "--at", "2001-01-01T00:00:00Z")["about"] == {"position": 0}
    assert table.count("\n") > len(early["state"])


def test_a_timeline_and_what_differs(made: Location) -> None:
    whole = replayed(made, "--from", "1", "--to", "400")["timeline"]
    assert [row["position"] for row in whole] == sorted(row["position"] for row in whole)
    principal, name = whole[5]["principal"], next(row["object"] for row in whole if row.get("changes"))
    own = replayed(made, "--from", "1", "--to", "400", "--principal", principal)["timeline"]
    assert own == [row for row in whole if row["principal"] == principal]
    about = replayed(made, "--from", "1", "--to", "400", "--object", name)["timeline"]
    assert about
    assert all(row["object"] == name for row in about)
    talk = whole[5]["correlation_id"]
    assert {row["correlation_id"] for row in replayed(made, "--from", "1", "--conversation", talk)["timeline"]} == {
        talk
    }
    differences = replayed(made, "--from", "200", "--to", "400", "--diff")["differences"]
    before, after = (replayed(made, "--at", each)["state"] for each in ("199", "400"))
    ids = [{row["id"] for row in side} for side in (before, after)]
    assert {row["id"] for row in differences if row["difference"] == "appeared"} == ids[1] - ids[0]


def test_why_and_plan_name_the_commands(made: Location) -> None:
    state = ObjectState(kind=Kind.CONTAINER, id="c" * 64, name="shop", facts={"status": "running", "networks": []})
    outcome = CommandSucceeded(summary="create container shop", duration_us=1, state_after=(state,))
    with closing(SqlEventStore(made, now_ms, new_id())) as store:
        creation = stream(tool="create-container", target="container/shop")
        store.append(life(RECEIVED, AUTHORIZED, STARTED, outcome, of=creation)).result()
    chain = replayed(made, "--from", "1", "--why", "shop")["why"]
    assert [chain[0]["step"], chain[1]["step"]] == ["state", "change"]
    cause = chain[1]["cause"]
    assert cause["rule"].startswith("role-")
    text = docker_mcp("replay", "--from", "1", "--why", "shop", env=log_at(made)).stdout
    assert cause["command_id"] in text
    assert "because of" in text
    plan = docker_mcp("replay", "--at", "400", "--plan", env=log_at(made)).stdout
    assert plan.count("\n# ") > 5


def test_why_tells_what_else_the_name_can_mean_and_how_to_ask_for_it(made: Location) -> None:
    def shop(kind: Kind, digit: str) -> ObjectState:
        facts: dict[str, Any] = {"status": "running", "networks": []} if kind is Kind.CONTAINER else {}
        return ObjectState(kind=kind, id=digit * 64, name="shop", facts=facts)

    first, second, network = shop(Kind.CONTAINER, "a"), shop(Kind.CONTAINER, "b"), shop(Kind.NETWORK, "c")
    pinned = STARTED.model_copy(update={"pinned": (first,)})
    done = (
        ("create-container", STARTED, first),
        ("remove-container", pinned, None),
        ("create-container", STARTED, second),
        ("network-create", STARTED, network),
    )
    with closing(SqlEventStore(made, now_ms, new_id())) as store:
        for tool, started, state in done:
            outcome = SUCCEEDED.model_copy(update={"state_after": (state,) if state else ()})
            target = stream(tool=tool, target="network/shop" if state is network else "container/shop")
            store.append(life(RECEIVED, AUTHORIZED, started, outcome, of=target)).result()
    answer = replayed(made, "--why", "shop")
    assert answer["why"][0]["id"] == "c" * 12
    assert [(row["kind"], row["id"], row["state"]) for row in answer["others"]] == [
        ("container", "b" * 12, "running"),
        ("container", "a" * 12, "removed"),
    ]
    assert answer["others_left_out"] == 0
    table = docker_mcp("replay", "--why", "shop", env=log_at(made)).stdout
    assert "others that this name can mean: ask --why with KIND/NAME or the ID" in table
    assert replayed(made, "--why", "container/shop")["why"][0]["id"] == "b" * 12
    alone = replayed(made, "--why", "a" * 12)
    assert alone["why"][0]["state"] == "removed"
    assert "others" not in alone


def test_a_page_is_written_where_nothing_is(made: Location, tmp_path: Path) -> None:
    to = tmp_path / "page.html"
    options = ("replay", "--from", "1", "--format", "html", "--output", str(to))
    assert docker_mcp(*options, env=log_at(made)).returncode == 0
    assert to.stat().st_mode & 0o777 == 0o600
    assert to.read_text().startswith("<!doctype html>")
    again = docker_mcp(*options, env=log_at(made))
    assert again.returncode == 1
    assert "cannot be written: file exists" in again.stderr


@pytest.mark.promise("P7")
def test_a_role_that_sees_its_own_records_gets_a_world_of_its_own(made: Location) -> None:
    env = {"DOCKER_MCP_STDIO_ROLE": "user"}
    answer = replayed(made, "--at", "400", **env)
    assert answer["about"]["only_of"].startswith("local:")
    assert answer["state"] == []
    timeline = replayed(made, "--from", "1", **env)["timeline"]
    assert {row["what"] for row in timeline} == {"replay"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--at", "soon"], "or a position of the log in digits"),
        (["--at", "5", "--to", "6"], "does not go with --to"),
        (["--why", "nothing-of-that-name"], "the log knows no object"),
        (["--why", "web", "--object", "web"], "leave out --object"),
        (["--from", "50", "--to", "20"], "it begins after its end, which is position 20"),
        (["--from", "2001-01-02", "--to", "2001-01-01"], "it begins after its end, which is position 0"),
        (["--from", "99999"], "it begins after its end, which is position 4"),
        (["--diff", "--principal", "agent"], "choose from the timeline"),
        (["--drift", "--conversation", "talk"], "choose from the timeline"),
        (["--plan", "--format", "html"], "the page of the timeline"),
    ],
)
def test_a_wrong_question_is_told_what_is_wrong(made: Location, options: list[str], told: str) -> None:
    done = docker_mcp("replay", *options, env=log_at(made))
    assert done.returncode != 0
    assert told in complaint(done)


def test_drift_tells_what_no_log_knows(made: Location, container: str) -> None:
    drift = replayed(made, "--at", "400", "--drift")["drift"]
    assert {row["drift"] for row in drift} == {"gone", "unrecorded"}
    assert container in {row["name"] for row in drift if row["drift"] == "unrecorded"}
    of_one = replayed(made, "--at", "400", "--drift", "--object", container)["drift"]
    assert [row["name"] for row in of_one] == [container]


def test_a_plan_is_made_for_the_object_that_was_asked_for(made: Location) -> None:
    name = next(row["name"] for row in replayed(made, "--at", "400")["state"] if row["kind"] == "network")
    plan = replayed(made, "--at", "400", "--plan", "--object", f"network/{name}")["plan"]
    assert {row["object"] for row in plan} == {f"network/{name}"}
    none = docker_mcp("replay", "--at", "400", "--plan", "--object", "nothing-of-that-name", env=log_at(made)).stdout
    assert "# none: the log knows nothing" in none


def test_a_maker_whose_records_are_in_the_archive_is_told_as_such() -> None:
    state = {"step": "state", "kind": "container", "name": "web", "id": "c" * 12, "state": "running"}
    change = {"step": "change", "what": "start", "by": "alice", "at": "2026-06-06T03:12:00.000Z", "position": 1}
    rows = [state, change, {"step": "made", "command_id": "019e7d23-f918-7d8a-a529-9ac937056a19"}]
    told = table_form({"about": {"at": "2026-06-06T03:13:00.000Z", "position": 9}, "why": rows})
    assert told.endswith(
        "  command 019e7d23-f918-7d8a-a529-9ac937056a19, whose records are not here: those before a rotation are in "
        "the archive"
    )
