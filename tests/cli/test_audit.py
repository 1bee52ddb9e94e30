"""``docker-mcp audit``: who did what, and who looked."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.store.location import Location
from server.bootstrap import new_id
from tests.cli.command import complaint, docker_mcp, finding, log_at
from tests.conftest import ADMIN, READER, Serve, caller

pytestmark = pytest.mark.anyio


async def fill(serve: Serve, location: Location) -> None:
    """Leave one command of each of four statuses in the log; none of them needs an engine."""
    async with serve(location) as application:
        dispatch = application.dispatcher.dispatch
        admin, reader = (caller(application, principal=principal) for principal in (ADMIN, READER))
        await dispatch("no-such-tool", {}, admin)
        await dispatch("stop-container", {"container_name": "web"}, reader)
        await dispatch("get-command", {"command_id": new_id()}, admin)
        known = await dispatch("get-command", {"command_id": new_id()}, reader)
        await dispatch("get-command", {"command_id": known.command_id}, admin)


def entries(location: Location, *arguments: str) -> list[dict[str, Any]]:
    """Return what ``audit --json`` shows."""
    done = docker_mcp("audit", "--json", *arguments, env=log_at(location))
    assert done.returncode == 0
    found: list[dict[str, Any]] = json.loads(done.stdout)["entries"]
    return found


@contextmanager
def write_lock(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


@pytest.mark.promise("P2")
async def test_the_trail_shows_each_command_newest_first(serve: Serve, location: Location) -> None:
    await fill(serve, location)
    shown = [(entry["principal"], entry["tool"], entry["status"]) for entry in entries(location)]
    assert shown == [
        ("test-admin", "get-command", "success"),
        ("test-reader", "get-command", "failed"),
        ("test-admin", "get-command", "failed"),
        ("test-reader", "stop-container", "denied"),
        ("test-admin", "_unknown", "rejected"),
    ]


@pytest.mark.promise("P2")
def test_a_look_at_the_trail_is_recorded_but_does_not_show_itself(sqlite_location: Location) -> None:
    assert entries(sqlite_location) == []
    (first,) = entries(sqlite_location)
    assert (first["tool"], first["status"]) == ("audit-logs", "success")
    assert first["principal"].startswith("local:")
    assert sqlite_location.path
    with closing(sqlite3.connect(sqlite_location.path)) as connection:
        rows = connection.execute("SELECT stream, type FROM event WHERE tool = 'audit-logs'").fetchall()
    looked = [command_id for command_id, kind in rows if kind == "command.succeeded"]
    assert len(looked) == 2
    assert looked[0] == first["command_id"]


async def test_people_get_a_table(serve: Serve, sqlite_location: Location) -> None:
    await fill(serve, sqlite_location)
    done = docker_mcp("audit", env=log_at(sqlite_location))
    title, *lines = done.stdout.splitlines()
    assert title.split() == [
        "TIME", "PRINCIPAL", "ROLE", "TOOL", "OBJECT", "STATUS", "MS", "SUMMARY", "REASON", "COMMAND",
    ]  # fmt: skip
    assert len(lines) == 5
    starts = [match.start() for match in re.finditer(r"\S+", title)]
    assert all(line[start - 1] == " " for line in lines for start in starts[1:]), "the columns are not aligned"
    assert "None" not in done.stdout


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (["--username", "test-reader"], {"failed", "denied"}),
        (["--tool", "get-command", "--status", "SUCCEEDED"], {"success"}),
        (["--limit", "2"], {"success", "failed"}),
    ],
)
async def test_a_filter_narrows_the_trail(
    question: list[str], expected: set[str], serve: Serve, sqlite_location: Location
) -> None:
    await fill(serve, sqlite_location)
    assert {entry["status"] for entry in entries(sqlite_location, *question)} == expected


async def test_a_filter_that_nothing_fits_says_so(serve: Serve, sqlite_location: Location) -> None:
    await fill(serve, sqlite_location)
    done = docker_mcp("audit", "--username", "nobody-here", env=log_at(sqlite_location))
    assert (done.returncode, done.stdout) == (0, "no commands match\n")


def test_an_empty_log_is_an_answer(sqlite_location: Location) -> None:
    assert docker_mcp("audit", env=log_at(sqlite_location)).stdout == "no commands match\n"


@pytest.mark.promise("P2")
def test_an_unknown_status_is_explained_and_recorded(sqlite_location: Location) -> None:
    done = docker_mcp("audit", "--status", "finished", env=log_at(sqlite_location))
    assert done.returncode == 2
    assert "a status is one of running, success, failed" in complaint(done)
    assert "finished" not in complaint(done)
    (entry,) = entries(sqlite_location)
    assert (entry["tool"], entry["status"]) == ("audit-logs", "rejected")


@pytest.mark.promise("P9")
def test_a_log_that_another_process_holds_is_not_waited_for_long(sqlite_location: Location) -> None:
    log = {**log_at(sqlite_location), "DOCKER_MCP_APPEND_TIMEOUT_S": "0.3"}
    assert docker_mcp("migrate", env=log).returncode == 0
    assert sqlite_location.path
    with write_lock(sqlite_location.path):
        asked = docker_mcp("audit", env=log)
        examined = docker_mcp("doctor", "--json", env=log)
    assert asked.returncode == 1
    assert "database is locked" in complaint(asked)
    assert examined.returncode == 1
    assert "database is locked" in finding("log", examined)["seen"]


def test_a_reader_that_goes_away_sees_no_traceback(sqlite_location: Location) -> None:
    done = docker_mcp("audit", env=log_at(sqlite_location), prefix=["sh", "-c", '"$@" | true', "sh"])
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--status", "nosuch"], "status: a status is one of running, success, "),
        (["--since", "bad"], "since: a time is written like 10m, "),
        (["--show", "nosuch"], "that is no command id - `docker-mcp audit` shows the ids of commands"),
    ],
)
def test_a_wrong_option_is_told_in_the_words_of_the_command_line(
    options: list[str], told: str, sqlite_location: Location
) -> None:
    done = docker_mcp("audit", *options, env=log_at(sqlite_location))
    assert done.returncode == 2
    assert complaint(done).startswith(f"docker-mcp: invalid_arguments: {told}")
    assert "tool_name" not in complaint(done), "it names an argument of the prompt"
