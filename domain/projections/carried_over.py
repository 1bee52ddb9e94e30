"""Metric series on their way from a log into the one that continues it, so that counters go on."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from domain.canonical import JSON, MAX_SAFE_INTEGER, canonical_json
from domain.projections.metrics import FOLDED, Metric

_BY_NAME: Final[Mapping[str, Metric]] = {metric.name: metric for metric in FOLDED}

_MOST_BYTES: Final = 56 * 1024
"""Out of the 64 KiB of an event's data."""

Series = tuple[str, tuple[str, ...], str]
"""Metric, values of its labels, and which part of a histogram."""


def carried(values: Mapping[Any, int]) -> dict[str, JSON]:
    """Return series as the first record of the next log keeps them: by metric, rows of labels, part and value.

    A metric that does not fit begins anew, the largest first.
    """
    rows: dict[str, JSON] = {}
    for (metric, labels, part), value in sorted(values.items()):
        if value and abs(value) <= MAX_SAFE_INTEGER:
            rows.setdefault(metric, []).append([*labels, *([part] if part else []), value])
    sizes = {metric: len(canonical_json(kept)) for metric, kept in rows.items()}
    while sum(sizes.values()) > _MOST_BYTES:
        largest = max(sizes, key=lambda metric: sizes[metric])
        del rows[largest], sizes[largest]
    return rows


def taken_over(metrics: JSON) -> Iterator[tuple[Series, int]]:
    """Yield the series that a log was begun with; rows that are none are left out: a fold goes on past them."""
    for name, rows in metrics.items() if isinstance(metrics, Mapping) else ():
        metric = _BY_NAME.get(name)
        for row in rows if metric and isinstance(rows, list) else ():
            if metric and _is_row(row, len(metric.labels)):
                labels, rest = row[: len(metric.labels)], row[len(metric.labels) : -1]
                yield (name, tuple(labels), rest[0] if rest else ""), row[-1]


def _is_row(row: JSON, labels: int) -> bool:
    return (
        isinstance(row, list)
        and len(row) in (labels + 1, labels + 2)
        and all(isinstance(text, str) for text in row[:-1])
        and type(row[-1]) is int
    )
