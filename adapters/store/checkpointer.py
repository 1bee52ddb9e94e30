"""Signs the head of the log when enough has happened since the last checkpoint, whoever signed that.

Several servers on one log compare with the last checkpoint in it, so each head is signed once.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final

from adapters.checkpoint_copies import Copy, send
from adapters.store.snapshot import Snapshot, hash_at, last_of, newest, record_at
from domain.checkpoints import STREAM, Keys, Signer, is_signed, read_checkpoint, sign_checkpoint
from domain.errors import ConcurrentAppendError, LogUnavailableError
from domain.events import CheckpointSigned, NewEvent, RecordedEvent, event_of
from domain.ports import Clock, NewId
from domain.principal import SYSTEM, Principal

_APPEND_TIMEOUT_S: Final = 10.0

Append = Callable[[Sequence[NewEvent]], "Future[Any]"]

logger = logging.getLogger(__name__)


class Checkpointer:
    """Signs heads, records the checkpoints in the log, and sends copies away."""

    def __init__(
        self,
        signer: Signer,
        append: Append,
        clock: Clock,
        new_id: NewId,
        *,
        events: int,
        interval_s: int,
        copies: Sequence[Copy] = (),
    ) -> None:
        """Prepare.

        Args:
            signer: the signing key.
            append: records events.
            clock: milliseconds since 1970 UTC.
            new_id: makes ids of events.
            events: new records after which a checkpoint is due.
            interval_s: seconds after which one is due if there is any new record.
            copies: where copies go.
        """
        self._signer = signer
        self._append = append
        self._clock = clock
        self._new_id = new_id
        self._events = events
        self._interval_ms = interval_s * 1000
        self._copies = copies

    def sign_if_due(self, snapshot: Snapshot) -> CheckpointSigned | None:
        """Sign the head if it is time; return the checkpoint."""
        head, last = newest(snapshot), last_of(snapshot, STREAM)
        if not _is_new(head, last):
            return None
        new = (head.position if head else 0) - (last.position if last else 0)
        since = last or record_at(snapshot, 1)
        waited_ms = self._clock() - (since.occurred_at_ms if since else 0)
        return self.sign(snapshot) if new >= self._events or waited_ms >= self._interval_ms else None

    def sign_if_new(self, snapshot: Snapshot, principal: Principal = SYSTEM) -> CheckpointSigned | None:
        """Sign the head now, unless it is a checkpoint itself, which covers all there is."""
        return self.sign(snapshot, principal) if _is_new(newest(snapshot), last_of(snapshot, STREAM)) else None

    def sign(self, snapshot: Snapshot, principal: Principal = SYSTEM) -> CheckpointSigned | None:
        """Sign the head now; return the checkpoint, None if another process was faster or there is nothing to sign.

        Raises:
            LogUnavailableError: if it could not be recorded.
        """
        head, last, log = newest(snapshot), last_of(snapshot, STREAM), hash_at(snapshot, 1)
        if head is None or log is None:
            return None
        checkpoint = sign_checkpoint(
            self._signer, log=log, position=head.position, head=head.event_hash, at_ms=self._clock()
        )
        event = event_of(principal, checkpoint, STREAM, self._new_id())
        version = last.stream_version + 1 if last else 1
        try:
            self._append([event._replace(stream_version=version)]).result(_APPEND_TIMEOUT_S)
        except ConcurrentAppendError:
            return None
        except TimeoutError as error:
            raise LogUnavailableError("the event log did not answer in time") from error
        for problem in send(self._copies, checkpoint.encode()):
            logger.error("%s", problem)
        return checkpoint


def last_signed(snapshot: Snapshot, keys: Keys) -> RecordedEvent | None:
    """Return the record that the last checkpoint in the log names, if checkpoint and record hold."""
    event = last_of(snapshot, STREAM)
    try:
        checkpoint = read_checkpoint(event.data) if event else None
    except (TypeError, ValueError):
        return None
    if checkpoint is None or not is_signed(checkpoint, keys):
        return None
    record = record_at(snapshot, checkpoint.position)
    return record if record and record.event_hash == checkpoint.head else None


def _is_new(head: RecordedEvent | None, last: RecordedEvent | None) -> bool:
    return head is not None and (last is None or head.position != last.position)
