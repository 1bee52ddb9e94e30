"""Checks the records of a log, batch by batch: hashes and links, streams, and the checkpoints among them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from domain.chain import ChainCheck
from domain.checkpoints import Keys, disagreements, is_signed, read_checkpoint
from domain.events import CheckpointSigned, RecordedEvent
from domain.findings import Finding
from domain.stream_check import Earlier, StreamCheck

_CHECKPOINT: Final = CheckpointSigned.type


class RecordCheck:
    """Follows a log from a record on; what it keeps does not grow with the log."""

    def __init__(
        self,
        *,
        after: RecordedEvent | None,
        log: str | None,
        keys: Keys,
        earlier: Earlier,
        hash_at: Callable[[int], str | None],
    ) -> None:
        """Start after the record ``after``.

        Args:
            after: None to start with the first record.
            log: the identity of the log.
            keys: the public keys that are trusted.
            earlier: looks up events that stand before the ones to check.
            hash_at: gives the hash of the record at a position.
        """
        self.chain: Final = ChainCheck(after)
        self.streams: Final = StreamCheck(earlier)
        self.checkpoints = 0
        self.unchecked_signatures = 0
        self._log = log
        self._keys = keys
        self._hash_at = hash_at

    def findings(self, events: Sequence[RecordedEvent]) -> list[Finding]:
        """Return what is wrong with ``events``, which follow those that were checked before."""
        found = [Finding("record", fault.problem, fault.position) for fault in self.chain.faults(events)]
        problem = self.streams.problem
        for event in events:
            if wrong := problem(event):
                found.append(Finding("record", wrong, event.position))
            if event.type == _CHECKPOINT:
                found += [Finding("record", wrong, event.position) for wrong in self._checkpoint(event)]
        found.sort(key=_position)
        return found

    def _checkpoint(self, event: RecordedEvent) -> Iterator[str]:
        try:
            checkpoint = read_checkpoint(event.data)
        except (TypeError, ValueError) as error:
            yield str(error)
            return
        wrong = list(disagreements(checkpoint, log=self._log, last=event.position - 1, hash_at=self._hash_at))
        signed = is_signed(checkpoint, self._keys)
        if signed is False:
            wrong.append(f"its signature was not made by key {checkpoint.key_id}")
        self.checkpoints += not wrong and signed is True
        self.unchecked_signatures += not wrong and signed is None
        yield from (f"the checkpoint does not hold: {each}" for each in wrong)


def _position(finding: Finding) -> int:
    return finding.position or 0
