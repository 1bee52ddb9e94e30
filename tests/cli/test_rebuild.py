"""``docker-mcp rebuild``: tells what was different, mends it, and with ``--check`` only tells."""

import pytest

from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from server.bootstrap import new_id, now_ms
from server.cli.progress import Progress
from tests.cli.command import complaint, docker_mcp, log_at
from tests.contract.events import life
from tests.contract.rows import execute, rows

GHOST = "INSERT INTO open_command (command_id, position, executor) VALUES ('ghost', 1, 'me')"


@pytest.fixture
def log(location: Location) -> Location:
    store = SqlEventStore(location, now_ms, new_id())
    store.append(life()).result(30)
    store.close()
    return location


@pytest.mark.promise("P8")
def test_a_rebuild_tells_and_mends_and_a_check_only_tells(log: Location) -> None:
    execute(log, GHOST)
    for _ in range(2):
        checked = docker_mcp("rebuild", "--check", env=log_at(log))
        assert checked.returncode == 1
        assert checked.stdout.splitlines() == [
            "open_command ghost: holds position 1, status none, executor me, the log yields nothing",
            "checked: 1 differences",
        ]
    rebuilt = docker_mcp("rebuild", env=log_at(log))
    assert rebuilt.returncode == 0
    assert "ghost" in rebuilt.stdout
    assert docker_mcp("rebuild", "--check", env=log_at(log)).stdout == "checked: no differences\n"
    assert rows(log, "SELECT position FROM read_model_checkpoint") == [(4,)]


@pytest.mark.promise("P7")
def test_who_may_only_read_may_only_check(sqlite_location: Location) -> None:
    env = {**log_at(sqlite_location), "DOCKER_MCP_STDIO_ROLE": "user"}
    assert docker_mcp("rebuild", "--check", env=env).returncode == 0
    assert "may only read" in complaint(docker_mcp("rebuild", env=env))


def test_progress_is_told_of_what_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    told = Progress("rebuild")
    for now[0], done in ((1.9, 10), (2.1, 1200), (3.0, 1300), (4.2, 5000)):
        told(done, 5000)
    assert capsys.readouterr().err.splitlines() == [
        "rebuild: 1,200 of 5,000 events (24 %)",
        "rebuild: 5,000 of 5,000 events (100 %)",
    ]
