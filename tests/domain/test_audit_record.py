"""Every record has the form of the public audit record contract, so that a stranger can check it."""

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.chain import audit_record, hash_record, timestamp, verify
from domain.events import EVENT_TYPES, CommandAuthorized, CommandDeferred, CommandDenied, Event, RecordedEvent
from domain.lifecycle import Status
from tests.domain.strategies import EVENTS, EXAMPLES, chains, new_events, sealed
from tests.domain.test_chain import ENVELOPE

ONE_EXTENSION = (
    '{"event_id":"99999999-9999-9999-9999-999999999999","event_type":"tool_call","extensions":{"caller-governance":'
    '{"flagged":false,"invoked_by_principal_id":null,"purpose_declared":"reconcile June invoices","session_id":'
    '"55555555-5555-5555-5555-555555555555"}},"occurred_at":"2026-06-06T12:00:00.000Z","outcome":"deferred",'
    '"previous_hash":null,"principal_id":"aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa","tool_name":"export"}'
)
TWO_EXTENSIONS = ONE_EXTENSION.replace(
    '}},"occurred_at"',
    '},"runtime-security":{"drift_status":"confirmed","evidence_hash":"sha256:'
    'b2c547e2c8f17eafc72ef5c2d4d7b6b4d0f7437ab52bae573a9af14ff5e2d9be","policy_id":"example.org/runtime-drift@3",'
    '"quarantine_decision":"quarantine","severity":"high"}},"occurred_at"',
)
CORE = {
    "event_id",
    "occurred_at",
    "principal_id",
    "event_type",
    "tool_name",
    "outcome",
    "extensions",
    "previous_hash",
}
RUNTIME_SECURITY = {"drift_status", "severity", "quarantine_decision", "policy_id", "evidence_hash"}


@pytest.mark.parametrize(
    ("record", "known"),
    [
        (ONE_EXTENSION, "d494769c1ae442ea88dd190068747abf63c0568a3b856f85791b1a50a99d48b4"),
        (TWO_EXTENSIONS, "f733fed9cc757165f810b778e4baba1f51a45504988e937707aaab4361b2f064"),
    ],
    ids=["one extension", "two extensions"],
)
def test_the_known_answers_of_the_contract_come_out(record: str, known: str) -> None:
    backwards = dict(reversed(json.loads(record).items()))

    assert hash_record(json.loads(record)) == known
    assert hash_record(backwards) == known


def values(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return [value for item in tree.values() for value in values(item)]
    return [tree]


@given(chains(most=3))
def test_a_record_holds_exactly_the_protected_fields(rows: list[RecordedEvent]) -> None:
    for record in map(audit_record, rows):
        assert set(record) == CORE
        assert set(record["extensions"]) == {"caller-governance", "runtime-security"}
        assert set(record["extensions"]["caller-governance"]) == {"purpose_declared", "session_id"}
        assert set(record["extensions"]["runtime-security"]) == RUNTIME_SECURITY
        assert all(value is None or isinstance(value, str | bool) for value in values(record))
        assert all(isinstance(value, str) for value in record["extensions"]["runtime-security"].values())


@given(chains(most=3))
def test_a_record_keeps_to_the_closed_vocabularies(rows: list[RecordedEvent]) -> None:
    for record in map(audit_record, rows):
        security = record["extensions"]["runtime-security"]
        assert record["outcome"] in {"allowed", "denied", "deferred", "error"}
        assert security["drift_status"] in {"none", "observed", "confirmed"}
        assert security["severity"] in {"info", "low", "medium", "high"}
        assert security["quarantine_decision"] in {"release", "hold", "quarantine"}
        assert re.fullmatch(r"[^/@\s]+/[^/@\s]+@[^/@\s]+", security["policy_id"])
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", security["evidence_hash"])
        assert record["event_type"] in EVENT_TYPES


@given(chains(most=3))
def test_a_record_names_what_it_is_about(rows: list[RecordedEvent]) -> None:
    for row, record in zip(rows, map(audit_record, rows), strict=True):
        governance = record["extensions"]["caller-governance"]
        assert record["event_id"] == row.event_id
        assert record["principal_id"] == row.principal
        assert record["tool_name"] == row.tool
        assert record["previous_hash"] == row.previous_hash
        assert governance["session_id"] == row.correlation_id
        assert governance["purpose_declared"] == (row.purpose or "undeclared")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["occurred_at"])


@pytest.mark.promise("P4")
@given(chains(most=3))
def test_a_stranger_can_check_the_chain_from_the_records_alone(rows: list[RecordedEvent]) -> None:
    """The contract's own procedure, by another implementation of canonical JSON."""
    exported = [json.loads(json.dumps({**audit_record(row), "event_hash": row.event_hash})) for row in rows]

    previous = None
    for record in exported:
        claimed = record.pop("event_hash")
        assert record["previous_hash"] == previous
        assert hashlib.sha256(rfc8785.dumps(record)).hexdigest() == claimed
        previous = claimed


@pytest.mark.promise("P4")
@given(chains(most=3))
def test_the_evidence_is_a_digest_of_every_other_column(rows: list[RecordedEvent]) -> None:
    for row in rows:
        columns = {name: getattr(row, name) for name in row._fields if name not in ("event_hash", "previous_hash")}
        columns["data"] = hashlib.sha256(row.data.encode()).hexdigest()
        found = audit_record(row)["extensions"]["runtime-security"]["evidence_hash"]

        assert found == "sha256:" + hashlib.sha256(rfc8785.dumps(columns)).hexdigest()


@pytest.mark.parametrize("event_type", sorted(EVENTS))
@settings(max_examples=30)  # of each type
@given(data=st.data())
def test_events_with_any_content_make_a_record_that_verifies(event_type: str, data: st.DataObject) -> None:
    row = sealed(data.draw(new_events(EVENTS[event_type])), None)

    assert list(verify([row])) == []


DISPOSITIONS: dict[Status | None, tuple[str, str, str]] = {
    None: ("allowed", "info", "release"),
    Status.RUNNING: ("allowed", "info", "release"),
    Status.SUCCESS: ("allowed", "info", "release"),
    Status.DEFERRED: ("deferred", "low", "hold"),
    Status.REJECTED: ("denied", "medium", "quarantine"),
    Status.DENIED: ("denied", "medium", "quarantine"),
    Status.REFUSED: ("denied", "medium", "quarantine"),
    Status.EXPIRED: ("denied", "medium", "quarantine"),
    Status.CANCELLED: ("denied", "medium", "quarantine"),
    Status.FAILED: ("error", "high", "release"),
    Status.UNKNOWN: ("error", "high", "release"),
}


@pytest.mark.parametrize("status", [None, *Status])
def test_the_status_decides_the_disposition(status: Status | None) -> None:
    record = audit_record(sealed(ENVELOPE._replace(status=status), None))
    security = record["extensions"]["runtime-security"]

    assert (record["outcome"], security["severity"], security["quarantine_decision"]) == DISPOSITIONS[status]


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.type)
def test_the_policy_is_the_rule_that_decided_or_that_nothing_happens_unrecorded(event: Event) -> None:
    row = sealed(ENVELOPE._replace(type=event.type, data=event.encode()), None)
    policy_id = audit_record(row)["extensions"]["runtime-security"]["policy_id"]

    if isinstance(event, CommandAuthorized | CommandDenied | CommandDeferred):
        assert policy_id == f"docker-mcp/{event.rule}@{event.policy_digest}"
    else:
        assert policy_id == "docker-mcp/record-first@1"


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_a_timestamp_is_utc_with_milliseconds(milliseconds: int) -> None:
    text = timestamp(milliseconds)

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    since = datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)
    assert since.total_seconds() * 1000 == pytest.approx(milliseconds, abs=0.5)
