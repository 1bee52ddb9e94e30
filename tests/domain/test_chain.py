"""The chain finds every change to the log that can be seen without a copy kept elsewhere."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.chain import Fault, verify
from domain.events import NewEvent, RecordedEvent
from tests.domain.strategies import ANY_TEXT, chains, new_events, sealed

pytestmark = pytest.mark.promise("P4")

COLUMNS = sorted(RecordedEvent._fields)
ANYTHING = st.one_of(
    ANY_TEXT,
    st.integers(),
    st.none(),
    st.booleans(),
    st.floats(),
    st.binary(max_size=8),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
"""What a driver could make of a column that somebody has written into."""


ENVELOPE = NewEvent(
    event_id="e",
    stream="s",
    stream_version=None,
    type="server.stopped",
    schema_version=1,
    principal="system",
    role="system",
    tool=None,
    object=None,
    status=None,
    purpose=None,
    correlation_id=None,
    causation_id=None,
    trace_id=None,
    span_id=None,
    data='{"reason":"x"}',
)


def faults(rows: list[RecordedEvent]) -> list[Fault]:
    return list(verify(rows))


def different(one: object, other: object) -> bool:
    return type(one) is not type(other) or one != other


@given(new_events(), chains(most=1))
def test_a_row_holds_the_event_and_its_place(event: NewEvent, rows: list[RecordedEvent]) -> None:
    row = sealed(event, rows[0], wait_ms=7)

    for column in set(NewEvent._fields) - {"stream_version"}:
        assert getattr(row, column) == getattr(event, column)
    assert (row.position, row.stream_version, row.previous_hash) == (2, 1, rows[0].event_hash)
    assert row.occurred_at_ms == rows[0].occurred_at_ms + 7


@given(chains())
def test_an_intact_chain_has_no_fault(rows: list[RecordedEvent]) -> None:
    assert faults(rows) == []


def test_an_empty_log_has_no_fault() -> None:
    assert faults([]) == []


@given(chains(least=2), st.data())
def test_any_part_of_a_chain_can_be_verified_after_the_record_before_it(
    rows: list[RecordedEvent], data: st.DataObject
) -> None:
    start = data.draw(st.integers(1, len(rows) - 1))

    assert list(verify(rows[start:], after=rows[start - 1])) == []
    assert list(verify(rows[start:])) != []


@given(chains(), st.data())
def test_a_change_of_any_column_is_found(rows: list[RecordedEvent], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.sampled_from(COLUMNS))
    old = getattr(rows[place], column)
    new = data.draw(ANYTHING.filter(lambda value: different(value, old)))

    rows[place] = rows[place]._replace(**{column: new})

    assert faults(rows)


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan"), 1.0])
@pytest.mark.parametrize("column", COLUMNS)
@settings(max_examples=5)
@given(event=new_events())
def test_no_number_passes_for_an_empty_column(column: str, number: float, event: NewEvent) -> None:
    empty = sealed(event._replace(purpose=None, correlation_id=None, causation_id=None, trace_id=None), None)

    change: dict[str, Any] = {column: number}
    assert faults([empty._replace(**change)])


@pytest.mark.parametrize("column", COLUMNS)
@settings(max_examples=20)
@given(new_events(), st.data())
def test_no_column_is_left_out_of_the_hash(column: str, event: NewEvent, data: st.DataObject) -> None:
    row = sealed(event, None)
    old = getattr(row, column)
    same_type = st.integers(1, 2**40) if isinstance(old, int) else st.none() | ANY_TEXT
    change: dict[str, Any] = {column: data.draw(same_type.filter(lambda value: different(value, old)))}

    assert faults([row._replace(**change)])


@given(chains(), st.data())
def test_a_change_of_a_single_bit_in_any_text_is_found(rows: list[RecordedEvent], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(rows) - 1))
    row = rows[place]
    column = data.draw(st.sampled_from([name for name in COLUMNS if isinstance(getattr(row, name), str)]))
    content = bytearray(getattr(row, column).encode())
    at = data.draw(st.integers(0, max(0, len(content) - 1)))
    if content:
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        content += b"x"

    change: dict[str, Any] = {column: content.decode(errors="surrogateescape")}
    rows[place] = row._replace(**change)

    assert faults(rows)


@given(chains(least=2), st.data())
def test_a_missing_record_is_found(rows: list[RecordedEvent], data: st.DataObject) -> None:
    del rows[data.draw(st.integers(0, len(rows) - 2))]

    assert faults(rows)


@given(chains(least=2), st.data())
def test_records_that_changed_places_are_found(rows: list[RecordedEvent], data: st.DataObject) -> None:
    one, other = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=2, max_size=2, unique=True))
    rows[one], rows[other] = rows[other], rows[one]

    assert faults(rows)


@given(chains(), st.data())
def test_a_record_that_stands_there_twice_is_found(rows: list[RecordedEvent], data: st.DataObject) -> None:
    copied = data.draw(st.sampled_from(rows))
    rows.insert(data.draw(st.integers(0, len(rows))), copied)

    assert faults(rows)


@given(chains(), new_events(), st.data())
def test_a_record_that_was_slipped_in_is_found_even_with_a_right_hash(
    rows: list[RecordedEvent], event: NewEvent, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(rows) - 1))
    rows.insert(place, sealed(event, rows[place - 1] if place else None))

    assert faults(rows)


@given(chains(least=2), st.data())
def test_a_rewritten_record_is_found_by_the_link_of_the_next_one(
    rows: list[RecordedEvent], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(rows) - 2))
    old = rows[place]
    columns = {name: getattr(old, name) for name in NewEvent._fields}
    forged = NewEvent(**{**columns, "principal": old.principal + "x"})
    rows[place] = sealed(forged, rows[place - 1] if place else None)

    assert [fault.position for fault in faults(rows) if "link" in fault.problem] == [place + 2]


@given(new_events(), new_events())
def test_time_that_runs_backwards_is_found(first: NewEvent, second: NewEvent) -> None:
    row = sealed(first, None)

    assert [fault.problem for fault in faults([row, sealed(second, row, wait_ms=-1)])] == [
        "is older than the record before it"
    ]


@given(chains(), st.data())
def test_garbage_in_the_columns_is_a_fault_and_no_crash(rows: list[RecordedEvent], data: st.DataObject) -> None:
    for place in data.draw(st.sets(st.integers(0, len(rows) - 1), min_size=1)):
        garbage = data.draw(st.dictionaries(st.sampled_from(COLUMNS), ANYTHING, min_size=1))
        rows[place] = rows[place]._replace(**garbage)
    rows.append(sealed(data.draw(new_events()), None))

    found = faults(rows)

    assert found
    assert all(isinstance(fault.position, int) for fault in found)


@pytest.mark.parametrize(
    "garbage",
    [
        {"position": "one"},
        {"position": None},
        {"position": float("nan")},
        {"occurred_at_ms": "now"},
        {"occurred_at_ms": None},
        {"occurred_at_ms": 2**63 - 1},
        {"occurred_at_ms": 10**30},
        {"occurred_at_ms": -(10**30)},
        {"data": None},
        {"data": b"{}"},
        {"data": "\ud800"},
        {"data": "[" * 100_000},
        {"status": "no such status"},
        {"status": []},
        {"event_hash": None},
        {"previous_hash": b""},
        {"type": "command.denied", "data": "[]"},
        {"type": "command.denied", "data": "{}"},
        {"type": "command.denied", "data": "not JSON"},
    ],
    ids=str,
)
def test_known_sorts_of_garbage_are_faults(garbage: dict[str, Any]) -> None:
    first = sealed(ENVELOPE, None)
    second = sealed(ENVELOPE, first)

    assert faults([first._replace(**garbage), second])
    assert faults([first, second._replace(**garbage)])


def test_verification_needs_only_the_record_at_hand() -> None:
    """The log may be longer than memory: faults come as the rows are read."""

    def endless() -> Iterator[RecordedEvent]:
        row = sealed(ENVELOPE, None)
        while True:
            yield row

    assert next(verify(endless())).position == 1
