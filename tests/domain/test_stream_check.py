"""Streams are followed in bounded memory: what is not remembered is looked up."""

import pytest

from domain import stream_check
from domain.events import RecordedEvent
from domain.stream_check import Last, StreamCheck
from tests.domain.strategies import sealed
from tests.domain.test_chain import ENVELOPE

pytestmark = pytest.mark.promise("P4")


def event(position: int, stream: str, version: int, type: str, tool: str | None = None) -> RecordedEvent:
    row = sealed(ENVELOPE, None)
    return row._replace(position=position, stream=stream, stream_version=version, type=type, tool=tool)


def nothing(_stream: str, _version: int, _before: int) -> Last | None:
    return None


def test_a_command_is_remembered_until_it_ends() -> None:
    check = StreamCheck(nothing)
    life = ["command.received", "command.authorized", "execution.started"]
    for version, each in enumerate(life, 1):
        assert check.problem(event(version, "c", version, each, "stop-container")) is None
    assert check.open["c"].type == "execution.started"
    ended = event(4, "c", 4, "command.succeeded", "stop-container")._replace(status="success")
    assert check.problem(ended) is None
    assert check.open == {}


@pytest.mark.parametrize(
    ("version", "type", "problem"),
    [
        (3, "command.authorized", "has version 3 in its stream, where 2 is due"),
        (1, "command.authorized", "has version 1 in its stream, where 2 is due"),
        (2, "command.succeeded", "command.succeeded cannot follow command.received"),
    ],
)
def test_what_does_not_follow_is_told(version: int, type: str, problem: str) -> None:
    check = StreamCheck(nothing)
    check.problem(event(1, "c", 1, "command.received", "stop-container"))
    assert check.problem(event(2, "c", version, type, "stop-container")) == problem


def test_what_began_before_is_looked_up() -> None:
    asked = []

    def earlier(stream: str, version: int, before: int) -> Last | None:
        asked.append((stream, version, before))
        return Last(5, 2, "command.authorized", None)

    check = StreamCheck(earlier)
    assert check.problem(event(9, "c", 3, "execution.started", "stop-container")) is None
    assert asked == [("c", 2, 9)]


def test_only_so_many_streams_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_check, "_MOST_REMEMBERED", 2)
    check = StreamCheck(nothing)
    for position, stream in enumerate("abab", 1):
        check.problem(event(position, stream, (position + 1) // 2, "server.started"))
    check.problem(event(5, "c", 1, "server.started"))  # "a" was used longest ago
    assert check.problem(event(6, "b", 3, "server.started")) is None
    assert check.problem(event(7, "a", 3, "server.started")) == "has version 3 in its stream, where 1 is due"
