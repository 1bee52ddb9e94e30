"""The record chain: what of an event is hashed, how, and how a chain is checked.

Each event yields an audit record in the public form ``audit-record-contract/1`` (MCP SEP-3004, "Tamper-Evident
Audit Record Contract"): SHA-256 over sorted-key JSON of the record's protected fields. The record's
``runtime-security`` extension carries ``evidence_hash``, a digest of every other column of the row, so that a
stranger can check the chain without our data, and we can check every column.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

import orjson

from domain.canonical import sha256_hex
from domain.events import NewEvent, RecordedEvent
from domain.lifecycle import Status

RECORD_FIRST_POLICY: Final = "docker-mcp/record-first@1"
"""Policy id of events that no rule decided: they follow from the promise that nothing happens unrecorded."""

_ALLOWED: Final = ("allowed", "info", "release")
_DEFERRED: Final = ("deferred", "low", "hold")
_DENIED: Final = ("denied", "medium", "quarantine")
_ERROR: Final = ("error", "high", "release")
_OUTCOME: Final[Mapping[str | None, tuple[str, str, str]]] = {
    None: _ALLOWED,
    Status.RUNNING: _ALLOWED,
    Status.SUCCESS: _ALLOWED,
    Status.DEFERRED: _DEFERRED,
    Status.REJECTED: _DENIED,
    Status.DENIED: _DENIED,
    Status.REFUSED: _DENIED,
    Status.EXPIRED: _DENIED,
    Status.CANCELLED: _DENIED,
    Status.FAILED: _ERROR,
    Status.UNKNOWN: _ERROR,
}
"""Outcome, severity and quarantine decision of a record by its status."""

_dumps: Final = orjson.dumps
_NULLABLE: Final = attrgetter("tool", "object", "purpose", "correlation_id", "causation_id", "trace_id", "span_id")
"""The columns that may be empty, but for the previous hash, which is compared before. No column holds a number that is
not whole: where none may be missing it changes the hash, here one that is not finite would not."""
_DECISIONS: Final = frozenset({"command.authorized", "command.denied", "command.deferred"})


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a record: its position and what does not hold."""

    position: int
    problem: str


@lru_cache(64)  # the records of one append have one time
def timestamp(milliseconds: int) -> str:
    """Return ``milliseconds`` since 1970 UTC as RFC 3339 with milliseconds and ``Z``."""
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{_minute(minutes)}:{rest // 1000:02d}.{rest % 1000:03d}Z"


def hash_record(record: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a record's sorted-key JSON, in hexadecimal.

    The record's keys are plain names and its values have one JSON form each, so no further check is needed here.
    """
    return sha256_hex(orjson.dumps(record, option=orjson.OPT_SORT_KEYS))


def seal_event(event: NewEvent, *, position: int, version: int, at_ms: int, previous_hash: str | None) -> RecordedEvent:
    """Return the row for ``event`` at its place in the log, with its hash."""
    columns = (position, *event[:2], version, *event[3:5], at_ms, *event[5:], previous_hash)
    return RecordedEvent(*columns, event_hash=sha256_hex(_dumps(_record(*columns, ""))))


def audit_record(event: RecordedEvent) -> dict[str, Any]:
    """Return the protected fields of ``event`` in the contract's form, ``previous_hash`` included.

    Its keys stand in sorted order at every level.
    """
    return _record(*event)


class ChainCheck:
    """Checks records one after the other; keeps only what the next one has to continue."""

    def __init__(self, after: RecordedEvent | None = None) -> None:
        """Start after the record ``after``; None: at the start of the log."""
        self.position = after.position if after else 0
        self.head = after.event_hash if after else None
        self._at_ms = after.occurred_at_ms if after else 0

    def faults(self, events: Iterable[RecordedEvent]) -> Iterator[Fault]:
        """Yield what is wrong with ``events``, which follow those that were checked before; at once, one by one.

        Memory does not grow with their number.
        """
        for event in events:
            if event.position != self.position + 1:
                place = _integer(event.position, self.position + 1)
                yield Fault(place, _misplaced(self.position, place))
            else:
                place = event.position
            if event.previous_hash != self.head:
                yield Fault(place, "does not link to the record before it")
            if (now_ms := _integer(event.occurred_at_ms, self._at_ms)) < self._at_ms:
                yield Fault(place, "is older than the record before it")
            if not _matches_its_hash(event):
                yield Fault(place, "does not match its hash: the record was changed")
            self.position, self.head, self._at_ms = place, event.event_hash, now_ms


def verify(events: Iterable[RecordedEvent], *, after: RecordedEvent | None = None) -> Iterator[Fault]:
    """Yield what is wrong with ``events``, given in log order; nothing for an intact chain.

    ``after`` is the event before the first one, None at the start of the log. A tail that was cut off leaves a whole
    chain behind: only a later record kept elsewhere shows that. Memory does not grow with the log.
    """
    return ChainCheck(after).faults(events)


def _misplaced(position: int, place: int) -> str:
    if place > position + 1:
        missing = f"record {position + 1} is" if place == position + 2 else f"records {position + 1} to {place - 1} are"
        return f"follows position {position}: {missing} missing"
    return f"follows position {position}: records are out of order or doubled"


def _integer(value: object, otherwise: int) -> int:
    """Return ``value`` if it is an integer: a database that was tampered with may hold anything."""
    return value if isinstance(value, int) else otherwise


def _matches_its_hash(event: RecordedEvent) -> bool:
    if float in map(type, _NULLABLE(event)):  # JSON would write infinity as if it were empty
        return False
    try:
        return sha256_hex(_dumps(_record(*event))) == event.event_hash
    except (AttributeError, KeyError, OSError, OverflowError, TypeError, ValueError):
        return False  # a changed column no longer has the form of a record


def _record(
    position: int,
    event_id: str,
    stream: str,
    stream_version: int,
    type: str,
    schema_version: int,
    occurred_at_ms: int,
    principal: str,
    role: str,
    tool: str | None,
    object: str | None,
    status: str | None,
    purpose: str | None,
    correlation_id: str | None,
    causation_id: str | None,
    trace_id: str | None,
    span_id: str | None,
    data: str,
    previous_hash: str | None,
    _event_hash: str,
) -> dict[str, Any]:
    """Return a row's record. Every key is written in sorted order: sorting would take half of a verification's time."""
    evidence = {
        "causation_id": causation_id,
        "correlation_id": correlation_id,
        "data": sha256_hex(data.encode()),
        "event_id": event_id,
        "object": object,
        "occurred_at_ms": occurred_at_ms,
        "position": position,
        "principal": principal,
        "purpose": purpose,
        "role": role,
        "schema_version": schema_version,
        "span_id": span_id,
        "status": status,
        "stream": stream,
        "stream_version": stream_version,
        "tool": tool,
        "trace_id": trace_id,
        "type": type,
    }
    outcome, severity, quarantine = _OUTCOME[status]
    return {
        "event_id": event_id,
        "event_type": type,
        "extensions": {
            "caller-governance": {"purpose_declared": purpose or "undeclared", "session_id": correlation_id},
            "runtime-security": {
                "drift_status": "none",
                "evidence_hash": "sha256:" + sha256_hex(_dumps(evidence)),
                "policy_id": _policy_id(data) if type in _DECISIONS else RECORD_FIRST_POLICY,
                "quarantine_decision": quarantine,
                "severity": severity,
            },
        },
        "occurred_at": timestamp(occurred_at_ms),
        "outcome": outcome,
        "previous_hash": previous_hash,
        "principal_id": principal,
        "tool_name": tool,
    }


def _policy_id(data: str) -> str:
    decision = orjson.loads(data)
    return f"docker-mcp/{decision['rule']}@{decision['policy_digest']}"


@lru_cache(64)  # records come in order of time
def _minute(minutes: int) -> str:
    return datetime.fromtimestamp(minutes * 60, UTC).isoformat()[:16]
