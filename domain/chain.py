"""The record chain: what of an event is hashed, how, and how a chain is checked.

Each event yields an audit record in the public form ``audit-record-contract/1`` (MCP SEP-3004, "Tamper-Evident
Audit Record Contract"): SHA-256 over sorted-key JSON of the record's protected fields. The record's
``runtime-security`` extension carries ``evidence_hash``, a digest of every other column of the row, so that a
stranger can check the chain without our data, and we can check every column.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from domain.canonical import sha256_hex
from domain.events import NewEvent, RecordedEvent
from domain.lifecycle import Status

RECORD_FIRST_POLICY: Final = "docker-mcp/record-first@1"
"""Policy id of events that no rule decided: they follow from the promise that nothing happens unrecorded."""

_OUTCOME: Final[Mapping[str | None, str]] = {
    None: "allowed",
    Status.RUNNING: "allowed",
    Status.SUCCESS: "allowed",
    Status.DEFERRED: "deferred",
    Status.REJECTED: "denied",
    Status.DENIED: "denied",
    Status.REFUSED: "denied",
    Status.EXPIRED: "denied",
    Status.CANCELLED: "denied",
    Status.FAILED: "error",
    Status.UNKNOWN: "error",
}
_SEVERITY: Final = {"allowed": "info", "deferred": "low", "denied": "medium", "error": "high"}
_QUARANTINE: Final = {"allowed": "release", "deferred": "hold", "denied": "quarantine", "error": "release"}
_DECISIONS: Final = frozenset({"command.authorized", "command.denied", "command.deferred"})


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a record: its position and what does not hold."""

    position: int
    problem: str


def timestamp(milliseconds: int) -> str:
    """Return ``milliseconds`` since 1970 UTC as RFC 3339 with milliseconds and ``Z``."""
    return datetime.fromtimestamp(milliseconds // 1000, UTC).isoformat()[:19] + f".{milliseconds % 1000:03d}Z"


def hash_record(record: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a record's sorted-key JSON, in hexadecimal.

    The record's keys are plain names and its values have one JSON form each, so no further check is needed here.
    """
    return sha256_hex(orjson.dumps(record, option=orjson.OPT_SORT_KEYS))


def seal_event(event: NewEvent, *, position: int, version: int, at_ms: int, previous_hash: str | None) -> RecordedEvent:
    """Return the row for ``event`` at its place in the log, with its hash."""
    columns = event._asdict() | {"position": position, "stream_version": version, "occurred_at_ms": at_ms}
    record = _record(columns, previous_hash)
    return RecordedEvent(**columns, previous_hash=previous_hash, event_hash=hash_record(record))


def audit_record(event: RecordedEvent) -> dict[str, Any]:
    """Return the protected fields of ``event`` in the contract's form, ``previous_hash`` included."""
    columns = event._asdict()
    del columns["previous_hash"], columns["event_hash"]
    return _record(columns, event.previous_hash)


def verify(events: Iterable[RecordedEvent], *, after: RecordedEvent | None = None) -> Iterator[Fault]:
    """Yield what is wrong with ``events``, given in log order; nothing for an intact chain.

    ``after`` is the event before the first one, None at the start of the log. A tail that was cut off leaves a whole
    chain behind: only a later record kept elsewhere shows that. Memory does not grow with the log.
    """
    position = after.position if after else 0
    previous = after.event_hash if after else None
    at_ms = after.occurred_at_ms if after else 0
    for event in events:
        place = _integer(event.position, position + 1)
        if event.position != position + 1:
            yield Fault(place, f"follows position {position}: records are missing or out of order")
        if event.previous_hash != previous:
            yield Fault(place, "does not link to the record before it")
        if (now_ms := _integer(event.occurred_at_ms, at_ms)) < at_ms:
            yield Fault(place, "is older than the record before it")
        if not _matches_its_hash(event):
            yield Fault(place, "does not match its hash: the record was changed")
        position, previous, at_ms = place, event.event_hash, now_ms


def _integer(value: object, otherwise: int) -> int:
    """Return ``value`` if it is an integer: a database that was tampered with may hold anything."""
    return value if isinstance(value, int) else otherwise


def _matches_its_hash(event: RecordedEvent) -> bool:
    try:
        return hash_record(audit_record(event)) == event.event_hash
    except (AttributeError, KeyError, OSError, OverflowError, TypeError, ValueError):
        return False  # a changed column no longer has the form of a record


def _record(columns: dict[str, Any], previous_hash: str | None) -> dict[str, Any]:
    outcome = _OUTCOME[columns["status"]]
    evidence = columns | {"data": sha256_hex(columns["data"].encode())}
    return {
        "event_id": columns["event_id"],
        "occurred_at": timestamp(columns["occurred_at_ms"]),
        "principal_id": columns["principal"],
        "event_type": columns["type"],
        "tool_name": columns["tool"],
        "outcome": outcome,
        "previous_hash": previous_hash,
        "extensions": {
            "caller-governance": {
                "purpose_declared": columns["purpose"] or "undeclared",
                "session_id": columns["correlation_id"],
            },
            "runtime-security": {
                "drift_status": "none",
                "severity": _SEVERITY[outcome],
                "quarantine_decision": _QUARANTINE[outcome],
                "policy_id": _policy_id(columns),
                "evidence_hash": "sha256:" + hash_record(evidence),
            },
        },
    }


def _policy_id(columns: Mapping[str, Any]) -> str:
    if columns["type"] not in _DECISIONS:
        return RECORD_FIRST_POLICY
    decision = orjson.loads(columns["data"])
    return f"docker-mcp/{decision['rule']}@{decision['policy_digest']}"
