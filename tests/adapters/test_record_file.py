"""Files of audit records from anybody: the first bad line is named, and no file takes more memory than it should."""

import hashlib
import io
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from adapters.record_file import BadRecordError, verify_record_file
from domain.audit_contract import MOST_LINE_BYTES, Segment


def chain(*ids: str) -> list[bytes]:
    """Records as a stranger makes them."""
    lines: list[bytes] = []
    previous = None
    for each in ids:
        body: dict[str, Any] = {
            "event_id": each,
            "occurred_at": "2026-06-06T12:00:00.000Z",
            "principal_id": "p",
            "event_type": "t",
            "tool_name": None,
            "outcome": "allowed",
            "previous_hash": previous,
            "extensions": {"caller-governance": {"purpose_declared": "x"}},
        }
        text = json.dumps(body, sort_keys=True, separators=(",", ":"))
        previous = hashlib.sha256(text.encode()).hexdigest()
        lines.append(json.dumps(body | {"event_hash": previous}).encode())
    return lines


def verified(lines: list[bytes], end: bytes = b"\n") -> Segment:
    return verify_record_file(io.BytesIO(b"\n".join(lines) + end), lambda _done: None)


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_an_intact_file_tells_what_it_spans(end: bytes) -> None:
    lines = chain("a", "b", "c")
    assert verified(lines, end) == Segment(3, None, json.loads(lines[-1])["event_hash"])


def test_an_empty_file_spans_nothing() -> None:
    assert verify_record_file(io.BytesIO(), lambda _done: None) == Segment(0, None, None)


@pytest.mark.promise("P4")
@pytest.mark.parametrize(
    ("inserted", "problem"),
    [
        (b"", "is empty"),
        (b"\xff", "not UTF-8"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b" " * MOST_LINE_BYTES + b"{}", "longer than"),
        (b'{"a":1,"a":1}', "repeats a key"),
        (b'{"a":NaN}', "NaN"),
        (chain("z")[0], "another segment begins"),
    ],
    ids=["empty", "not UTF-8", "deep", "long", "repeated key", "NaN", "of another chain"],
)
def test_the_first_bad_line_is_named(inserted: bytes, problem: str) -> None:
    lines = chain("a", "b", "c")
    with pytest.raises(BadRecordError, match=problem) as bad:
        verified([*lines[:2], inserted, lines[2], b"worse"])
    assert bad.value.line == 3


def test_an_event_id_that_comes_twice_is_found() -> None:
    with pytest.raises(BadRecordError, match="line 3: event_id"):
        verified(chain("a", "b", "a"))


class Endless(io.RawIOBase):
    """A file of one line without end."""

    def __init__(self) -> None:
        self.given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.given += len(buffer)
        buffer[:] = b"x" * len(buffer)
        return len(buffer)


@pytest.fixture
def peak() -> Iterator[Any]:
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


@pytest.mark.promise("P9")
def test_a_line_without_end_is_given_up_early(peak: Any) -> None:
    endless = Endless()
    with pytest.raises(BadRecordError, match="longer than"):
        verify_record_file(io.BufferedReader(endless), lambda _done: None)
    assert endless.given < 2 * MOST_LINE_BYTES
    assert peak() < 8 * MOST_LINE_BYTES
