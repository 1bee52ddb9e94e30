"""Archived segments of a log, and how they hang together with the log they were copied from.

A segment is a file of JSON lines: its first line is the manifest, then comes one line for each record, an object of the
columns. The manifest is signed as a checkpoint is; the chain covers the records.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from domain.chain import timestamp
from domain.checkpoints import Signer
from domain.events import LogContinued, RecordedEvent
from domain.findings import Finding
from domain.manifests import SignedManifest

FORM: Final = "docker-mcp-segment/1"


class Manifest(SignedManifest):
    """What a segment holds. ``previous_hash`` is that of its first record."""

    first_position: int
    previous_hash: str | None


def make_manifest(signer: Signer | None, log: str, first: RecordedEvent, last: RecordedEvent, at_ms: int) -> Manifest:
    """Return the manifest of the records from ``first`` to ``last``."""
    return Manifest(
        form=FORM,
        log=log,
        first_position=first.position,
        last_position=last.position,
        previous_hash=first.previous_hash,
        last_hash=last.event_hash,
        at=timestamp(at_ms),
    ).signed(signer)


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a log: the log itself, an older one, or a segment. ``previous_hash`` is that of its first record."""

    name: str
    log: str | None
    first: int
    last: int
    previous_hash: str | None
    last_hash: str | None
    hash_at: Callable[[int], str | None]
    """Gives the hash of a record of this part, None if it is not at hand."""
    continues: LogContinued | None = None
    """What its first record says it continues, if it is the beginning of such a log."""


def unlinked(newest: Part, others: Sequence[Part]) -> Iterator[Finding]:
    """Yield what does not hang together: ``others`` are copies of stretches of this log or of logs that it continues.

    From the newest record back, the end of each part has to be the record that something newer names.
    """
    waiting = list(others)
    log, link, chain = newest.log, newest.continues, _Chain([newest], {})
    while log is not None:
        for part in sorted((each for each in waiting if each.log == log), key=_from_the_end):
            waiting.remove(part)
            if problem := chain.problem(part):
                yield Finding(part.name, problem)
            chain.add(part)
            link = link or part.continues
        log, link, chain = (link.log, None, _Chain([], {link.position: link.head})) if link else (None, None, chain)
    for part in waiting:
        yield Finding(part.name, "belongs neither to this log nor to one that it continues, as far as they were given")


@dataclass(frozen=True, slots=True)
class _Chain:
    """What is known of one log: parts that are linked to it, and hashes that something newer names."""

    parts: list[Part]
    named: dict[int, str | None]

    def problem(self, part: Part) -> str | None:
        """Return why the end of ``part`` is not linked to what is known."""
        for position, right in self.named.items():
            if part.last > position and not self.parts:
                return f"it has records beyond position {position}, where the newer log continues it"
            if part.last == position:
                return None if part.last_hash == right else _REWRITTEN
        right = next((found for each in self.parts if (found := each.hash_at(part.last))), None)
        if right is None:
            return f"it ends at record {part.last}, and what follows was not given"
        return None if part.last_hash == right else _REWRITTEN

    def add(self, part: Part) -> None:
        self.parts.append(part)
        self.named[part.first - 1] = part.previous_hash


_REWRITTEN: Final = "its last record is not the one that the newer part has there: the history was rewritten"


def _from_the_end(part: Part) -> int:
    return -part.last
