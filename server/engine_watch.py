"""The thread of a server that follows the engine's events into the log. Of all servers of a log one does it."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from domain.engine_budget import EngineBudget
from domain.engine_cursor import DISORDER_NS, unseen
from domain.engine_ports import EngineEvents, EngineLog, EngineSign
from domain.errors import ConcurrentAppendError, DockerMcpError
from domain.ports import Held, NewId, SharedLocks
from server.engine_follower import Follower
from server.engine_record import EngineRecord
from server.engine_stream import Append, EngineStream, StoppedError

_STAND_BY_S: Final = 1.0
_SIGN_EVERY_S: Final = 60.0
"""Seconds after which a server that stands by asks again which engine it is."""
_ROUND_S: Final = 0.2
_MOST_IN_A_ROUND: Final = 500
_FIRST_RETRY_S: Final = 0.5
_LONGEST_RETRY_S: Final = 10.0
_GIVE_UP_AFTER: Final = 4
"""Failures in a row after which another server may try: it may reach the engine."""
_OVERLAP_NS: Final = 60 * 1_000_000_000
_FIRST_LOOK_NS: Final = 24 * 3600 * 1_000_000_000
_STOP_TIMEOUT_S: Final = 1.0

logger = logging.getLogger(__name__)


class EngineWatch:
    """Runs beside the server. Where the observation stands is in the log alone, so any server can go on with it."""

    def __init__(
        self,
        parts: Callable[[], tuple[EngineEvents, EngineLog]],
        append: Append,
        locks: SharedLocks,
        has_room: Callable[[], bool],
        new_id: NewId,
        *,
        per_second: int,
        timeout_s: float,
    ) -> None:
        """Prepare; nothing is asked before :meth:`start`.

        Args:
            parts: makes what follows the engine, and what answers questions to the log.
            append: records events.
            locks: shared by all servers of the log.
            has_room: tells whether the log may take more than it must.
            new_id: makes ids of events.
            per_second: how many events are recorded in a second, in the long run.
            timeout_s: seconds that one append may take.
        """
        self._parts = parts
        self._append = append
        self._locks = locks
        self._has_room = has_room
        self._new_id = new_id
        self._per_second = per_second
        self._timeout_s = timeout_s
        self._since_ns = time.time_ns()
        self._held: Held | None = None
        self._record: EngineRecord | None = None
        self._engine_id = ""
        self._signed_s = float("-inf")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine-watch", daemon=True)

    def start(self) -> None:
        self._since_ns = time.time_ns()
        self._thread.start()

    def stop(self) -> None:
        """Record what was seen and end; a thread that waits for the engine or the log is not waited for."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(_STOP_TIMEOUT_S)

    def _run(self) -> None:
        pause, failures = _STAND_BY_S, 0  # the first calls go first
        while not self._stop.wait(pause):
            try:
                pause = self._round()
                failures = 0
                continue
            except StoppedError:
                break
            except ConcurrentAppendError:
                logger.info("another server follows the engine's events")
                self._record = None
                self._let_go()
                pause = _STAND_BY_S
                continue
            except DockerMcpError as error:
                level = logging.DEBUG if failures else logging.WARNING  # told once, not every few seconds
                logger.log(level, "the engine's events cannot be followed: %s", error.describe())
            except Exception:
                logger.exception("the engine's events cannot be followed")
            failures += 1
            if failures >= _GIVE_UP_AFTER:
                self._let_go()
            pause = min(_FIRST_RETRY_S * 2**failures, _LONGEST_RETRY_S)
        self._let_go()

    def _round(self) -> float:
        """Follow the engine for as long as its events come; return for how long to wait then."""
        events, log = self._parts()
        if self._stands_by():
            return _STAND_BY_S
        sign = events.sign()
        self._signed_s = time.monotonic()
        if sign.engine_id != self._engine_id:
            self._let_go()
            self._engine_id = sign.engine_id
        if self._stands_by():
            return _STAND_BY_S
        if self._record is None:
            self._record = self._begun(events, log)
        self._record.ahead_ms = sign.ahead_ms
        follower = self._caught_up(events, self._record, sign)
        try:
            self._follow(follower, self._record)
        finally:
            follower.close()
        return _FIRST_RETRY_S

    def _stands_by(self) -> bool:
        """Return whether another server follows the engine that this one has found not long ago."""
        if self._held is None and time.monotonic() - self._signed_s < _SIGN_EVERY_S:
            self._held = self._locks.try_hold([f"engine-events/{self._engine_id}"])
            return self._held is None
        return False

    def _begun(self, events: EngineEvents, log: EngineLog) -> EngineRecord:
        stream = EngineStream(self._engine_id, log, self._append, self._new_id, self._stop.wait, self._timeout_s)
        return EngineRecord(stream, events, log, EngineBudget(self._per_second))

    def _caught_up(self, events: EngineEvents, record: EngineRecord, sign: EngineSign) -> Follower:
        """Record what the engine remembers beyond what was seen; return what goes on from there."""
        if record.seen is None:
            begin_ns = min(self._since_ns + sign.ahead_ms * 1_000_000, sign.now_ns)
            told = events.told(sign.now_ns - _FIRST_LOOK_NS, sign.now_ns)
            before = [event for event in told if event.time_ns < begin_ns]
            record.miss(None, begin_ns, before[-1] if before else None)
            new = [event for event in told if event.time_ns >= begin_ns]
        else:
            since = record.seen
            told = events.told(since.time_ns - _OVERLAP_NS, sign.now_ns)
            new, missing = unseen(told, since)
            if missing:
                logger.warning("the engine no longer tells all that has happened since its events were followed last")
                until_ns = new[0].time_ns if new else sign.now_ns
                record.miss(since.time_ns - DISORDER_NS, until_ns, told[-1] if told else None)
        record.take(new)
        record.flush()
        seen = record.seen
        assert seen is not None  # noqa: S101 (there is a record now)
        return Follower(events.follow(seen.since_ns), seen.newest, max(sign.now_ns, seen.time_ns))

    def _follow(self, follower: Follower, record: EngineRecord) -> None:
        while not follower.has_ended and not self._stop.is_set():
            if not self._has_room():
                self._stop.wait(_STAND_BY_S)
                continue
            record.take(follower.take(_MOST_IN_A_ROUND, _ROUND_S))
            record.flush()
        record.take(follower.take(_MOST_IN_A_ROUND, 0))

    def _let_go(self) -> None:
        """Let another server go on, from as far as this one has seen."""
        held, self._held = self._held, None
        record, self._record = self._record, None
        try:
            if record:
                record.flush(closing=True)
        except (StoppedError, DockerMcpError):
            logger.debug("how far the engine's events were seen is not recorded")
        finally:
            if held:
                held()
