"""Verifies the log while a server runs: what is new at once, and all of it once in a while, at a low rate."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from adapters.store.checkpointer import last_signed
from adapters.store.log_check import beside
from adapters.store.read_model_checks import OpenCommandCheck
from adapters.store.snapshot import Snapshot, earlier, hash_at
from domain.checkpoints import Keys
from domain.events import RecordedEvent
from domain.findings import Finding
from domain.record_check import RecordCheck

_EVENTS_PER_SECOND: Final = 2000
"""About one fiftieth of what a core can check, so that appends and calls do not notice."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class ChainState:
    """What this process knows of the log's integrity, for health checks and metrics."""

    intact: bool = True
    verified_position: int = 0
    """Every record up to this one was checked, or stands before a signed checkpoint in the log."""
    problem: str | None = None


class BackgroundCheck:
    """Follows the log round by round. Between rounds it keeps a position, a hash and the streams in progress."""

    def __init__(
        self,
        state: ChainState,
        keys: Callable[[], Keys],
        tell: Callable[[Finding], None],
        wait: Callable[[float], bool],
        *,
        whole_every_s: float,
        budget_s: float,
    ) -> None:
        """Prepare.

        Args:
            state: kept up to date.
            keys: the public keys whose checkpoints are trusted.
            tell: hears of the first thing that is wrong.
            wait: waits for seconds; returns True if the process stops.
            whole_every_s: seconds between two verifications of the whole log.
            budget_s: seconds that one round may spend on the whole log.
        """
        self._state = state
        self._keys = keys
        self._tell = tell
        self._wait = wait
        self._whole_every_s = whole_every_s
        self._budget_s = budget_s
        self._whole_due = time.monotonic() + whole_every_s
        self._new: RecordCheck | None = None
        self._whole: RecordCheck | None = None
        self._snapshot: Snapshot | None = None

    def round(self, snapshot: Snapshot) -> None:
        """Check what was appended since the last round, and go on with the whole log if that is due."""
        self._snapshot = snapshot
        try:
            if self._new is None:
                self._new = self._begin(last_signed(snapshot, self._keys()))
            if self._new and self._follow(self._new):
                self._look_beside(self._new)
            if self._new and (self._whole or time.monotonic() >= self._whole_due):
                self._go_on_with_the_whole()
        finally:
            self._snapshot = None

    def _follow(self, check: RecordCheck) -> bool:
        """Check the new records; return whether there were any, and all of this moment were seen."""
        chain = check.chain
        if chain.position and hash_at(self._open, chain.position) != chain.head:
            self._broken([Finding("record", "is gone or another than the one verified before", chain.position)])
        any_new = False
        while events := self._next(chain.position):
            any_new = True
            self._broken(check.findings(events))
            self._state.verified_position = chain.position
            if self._rest(len(events)):
                return False
        return any_new

    def _go_on_with_the_whole(self) -> None:
        if self._whole is None:
            self._whole = self._begin(None)
        assert self._whole is not None  # noqa: S101 (the log is not empty, or nothing would be due)
        deadline = time.monotonic() + self._budget_s
        while events := self._next(self._whole.chain.position):
            if found := self._whole.findings(events):
                self._broken(found)
                break
            if self._rest(len(events)) or time.monotonic() > deadline:
                return
        else:
            self._look_beside(self._whole)
        self._whole = None
        self._whole_due = time.monotonic() + self._whole_every_s

    def _look_beside(self, check: RecordCheck) -> None:
        """Check the guards, the view, and the list of open commands, when ``check`` has seen all of this moment."""
        snapshot = self._open
        self._broken(list(beside(snapshot)))
        model = OpenCommandCheck(snapshot)
        self._broken([Finding(f"read model {model.name}", each) for each in model.problems(check.streams.open)])

    def _begin(self, after: RecordedEvent | None) -> RecordCheck | None:
        log = hash_at(self._open, 1)
        if log is None:
            return None
        if after:
            self._state.verified_position = after.position
        return RecordCheck(
            after=after,
            log=log,
            keys=self._keys(),
            earlier=lambda *which: earlier(self._open, *which),
            hash_at=lambda position: hash_at(self._open, position),
        )

    def _next(self, after: int) -> Sequence[RecordedEvent]:
        with closing(self._open.batches(after)) as batches:  # type: ignore[type-var]
            return next(batches, [])

    def _rest(self, count: int) -> bool:
        """Wait as long as ``count`` records may take, and let go of the moment; return whether the process stops."""
        stopping = self._wait(count / _EVENTS_PER_SECOND)
        self._open.renew()
        return stopping

    @property
    def _open(self) -> Snapshot:
        assert self._snapshot is not None  # noqa: S101 (only used within a round)
        return self._snapshot

    def _broken(self, found: Sequence[Finding]) -> None:
        if not found or not self._state.intact:
            return
        self._state.intact = False
        self._state.problem = found[0].describe()
        logger.error("the log was tampered with: %s; `docker-mcp verify` shows all", self._state.problem)
        self._tell(found[0])
