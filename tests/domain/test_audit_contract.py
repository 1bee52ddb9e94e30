"""Records of anybody are held against the public contract; the first thing wrong is named, never a value."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audit_contract import BreachError, RecordChain, Segment, check_manifest, manifest, parse_record
from domain.events import RecordedEvent
from domain.exported import record_row
from tests.domain.strategies import chains
from tests.domain.test_audit_record import ONE_EXTENSION, TWO_EXTENSIONS

Record = dict[str, Any]


def sealed(record: Record) -> Record:
    """A stranger's own way to give a record its hash."""
    body = {key: value for key, value in record.items() if key != "event_hash"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return record | {"event_hash": hashlib.sha256(text.encode()).hexdigest()}


def known(text: str = TWO_EXTENSIONS) -> Record:
    return sealed(json.loads(text))


def breach(record: Any) -> str:
    with pytest.raises(BreachError) as caught:
        RecordChain().check(parse_record(orjson.dumps(record)))
    return str(caught.value)


@pytest.mark.parametrize("text", [ONE_EXTENSION, TWO_EXTENSIONS])
def test_the_known_answers_of_the_contract_are_accepted(text: str) -> None:
    chain = RecordChain()
    record = known(text)
    assert chain.check(record) == record["event_id"]
    assert chain.segment == Segment(1, None, record["event_hash"])


@given(chains())
def test_what_we_export_is_accepted(rows: list[RecordedEvent]) -> None:
    chain = RecordChain()
    for row in rows:
        chain.check(parse_record(record_row(row)))
    assert chain.segment == Segment(len(rows), None, rows[-1].event_hash)


def changed(path: str, value: Any) -> Callable[[Record], None]:
    def change(record: Record) -> None:
        *parents, last = path.split("/")
        for parent in parents:
            record = record[parent]
        if value is ...:
            del record[last]
        else:
            record[last] = value

    return change


GOVERNANCE = "extensions/caller-governance"
SECURITY = "extensions/runtime-security"

RULES = [
    *((f"{name}", ...) for name in ("event_id", "occurred_at", "tool_name", "outcome", "extensions", "previous_hash")),
    ("principal_id", ""),
    ("principal_id", None),
    ("event_type", 7),
    ("event_type", ["a"]),
    ("tool_name", True),
    ("tool_name", "a\x1bb"),
    ("tool_name", "a\x85b"),
    ("tool_name", "\ta"),
    ("tool_name", "x" * 8193),
    ("tool_name", "\U0001f600" * 4097),
    ("outcome", "success"),
    ("outcome", None),
    ("occurred_at", "2026-06-06T12:00:00Z"),
    ("occurred_at", "2026-06-06T12:00:00.000+00:00"),
    ("occurred_at", "2026-02-30T12:00:00.000Z"),
    ("occurred_at", "２026-06-06T12:00:00.000Z"),
    ("previous_hash", "AB" * 32),
    ("previous_hash", "ab"),
    ("extensions", {}),
    ("extensions", []),
    ("extensions/made-up", {"a": "b"}),
    (f"{GOVERNANCE}", "text"),
    (f"{GOVERNANCE}/purpose_declared", ...),
    (f"{GOVERNANCE}/purpose_declared", None),
    (f"{GOVERNANCE}/flagged", "no"),
    (f"{GOVERNANCE}/session_id", 5),
    (f"{GOVERNANCE}/session_id", False),
    (f"{GOVERNANCE}/sources_touched", "a,b"),
    (f"{GOVERNANCE}/sources_touched", '["b","a"]'),
    (f"{GOVERNANCE}/sources_touched", "[]"),
    (f"{GOVERNANCE}/ä", "x"),
    (f"{SECURITY}/severity", "critical"),
    (f"{SECURITY}/drift_status", "yes"),
    (f"{SECURITY}/quarantine_decision", ...),
    (f"{SECURITY}/policy_id", "no-scope@1"),
    (f"{SECURITY}/evidence_hash", "b2c5"),
    (f"{SECURITY}/evidence_hash", None),
    (f"{SECURITY}/more", True),
    (f"{SECURITY}/more", {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {}}}}}}}}}),
    ("anchor_witness", "a"),
]


@pytest.mark.parametrize(("path", "value"), RULES, ids=str)
def test_a_record_against_a_rule_is_refused_though_its_hash_is_right(path: str, value: Any) -> None:
    record = json.loads(TWO_EXTENSIONS)
    changed(path, value)(record)
    told = breach(sealed(record))
    assert path.split("/")[0] in told
    assert "hash of the record" not in told


def test_what_is_denied_may_be_quarantined_but_not_what_is_allowed() -> None:
    record = json.loads(TWO_EXTENSIONS)
    RecordChain().check(sealed(record | {"outcome": "denied"}))
    assert "contradicts" in breach(sealed(record | {"outcome": "allowed"}))


def test_text_is_hashed_in_its_normal_form_and_other_fields_are_ignored() -> None:
    record = known(ONE_EXTENSION.replace('"export"', '"caf\u00e9"'))
    RecordChain().check(record | {"tool_name": "  cafe\u0301 ", "more": [1.5, {"deep": None}]})


def test_a_good_list_of_sources_is_accepted() -> None:
    record = json.loads(ONE_EXTENSION)
    record["extensions"]["caller-governance"]["sources_touched"] = '["a","b"]'
    RecordChain().check(sealed(record))


@pytest.mark.promise("P4")
@pytest.mark.parametrize("field", ["tool_name", "principal_id", "event_type", "event_id"])
def test_a_changed_field_is_found(field: str) -> None:
    assert "was changed" in breach(known() | {field: "other"})


@pytest.mark.promise("P4")
@given(chains(least=4, most=6), st.integers(1, 3), st.integers(0, 2))
def test_records_that_were_removed_inserted_or_moved_are_found(rows: list[RecordedEvent], place: int, way: int) -> None:
    lines = [*map(record_row, rows)]
    if way == 0:
        del lines[place - (place == len(lines) - 1)]
    elif way == 1:
        lines.insert(place, lines[place - 1])
    else:
        lines[place - 1], lines[place] = lines[place], lines[place - 1]
    chain = RecordChain()
    told = []
    for line in lines:
        try:
            chain.check(parse_record(line))
        except BreachError as breach:
            told.append(str(breach))
    assert told
    assert told[0].startswith("previous_hash")


def test_a_second_segment_is_told_from_a_gap() -> None:
    chain = RecordChain()
    chain.check(known())
    with pytest.raises(BreachError, match="another segment begins"):
        chain.check(known())


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b'{"a":1', "not JSON"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":-Infinity}', "NaN"),
        (b'{"a":1,"a":2}', "repeats a key"),
        (b'{"a":{"b":1,"b":2}}', "repeats a key"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[" * 100_000, "nested too deeply"),
    ],
    ids=lambda value: str(value[:12]),
)
def test_a_line_that_is_no_object_is_refused(line: bytes, problem: str) -> None:
    with pytest.raises(BreachError, match=problem):
        parse_record(line)


def test_half_a_surrogate_pair_and_a_number_without_end_are_refused() -> None:
    line = TWO_EXTENSIONS.encode()
    for bad, problem in ((rb'"\ud800"', "surrogate"), (b"9" * 500_000, "number")):
        with pytest.raises(BreachError, match=problem):
            RecordChain().check(parse_record(line.replace(b'"export"', bad)))


def test_messages_repeat_no_value() -> None:
    assert "hunter2" not in breach(sealed(known() | {"outcome": "hunter2", "event_type": "hunter2"}))


SEGMENT = Segment(2, None, "ab" * 32)


def attested(**changes: Any) -> bytes:
    return orjson.dumps(manifest("triggers", 1, 2, SEGMENT) | changes)


def test_our_manifest_is_one_and_says_that_we_are_stricter() -> None:
    check_manifest(attested(), SEGMENT)
    assert "refused" in orjson.loads(attested())["emission"]
    check_manifest(attested(segment=None, canonical_form_version="gif-audit/2", chain_algorithm="sha256"), SEGMENT)


@pytest.mark.parametrize(
    "changes",
    [
        {"storage_mechanism": " "},
        {"storage_mechanism": 5},
        {"chain_algorithm": "MD5"},
        {"canonical_form_version": "other/1"},
        {"verification_procedure_ref": None},
        {"segment": {"records": 3}},
        {"segment": {"last_event_hash": "cd" * 32}},
        {"segment": {"first_previous_hash": "cd" * 32}},
    ],
    ids=str,
)
def test_a_manifest_that_says_too_little_or_speaks_of_other_records_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BreachError) as caught:
        check_manifest(attested(**changes), SEGMENT)
    assert next(iter(changes)) in str(caught.value)
