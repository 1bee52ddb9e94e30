"""Figures that can be compared: each beside its floor, taken in turns in one run, since machines differ."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. ``ratio`` is what the aim is about where there is a floor."""

    what: str
    figure: str
    floor: str
    ratio: str
    aim: str
    met: bool


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


def median_ms(seconds: Sequence[float]) -> float:
    return statistics.median(seconds) * 1000


def table(rows: Sequence[Row]) -> str:
    """Return the rows as aligned text."""
    cells = [("what", "figure", "floor", "ratio", "aim", "")]
    cells += [(row.what, row.figure, row.floor, row.ratio, row.aim, "met" if row.met else "MISSED") for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)
