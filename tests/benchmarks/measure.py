"""Figures that can be compared: each beside its floor, taken in turns in one run, since machines differ."""

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Aim:
    """What a figure should be: at most ``limit``, or at least; the figure itself, or its ratio to the floor."""

    limit: float
    at_least: bool = False
    of_ratio: bool = False

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<'} {shown(self.limit)}{' x floor' if self.of_ratio else ''}"

    def share(self, value: float) -> float:
        """Return how much of what is allowed ``value`` takes: up to 1 the aim is met."""
        if self.at_least:
            return self.limit / value if value else float("inf")
        return value / self.limit


def below(limit: float) -> Aim:
    return Aim(limit)


def at_least(limit: float) -> Aim:
    return Aim(limit, at_least=True)


def ratio_below(limit: float) -> Aim:
    return Aim(limit, of_ratio=True)


def ratio_at_least(limit: float) -> Aim:
    return Aim(limit, at_least=True, of_ratio=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        what: what is measured.
        ours: the figure, in ``unit``; so is ``floor``.
        floor: the least that the same costs whoever does it; ``floor_is`` tells what was measured for it.
        aim: None where a figure is only told.
        note: what else belongs to the figure.
    """

    what: str
    ours: float
    unit: str
    aim: Aim | None = None
    floor: float | None = None
    floor_is: str = ""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours by the floor: of times and sizes less is better, of rates more."""
        return self.ours / self.floor if self.floor else None

    @property
    def share(self) -> float | None:
        """How much of what the aim allows is taken, see :meth:`Aim.share`; None without an aim."""
        value = self.ratio if self.aim and self.aim.of_ratio else self.ours
        return self.aim.share(value) if self.aim and value is not None else None

    @property
    def verdict(self) -> str:
        return "" if self.share is None else "met" if self.share <= 1 else "MISSED"

    def as_json(self) -> dict[str, Any]:
        """Return the row with all that follows from it."""
        return {
            "what": self.what,
            "ours": self.ours,
            "unit": self.unit,
            "floor": self.floor,
            "floor_is": self.floor_is or None,
            "ratio": self.ratio,
            "aim": str(self.aim) if self.aim else None,
            "share_of_aim": self.share,
            "verdict": self.verdict.lower() or None,
            "note": self.note or None,
        }


def in_turns(works: Sequence[Callable[[], object]], rounds: int, warm_up: int = 2) -> list[list[float]]:
    """Return the seconds that each of ``works`` took in each round; they run one after the other, round by round."""
    seconds: list[list[float]] = [[] for _ in works]
    for number in range(warm_up + rounds):
        for work, taken in zip(works, seconds, strict=True):
            began = time.perf_counter()
            work()
            if number >= warm_up:
                taken.append(time.perf_counter() - began)
    return seconds


@contextmanager
def without_collecting() -> Iterator[None]:
    """As commands that read a whole log run: there are no cycles, and looking for them takes a tenth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def median_ms(seconds: Sequence[float]) -> float:
    return statistics.median(seconds) * 1000


def shown(number: float) -> str:
    """Return ``number`` with as many digits as are worth reading."""
    if abs(number) >= 100 or number == int(number):
        return f"{number:,.0f}"
    return f"{number:.1f}" if abs(number) >= 10 else f"{number:.2f}"
