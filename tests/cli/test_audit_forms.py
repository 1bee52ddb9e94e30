"""``docker-mcp audit`` in its other forms: CSV, pages, one command's story, and what goes on."""

import csv
import io
import json
import queue
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from adapters.store.location import Location
from domain.principal import Principal, Role
from server.bootstrap import Application, new_id
from server.cli.audit_forms import Form, json_text, page_text, row_lines, story_text
from tests.cli.command import STDIO, complaint, docker_mcp, environment, log_at
from tests.conftest import ADMIN, Serve, caller
from tests.contract.rows import rows

pytestmark = pytest.mark.anyio

HOSTILE = "=HYPERLINK(1)\x1b[2J\x9b31m\u202e"


async def look_up(application: Application, **who: Any) -> str:
    """Leave a command in the log that needs no engine; return its id."""
    answer = await application.dispatcher.dispatch(
        "get-command", {"command_id": new_id()}, caller(application, **{"principal": ADMIN, **who})
    )
    return answer.command_id


@pytest.mark.promise("P9")
async def test_pages_go_on_where_the_one_before_ended(serve: Serve, sqlite_location: Location) -> None:
    async with serve() as application:
        made = [await look_up(application) for _ in range(5)]
    log = log_at(sqlite_location)
    seen: list[str] = []
    more: list[str] = []
    for _ in range(3):
        done = docker_mcp("audit", "--tool", "get-command", "--limit", "2", "--csv", *more, env=log)
        seen += [row["command_id"] for row in csv.DictReader(io.StringIO(done.stdout))]
        more = done.stderr.split()[-2:]
    assert seen == made[::-1]
    assert more == [], "the last page names no cursor"


async def test_csv_holds_no_formula_and_nothing_that_steers_a_terminal(serve: Serve, sqlite_location: Location) -> None:
    async with serve() as application:
        await look_up(application, principal=Principal(HOSTILE, Role.ADMIN), purpose=HOSTILE, correlation_id='+1,"x"')
    done = docker_mcp("audit", "--csv", "--role", "admin", "--effect", "read", env=log_at(sqlite_location))
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert row["principal"] == "'=HYPERLINK(1)\\u001b[2J\\u009b31m\\u202e"
    assert row["purpose"].startswith("'=")
    assert row["correlation_id"] == '\'+1,"x"'
    assert (row["tool"], row["status"]) == ("get-command", "failed")


@pytest.mark.parametrize("form", list(Form))
def test_no_form_passes_on_what_steers_a_terminal(form: Form) -> None:
    entry = {"at": "now", "principal": HOSTILE, "command_id": "1", "reason": "\r\n\t" + HOSTILE, "duration_ms": 3}
    for text in (page_text({"entries": [entry]}, form), row_lines([entry], form)):
        assert not {"\x1b", "\x9b", "\u202e", "\r", "\t"} & set(text)
    assert json.loads(json_text(entry)) == entry
    story = {"command_id": "1", "events": [{"at": "now", "type": HOSTILE, "position": 1, "data": {"a": HOSTILE}}]}
    assert not {"\x1b", "\x9b", "\u202e"} & set(story_text({**story, "plan": {"a": HOSTILE}}))


async def test_the_story_of_a_command_has_every_event_and_no_secret(serve: Serve, sqlite_location: Location) -> None:
    async with serve(DOCKER_HOST="unix:///nowhere/docker.sock") as application:
        arguments = {"image": "busybox", "name": "web", "environment": {"PASSWORD": "swordfish"}}
        made = await application.dispatcher.dispatch(
            "create-container", arguments, caller(application, correlation_id="talk-7", trace_id="ab" * 16)
        )
    log = log_at(sqlite_location)
    told = docker_mcp("audit", "--show", made.command_id, env=log).stdout
    assert f"command_id      {made.command_id}" in told
    assert "correlation_id  talk-7" in told
    assert f"trace_id        {'ab' * 16}" in told
    for event in ("command.received", "command.authorized", "execution.started", "command.failed"):
        assert event in told
    assert "«sealed»" in told
    assert "swordfish" not in told
    assert "engine_unreachable" in told
    story = json.loads(docker_mcp("audit", "--show", made.command_id, "--json", env=log).stdout)
    assert story["events"][0]["data"]["arguments"]["name"] == "web"
    assert "no command" in complaint(docker_mcp("audit", "--show", new_id(), env=log))


@pytest.mark.promise("P7")
async def test_the_story_of_another_is_not_told_to_who_sees_only_own_records(
    serve: Serve, sqlite_location: Location
) -> None:
    async with serve() as application:
        of_another = await look_up(application)
    log = {**log_at(sqlite_location), "DOCKER_MCP_STDIO_ROLE": "user"}
    assert "no command" in complaint(docker_mcp("audit", "--show", of_another, env=log))
    assert ADMIN.name not in docker_mcp("audit", "--username", ADMIN.name, env=log).stdout


@pytest.mark.parametrize(
    "options",
    [["--json", "--csv"], ["--show", "x", "--follow"], ["--show", "x", "--tool", "y"], ["--follow", "--until", "now"]],
)
def test_options_that_contradict_each_other_are_refused(options: list[str], sqlite_location: Location) -> None:
    done = docker_mcp("audit", *options, env=log_at(sqlite_location))
    assert done.returncode == 2
    assert "--help" in complaint(done)


@contextmanager
def following(*options: str, log: Location) -> Iterator["queue.Queue[dict[str, Any]]"]:
    """Run ``audit --follow --json`` and collect what it prints; ends it as Ctrl-C does."""
    process = subprocess.Popen(
        [*STDIO, "audit", "--follow", "--json", *options], stdout=subprocess.PIPE, env=environment(log_at(log)), cwd="/"
    )
    assert process.stdout
    printed: queue.Queue[dict[str, Any]] = queue.Queue()
    stream = process.stdout

    def read() -> None:
        for line in stream:
            printed.put(json.loads(line))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield printed
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(30)
        reader.join(30)
        stream.close()
    assert code == 0


async def test_following_prints_what_ends_as_it_ends_and_never_itself(serve: Serve, location: Location) -> None:
    async with serve(location) as application:
        before = await look_up(application)
        with following("--effect", "read", log=location) as printed:
            assert printed.get(timeout=60)["command_id"] == before
            after = [await look_up(application) for _ in range(3)]
            assert [printed.get(timeout=60)["command_id"] for _ in after] == after
        assert printed.empty()
    asked = rows(location, "SELECT DISTINCT stream, purpose FROM event WHERE tool = 'audit-logs'")
    assert len(asked) == 1, "following is one command"
    assert asked[0][1] == "docker-mcp audit --follow"
