"""``docker-mcp tail``: the log as it grows, for people and for programs."""

import contextlib
import json
import os
import pty
import queue
import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from adapters.store.location import Location
from domain.events import AuthenticationFailed, EngineObserved, event_of
from domain.principal import ANONYMOUS, SYSTEM
from server.bootstrap import Application, new_id
from tests.cli.command import complaint, docker_mcp, environment, log_at
from tests.conftest import ADMIN, Serve, caller
from tests.contract.rows import rows
from tests.forked import ForkedProcess
from tests.waiting import until

pytestmark = pytest.mark.anyio

Lines = Callable[[], str]

DIED = EngineObserved(
    engine="e",
    kind="container",
    action="die",
    object_id="c1",
    name="web",
    occurred_at_ms=1_795_676_187_227,
    engine_time="1795676187.227000000",
    exit_code=137,
    external=True,
)


@contextmanager
def tailing(log: Location, *options: str, terminal: bool = False, **variables: str) -> Iterator[Lines]:
    """Run ``tail`` and give what waits for its next line; ends it as Ctrl-C does."""
    ours, theirs = pty.openpty() if terminal else os.pipe()
    with os.fdopen(theirs, "wb", buffering=0) as stdout:
        process = ForkedProcess(
            ["server", "tail", *options], environment({**log_at(log), **variables}), "/", stdout=stdout
        )
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        with os.fdopen(ours, errors="replace") as stream, contextlib.suppress(OSError):  # a terminal ends with an error
            for line in stream:
                lines.put(line.rstrip())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield lambda: lines.get(timeout=60)
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
        reader.join(60)
    assert code == 0


async def look_up(application: Application) -> str:
    """Leave a failed command in the log."""
    answer = await application.dispatcher.dispatch("get-command", {"command_id": new_id()}, caller(application))
    return answer.command_id


async def note(application: Application) -> None:
    """Record a failed log-in, and then something that the engine told."""
    failed = event_of(ANONYMOUS, AuthenticationFailed(source="192.0.2.7", reason="expired"), "auth", new_id())
    told = event_of(SYSTEM, DIED, "engine/e", new_id())._replace(object="container/web")
    await application.journal.append([failed, told])


async def follows(log: Location, times: int = 1) -> None:
    """Wait until what tail asked first is answered, for the given time: it misses nothing from then on."""
    asked = "SELECT 1 FROM event WHERE tool = 'audit-logs' AND status = 'success'"
    await until(lambda: len(rows(log, asked)) >= times, 60, "tail")


async def test_what_happens_is_told_as_it_happens_commands_and_all_else(serve: Serve, location: Location) -> None:
    async with serve(location) as application:
        before = await look_up(application)
        with tailing(location, "--json", "--lines", "1") as line:
            assert json.loads(line())["command_id"] == before
            after = await look_up(application)
            command = json.loads(line())
            await note(application)
            others = [json.loads(line()) for _ in range(2)]
    assert (command["type"], command["command_id"], command["status"]) == ("command", after, "failed")
    assert [each["type"] for each in others] == ["authentication.failed", "engine.observed"]
    assert (others[1]["object"], others[1]["data"]["exit_code"]) == ("container/web", 137)
    asked = rows(location, "SELECT DISTINCT stream, purpose FROM event WHERE tool = 'audit-logs'")
    assert [purpose for _, purpose in asked] == ["docker-mcp tail"], "following is one command"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--object", "web"], "engine.observed"),
        (["--username", "anonymous"], "authentication.failed"),
        (["--status", "failed"], "command"),
        (["--effect", "read"], "command"),
    ],
)
async def test_filters_are_those_of_the_audit_trail(
    serve: Serve, sqlite_location: Location, options: Sequence[str], expected: str
) -> None:
    async with serve(sqlite_location) as application:
        with tailing(sqlite_location, "--json", "-n", "0", *options) as line:
            await follows(sqlite_location)
            await note(application)
            await look_up(application)
            await note(application)
            assert json.loads(line())["type"] == expected
            if expected != "command":
                assert json.loads(line())["type"] == expected


async def test_whoever_sees_own_records_only_sees_nothing_else(serve: Serve, sqlite_location: Location) -> None:
    async with serve(sqlite_location) as application:
        with tailing(sqlite_location, "--json", "-n", "0", DOCKER_MCP_STDIO_ROLE="user") as line:
            await follows(sqlite_location)
            await note(application)
            await application.dispatcher.dispatch("image-list", {}, caller(application, principal=ADMIN))
            own = await look_up(application)
            assert json.loads(line())["command_id"] == own


async def test_a_terminal_gets_colours_and_nothing_else_does(serve: Serve, sqlite_location: Location) -> None:
    async with serve(sqlite_location) as application:
        cases: tuple[tuple[bool, dict[str, str], bool], ...] = (
            (True, {}, True),
            (True, {"NO_COLOR": "1"}, False),
            (False, {}, False),
        )
        for times, (terminal, variables, coloured) in enumerate(cases, 1):
            with tailing(sqlite_location, "-n", "0", terminal=terminal, **variables) as line:
                await follows(sqlite_location, times)
                await note(application)
                told = [line(), line()]
            assert ("\x1b[" in told[1]) == coloured
            plain = re.sub(r"\x1b\[[0-9;]*m", "", told[1])
            assert plain.split() == [
                "2026-11-26T06:56:27.227Z", "engine", "die", "external", "container/web", "exit_code=137",
            ]  # fmt: skip
            assert "authentication.failed" in told[0]


def test_a_wrong_filter_is_explained(sqlite_location: Location) -> None:
    done = docker_mcp("tail", "--status", "finished", env=log_at(sqlite_location))
    assert done.returncode == 2
    assert "a status is one of" in complaint(done)
