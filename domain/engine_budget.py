"""How many events of the engine are recorded in a short time, and the count of those beyond."""

from collections import Counter
from typing import Final

from domain.engine_events import EngineEvent, engine_time
from domain.events import EngineSuppressed

WINDOW_S: Final = 10
"""Seconds of a budget: a burst as long as these seconds allow is recorded whole."""


class EngineBudget:
    """Spent by each event that is recorded; renewed by :meth:`turn`. What is beyond it is counted.

    One object has half of it at most: a container that makes noise does not hide what happens to the others.
    """

    def __init__(self, per_second: int) -> None:
        self._most = per_second * WINDOW_S
        self._spent = 0
        self._of_object: Counter[str] = Counter()
        self._since_s = float("-inf")
        self._counts: Counter[tuple[str, str]] = Counter()
        self._since_ms = 0
        self._until_ms = 0
        self._newest: EngineEvent | None = None

    def spend(self, object_id: str) -> bool:
        """Take one event of an object from the budget; return False if nothing was left for it."""
        if self._spent >= self._most or self._of_object[object_id] >= self._most // 2:
            return False
        self._spent += 1
        self._of_object[object_id] += 1
        return True

    def count(self, event: EngineEvent) -> None:
        """Count an event that is not recorded."""
        if self._newest is None:
            self._since_ms = self._until_ms = event.at_ms
        self._since_ms, self._until_ms = min(self._since_ms, event.at_ms), max(self._until_ms, event.at_ms)
        self._counts[event.kind, event.action] += 1
        self._newest = event

    def is_over(self, now_s: float) -> bool:
        """Return whether the budget has lasted its time; ``now_s`` is any clock that never goes back."""
        return now_s - self._since_s >= WINDOW_S

    def turn(self, now_s: float) -> None:
        """Renew the budget. What was counted has to be :meth:`take`-n before."""
        self._since_s, self._spent = now_s, 0
        self._of_object.clear()

    def take(self, engine: str) -> EngineSuppressed | None:
        """Return what was counted since the last time, None if nothing was."""
        newest, self._newest = self._newest, None
        if newest is None:
            return None
        counts, self._counts = self._counts, Counter()
        return EngineSuppressed(
            engine=engine,
            since_ms=self._since_ms,
            until_ms=self._until_ms,
            total=counts.total(),
            counts=tuple((kind, action, times) for (kind, action), times in sorted(counts.items())),
            engine_time=engine_time(newest.time_ns),
            newest=newest.digest,
        )
