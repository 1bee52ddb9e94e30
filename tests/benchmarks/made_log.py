"""A log of any length as a busy server leaves it, sooner than by appending: ``generate(location, events)``.

The rows are those that appending the same events would leave: ``domain.chain.verify`` and the guards accept them.
Hashes are made from text that is known to need no escape, another process loads the rows meanwhile, and the database
checks nothing then: triggers, indexes and, where it can, constraints are away for that time.
"""

import gc
import hashlib
import marshal
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from adapters.store.location import Location
from adapters.store.migrate import migrate
from domain.chain import RECORD_FIRST_POLICY
from domain.lifecycle import FINAL
from tests.benchmarks.bulk import Rows, bulk_load
from tests.benchmarks.made_commands import POLICY, Life, Made, Mix, Template

END_MS: Final = 1_780_300_800_000
"""When a made log ends: 2026-06-01T08:00:00Z."""

_DAYS: Final = 60
_CHUNK: Final = 20_000
_MANY: Final = 100_000
"""From so many events on it pays to start a process."""
_SIZE_BYTES: Final = 8
_ID_DIGITS: Final = 19
_DECISION_POLICY: Final = f"docker-mcp/role-%s@{POLICY}"
_sha256: Final = hashlib.sha256


def generate(location: Location, events: int = 1_000_000, seed: int = 1) -> float:
    """Fill an empty log with exactly ``events`` events; return the events made in a second.

    The same ``seed`` and number give the same log. The last commands are still running, and a few are ``unknown``.
    """
    migrate(location)
    began = time.perf_counter()
    bulk_load(location, _computed_elsewhere(events, seed) if events >= _MANY else made(events, seed))
    return events / (time.perf_counter() - began)


def made(events: int, seed: int) -> Iterator[Rows]:
    """Yield the rows of the table ``event`` in chunks, and at last those of ``open_command``."""
    log = _Log(events, random.Random(seed))
    yield from log.chunks()
    yield log.open_commands()


def _computed_elsewhere(events: int, seed: int) -> Iterator[Rows]:
    """Yield the same from a process of its own, so that one core computes while another one loads."""
    words = [sys.executable, "-m", "tests.benchmarks.made_log", str(events), str(seed)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while size := process.stdout.read(_SIZE_BYTES):
            yield marshal.loads(process.stdout.read(int.from_bytes(size, "big")))
    assert process.returncode == 0


class _Command:
    """Whose command it is, on what; what every event of it repeats, as columns and in the JSON that is hashed."""

    __slots__ = ("as_evidence", "as_record", "cause", "columns", "made", "position", "status", "stream", "version")

    def __init__(self, made: Made, stream: str) -> None:
        self.made, self.stream = made, stream
        self.version, self.position = 0, 0
        self.cause: str | None = None
        self.status: str | None = None
        self.columns = made.principal, made.role, made.tool, made.object
        session, target, purpose, tool = map(_text, (made.session, made.object, made.purpose, made.tool))
        self.as_evidence = (
            f',"correlation_id":{session},"data":"',
            f'","object":{target},"occurred_at_ms":',
            f',"principal":"{made.principal}","purpose":{purpose},"role":"{made.role}","schema_version":1,"span_id":null,'
            '"status":',
            f',"stream":"{stream}","stream_version":',
            f',"tool":{tool},"trace_id":null,"type":"',
        )
        self.as_record = (
            f'","extensions":{{"caller-governance":{{"purpose_declared":"{made.purpose or "undeclared"}",'
            f'"session_id":{session}}},"runtime-security":{{"drift_status":"none","evidence_hash":"sha256:',
            f',"principal_id":"{made.principal}","tool_name":{tool}}}',
        )


class _Log:
    def __init__(self, events: int, rng: random.Random) -> None:
        self._events = events
        self._rng = rng
        self._random = rng.random
        self._mix = Mix(rng)
        self._gap_ms = _DAYS * 86_400_000 / events
        self._clock = float(END_MS - _DAYS * 86_400_000)
        self._position = 0
        self._hash: str | None = None
        self._rows: Rows = []
        self._shared: dict[str, int] = {}
        self._open: dict[str, _Command] = {}
        self._running: list[tuple[_Command, Life]] = []
        self._id_ms, self._id_begin = -1, ""
        self._id_ends: list[str] = []

    def open_commands(self) -> Rows:
        """Return the read model of what was left open, once all chunks are made."""
        return [(each.stream, each.position, each.status, each.made.executor) for each in self._open.values()]

    def chunks(self) -> Iterator[Rows]:
        while self._position < self._events:
            self._add_something()
            if len(self._rows) >= _CHUNK:
                yield self._rows
                self._rows = []
        yield self._rows

    def _add_something(self) -> None:
        self._clock += self._random() * 4 * self._gap_ms
        running = self._running
        if running and (len(running) > 6 or self._random() < 0.5):
            command, rest = running.pop(int(self._random() * len(running)))
            self._add(command, rest[:1])
            if rest[1:]:
                running.append((command, rest[1:]))
            return
        made = self._mix.next(self._position / self._events)
        command = _Command(made, made.stream or self._id(int(self._clock)))
        self._add(command, made.before)
        if made.after:
            running.append((command, made.after))

    def _add(self, command: _Command, templates: Life) -> None:
        """Append events of one command at one moment: all that is alike for them is made once."""
        made, stream = command.made, command.stream
        if made.tool is None:
            command.version = self._shared.get(stream, 0)
        at_ms = int(self._clock)
        at = _time(at_ms)
        for template in templates[: self._events - self._position]:
            self._add_event(command, template, at_ms, at)
        if made.tool is None:
            self._shared[stream] = command.version
        elif command.status in FINAL:
            self._open.pop(stream, None)
        else:
            self._open[stream] = command

    def _add_event(self, command: _Command, template: Template, at_ms: int, at: str) -> None:
        made, stream = command.made, command.stream
        before_data, before_time, before_status, before_version, before_type = command.as_evidence
        before_evidence, after_previous = command.as_record
        event_id, data = self._id(at_ms), template.data(self._random(), at_ms, made.executor, made.object)
        self._position = command.position = position = self._position + 1
        command.version = version = command.version + 1
        cause, previous = command.cause, self._hash
        cause_json = "null" if cause is None else f'"{cause}"'
        previous_json = "null" if previous is None else f'"{previous}"'
        evidence = _sha256(
            f'{{"causation_id":{cause_json}{before_data}{_sha256(data.encode()).hexdigest()}","event_id":"{event_id}'
            f'{before_time}{at_ms},"position":{position}{before_status}{template.status_json}{before_version}{version}'
            f'{before_type}{template.type}"}}'.encode()
        ).hexdigest()
        policy = _DECISION_POLICY % made.role if template.decides else RECORD_FIRST_POLICY
        self._hash = _sha256(
            f'{{"event_id":"{event_id}","event_type":"{template.type}{before_evidence}{evidence}","policy_id":"{policy}",'
            f'{template.judged}}}}},"occurred_at":"{at}","outcome":"{template.outcome}","previous_hash":{previous_json}'
            f"{after_previous}".encode()
        ).hexdigest()
        principal, role, tool, target = command.columns
        command.status = status = template.status
        self._rows.append(
            (position, event_id, stream, version, template.type, 1, at_ms, principal, role, tool, target, status,
             made.purpose, made.session, cause, None, None, data, previous, self._hash)
        )  # fmt: skip
        if tool is not None:
            command.cause = event_id

    def _id(self, at_ms: int) -> str:
        """Return an id in the form of UUIDv7, as of a moment of the log's own time."""
        if at_ms != self._id_ms:
            digits = f"{at_ms:012x}"
            self._id_ms, self._id_begin = at_ms, f"{digits[:8]}-{digits[8:]}-7"
        if not self._id_ends:
            digits = self._rng.randbytes(_ID_DIGITS * 500).hex()
            self._id_ends = [_end_of_id(digits[at : at + _ID_DIGITS]) for at in range(0, len(digits), _ID_DIGITS)]
        return self._id_begin + self._id_ends.pop()


def _end_of_id(digits: str) -> str:
    return f"{digits[:3]}-{'89ab'[int(digits[3], 16) & 3]}{digits[4:7]}-{digits[7:]}"


def _text(value: str | None) -> str:
    return "null" if value is None else f'"{value}"'


def _time(at_ms: int) -> str:
    seconds, ms = divmod(at_ms, 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{_day(days)}T{hour:02d}:{minute:02d}:{second:02d}.{ms:03d}Z"


@lru_cache(_DAYS + 1)
def _day(days: int) -> str:
    return datetime.fromtimestamp(days * 86_400, UTC).date().isoformat()


if __name__ == "__main__":
    gc.disable()  # there are no cycles
    for rows in made(int(sys.argv[1]), int(sys.argv[2])):
        packed = marshal.dumps(rows)
        sys.stdout.buffer.write(len(packed).to_bytes(_SIZE_BYTES, "big") + packed)
