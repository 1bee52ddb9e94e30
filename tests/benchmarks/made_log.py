"""A log of any length as a busy server leaves it, in a fraction of the time: ``generate(location, events)``.

The rows are those that appending the same events would leave: ``domain.chain.verify`` and the guards accept them. It is
fast because hashes are made from text that is known to need no escape, and because the database checks nothing while
they are loaded: triggers and plain indexes are away for that time.
"""

import hashlib
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from adapters.store.location import Location
from adapters.store.migrate import migrate
from domain.chain import RECORD_FIRST_POLICY
from domain.lifecycle import FINAL
from tests.benchmarks.bulk import OpenCommands, Rows, bulk_load
from tests.benchmarks.made_commands import POLICY, Life, Made, Mix, Template

END_MS: Final = 1_780_300_800_000
"""When a made log ends: 2026-06-01T08:00:00Z."""

_DAYS: Final = 60
_CHUNK: Final = 20_000
_UUID7_BITS: Final = 74
_DECISION_POLICY: Final = f"docker-mcp/role-%s@{POLICY}"
_sha256: Final = hashlib.sha256


def generate(location: Location, events: int = 1_000_000, seed: int = 1) -> float:
    """Fill an empty log with exactly ``events`` events; return the events made in a second.

    The same ``seed`` and number give the same log. The last commands are still running, and a few are ``unknown``.
    """
    migrate(location)
    log = _Log(events, random.Random(seed))
    began = time.perf_counter()
    bulk_load(location, log.chunks(), log.open_commands)
    return events / (time.perf_counter() - began)


class _Command:
    """Whose command it is, on what; what every event of it repeats, as columns and in the JSON that is hashed."""

    __slots__ = ("as_json", "executor", "governance", "made", "stream", "tool_json")

    def __init__(self, made: Made, stream: str) -> None:
        self.made, self.stream, self.executor = made, stream, made.executor
        session, target, purpose, self.tool_json = map(_text, (made.session, made.object, made.purpose, made.tool))
        self.as_json = session, target, purpose
        self.governance = f'{{"purpose_declared":"{made.purpose or "undeclared"}","session_id":{session}}}'


class _Log:
    def __init__(self, events: int, rng: random.Random) -> None:
        self._events = events
        self._rng = rng
        self._mix = Mix(rng)
        self._gap_ms = _DAYS * 86_400_000 / events
        self._clock = float(END_MS - _DAYS * 86_400_000)
        self._position = 0
        self._hash: str | None = None
        self._rows: Rows = []
        self._versions: dict[str, int] = {}
        self._last: dict[str, str] = {}
        self._open: dict[str, tuple[str, int, str | None, str]] = {}
        self._running: list[tuple[_Command, Life]] = []

    def open_commands(self) -> OpenCommands:
        """Return the read model of what was left open, once all chunks are made."""
        return list(self._open.values())

    def chunks(self) -> Iterator[Rows]:
        while self._position < self._events:
            self._add_something()
            if len(self._rows) >= _CHUNK:
                yield self._rows
                self._rows = []
        yield self._rows

    def _add_something(self) -> None:
        self._clock += self._rng.random() * 4 * self._gap_ms
        if self._running and (len(self._running) > 6 or self._rng.random() < 0.5):
            command, rest = self._running.pop(self._rng.randrange(len(self._running)))
            self._add(command, rest[:1])
            if rest[1:]:
                self._running.append((command, rest[1:]))
            return
        made = self._mix.next(self._position / self._events)
        command = _Command(made, made.stream or self._id())
        self._add(command, made.before)
        if made.after:
            self._running.append((command, made.after))

    def _add(self, command: _Command, templates: Life) -> None:
        at_ms = int(self._clock)
        for template in templates:
            if self._position == self._events:
                return
            self._add_event(command, template, at_ms)

    def _add_event(self, command: _Command, template: Template, at_ms: int) -> None:
        made, stream = command.made, command.stream
        principal, role, tool = made.principal, made.role, made.tool
        session, target, purpose = command.as_json
        event_id, data = self._id(), template.data(self._rng, at_ms, made.executor, made.object)
        self._position = position = self._position + 1
        version = self._versions.pop(stream, 0) + 1
        cause = self._last.pop(stream, None) if tool else None
        status = template.status
        digest = _sha256(data.encode()).hexdigest()
        evidence = _sha256(
            f'{{"causation_id":{_text(cause)},"correlation_id":{session},"data":"{digest}","event_id":"{event_id}",'
            f'"object":{target},"occurred_at_ms":{at_ms},"position":{position},"principal":"{principal}",'
            f'"purpose":{purpose},"role":"{role}","schema_version":1,"span_id":null,"status":{template.status_json},'
            f'"stream":"{stream}","stream_version":{version},"tool":{command.tool_json},"trace_id":null,'
            f'"type":"{template.type}"}}'.encode()
        ).hexdigest()
        policy = _DECISION_POLICY % role if template.decides else RECORD_FIRST_POLICY
        previous = self._hash
        self._hash = _sha256(
            f'{{"event_id":"{event_id}","event_type":"{template.type}","extensions":{{"caller-governance":'
            f'{command.governance},"runtime-security":{{"drift_status":"none","evidence_hash":"sha256:{evidence}",'
            f'"policy_id":"{policy}",{template.judged}}}}},"occurred_at":"{_time(at_ms)}",'
            f'"outcome":"{template.outcome}","previous_hash":{_text(previous)},"principal_id":"{principal}",'
            f'"tool_name":{command.tool_json}}}'.encode()
        ).hexdigest()
        self._rows.append(
            (position, event_id, stream, version, template.type, 1, at_ms, principal, role, tool, made.object, status,
             made.purpose, made.session, cause, None, None, data, previous, self._hash)
        )  # fmt: skip
        if tool is None or status not in FINAL:
            self._versions[stream], self._last[stream] = version, event_id
        if tool is None:
            return
        if status in FINAL:
            self._open.pop(stream, None)
        else:
            self._open[stream] = (stream, position, status, made.executor)

    def _id(self) -> str:
        """Return an id in the form of UUIDv7, as of the log's own time."""
        bits = f"{self._rng.getrandbits(_UUID7_BITS):019x}"
        at = f"{int(self._clock):012x}"
        return f"{at[:8]}-{at[8:]}-7{bits[:3]}-{'89ab'[int(bits[3], 16) & 3]}{bits[4:7]}-{bits[7:]}"


def _text(value: str | None) -> str:
    return "null" if value is None else f'"{value}"'


def _time(at_ms: int) -> str:
    return f"{_minute(at_ms // 60_000)}:{at_ms // 1000 % 60:02d}.{at_ms % 1000:03d}Z"


@lru_cache(1024)
def _minute(minutes: int) -> str:
    return datetime.fromtimestamp(minutes * 60, UTC).isoformat()[:16]
