"""Segments and older logs hang together with the log, from its newest record back."""

from dataclasses import replace

import pytest

from domain.events import LogContinued
from domain.segments import Part, unlinked

pytestmark = pytest.mark.promise("P4")


def link(log: str, position: int, head: str) -> LogContinued:
    return LogContinued(log=log, position=position, head=head, file_name="f", file_sha256="s")


def part(log: str, first: int, last: int, name: str = "", **changes: object) -> Part:
    """A stretch whose record at position 7 of log "a" has the hash "a7", and so on."""

    def hash_at(position: int) -> str | None:
        return f"{log}{position}" if first <= position <= last else None

    made = Part(
        name or f"{log}{first}-{last}",
        log,
        first,
        last,
        f"{log}{first - 1}" if first > 1 else None,
        f"{log}{last}",
        hash_at,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def problems(newest: Part, *others: Part) -> dict[str, str]:
    return {finding.part: finding.problem for finding in unlinked(newest, others)}


LIVE = part("c", 1, 50, continues=link("b", 30, "b30"))
MIDDLE = part("b", 1, 30, continues=link("a", 20, "a20"))


def test_copies_of_the_log_itself_and_of_all_it_continues_are_linked_in_any_order() -> None:
    segments = [part("a", 11, 20), part("c", 1, 10), MIDDLE, part("a", 1, 10), part("c", 11, 40)]
    assert problems(LIVE, *segments) == {}
    assert problems(LIVE, *reversed(segments)) == {}
    assert problems(LIVE) == {}


@pytest.mark.parametrize(
    ("others", "problem"),
    [
        ([part("c", 1, 10, "x", last_hash="other")], "the history was rewritten"),
        ([part("b", 1, 30, "x", last_hash="other")], "the history was rewritten"),
        ([part("b", 1, 31, "x")], "has records beyond position 30"),
        ([part("b", 1, 20, "x")], "ends at record 20, and what follows was not given"),
        ([part("b", 21, 30), part("b", 1, 20, "x", last_hash="other")], "the history was rewritten"),
        ([part("a", 1, 20, "x")], "belongs neither"),
        ([MIDDLE, part("a", 1, 20, "x", last_hash="other")], "the history was rewritten"),
        ([part("z", 1, 5, "x")], "belongs neither"),
    ],
)
def test_what_does_not_hang_together_is_named(others: list[Part], problem: str) -> None:
    found = problems(LIVE, *others)
    assert list(found) == ["x"]
    assert problem in found["x"]
