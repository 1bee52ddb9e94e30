"""The metric series as a fold of the log.

Inside, everything is an integer: durations are summed in microseconds, and a bucket counts what fell into it alone.
So series add up in any batches, and equal folds are equal to the last digit. Seconds and the cumulative buckets of
Prometheus are made when the series are read.

Whoever changes what is counted adds a migration that empties the tables: series are then folded anew.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from domain.events import AuthenticationFailed, AuthenticationSucceeded, CommandDenied, CommandReceived
from domain.lifecycle import FINAL
from domain.projections.folded import FoldedEvent, tree_of
from domain.projections.metrics import (
    AUTHENTICATIONS,
    COMMAND_DURATION,
    COMMANDS,
    DENIALS,
    DURATION_BUCKETS_US,
    EVENTS,
    FOLDED,
    LOG_POSITION,
    UNFINISHED,
    Metric,
    MetricKind,
)

MOST_VALUES: Final = 200
"""Different values that one label of one metric keeps; later ones are counted as ``_other``.

Tools come from the catalogue (``_unknown`` for what is not in it), statuses and event types from the program, roles
and the rules named after them from the auth file. So no caller can choose one, and the bound is for a log that has
seen very many auth files.
"""
OTHER: Final = "_other"

_LONGEST_US: Final = 7 * 24 * 3600 * 1_000_000
"""No command takes longer than a week: one that claims to would make the sum overflow."""
_SUM: Final = "sum"
_BEYOND: Final = "+Inf"
_AUTHENTICATION_OUTCOMES: Final = {AuthenticationSucceeded.type: "success", AuthenticationFailed.type: "failed"}


class SeriesKey(NamedTuple):
    """A stored series: the metric, the values of its labels in their order, and which part of a histogram it is."""

    metric: str
    labels: tuple[str, ...]
    part: str = ""
    """The upper bound of a bucket in microseconds, ``+Inf`` or ``sum``; empty but for histograms."""


class Sample(NamedTuple):
    """One line of an exposition: what is added to the metric's name, the labels, and the value."""

    suffix: str
    labels: Mapping[str, str]
    value: float


class Family(NamedTuple):
    """A metric with its samples."""

    metric: Metric
    samples: list[Sample]


class MetricSeries:
    """Folds events into series. Memory grows with the number of series, never with the log."""

    def __init__(self, values: Mapping[SeriesKey, int] | None = None, position: int = 0) -> None:
        """Begin with series folded up to ``position``, by default with an empty log."""
        self.values: Counter[SeriesKey] = Counter(values or {})
        self.position = position
        self._known: dict[tuple[str, int], set[str]] = defaultdict(set)
        for key in self.values:
            for number, value in enumerate(key.labels):
                self._known[key.metric, number].add(value)

    def fold(self, events: Iterable[FoldedEvent]) -> dict[SeriesKey, int]:
        """Take in the next events of the log, in its order; return what they add to which series."""
        added: Counter[SeriesKey] = Counter()
        for event in events:
            self._fold(event, added)
            self.position = event.position
        self.values.update(added)
        return {key: value for key, value in added.items() if value}

    def families(self) -> Iterator[Family]:
        """Yield every metric with its samples, sorted by labels; one without labels always has its sample."""
        for metric in FOLDED:
            if metric == LOG_POSITION:
                yield Family(metric, [Sample("", {}, self.position)])
            elif metric.kind is MetricKind.HISTOGRAM:
                yield Family(metric, list(self._histogram(metric)))
            else:
                found = sorted((key.labels, value) for key, value in self.values.items() if key.metric == metric.name)
                found = found or ([] if metric.labels else [((), 0)])
                yield Family(metric, [Sample("", _named(metric, labels), value) for labels, value in found])

    def _fold(self, event: FoldedEvent, added: Counter[SeriesKey]) -> None:
        self._count(added, EVENTS, event.type)
        if outcome := _AUTHENTICATION_OUTCOMES.get(event.type):
            self._count(added, AUTHENTICATIONS, outcome)
        if not event.tool:
            return
        if event.type == CommandReceived.type:
            added[_UNFINISHED_KEY] += 1
        if event.status in FINAL:
            added[_UNFINISHED_KEY] -= 1
            self._ended(event, event.tool, str(event.status), added)

    def _ended(self, event: FoldedEvent, tool: str, status: str, added: Counter[SeriesKey]) -> None:
        self._count(added, COMMANDS, tool, status, event.role)
        if event.type == CommandDenied.type:
            rule = tree_of(event).get("rule")
            self._count(added, DENIALS, tool, rule if isinstance(rule, str) else OTHER)
        elif '"duration_us"' in event.data:
            duration = tree_of(event).get("duration_us")
            if type(duration) is int and 0 <= duration <= _LONGEST_US:
                labels = self._bounded(COMMAND_DURATION, (tool,))
                added[SeriesKey(COMMAND_DURATION.name, labels, _bucket(duration))] += 1
                added[SeriesKey(COMMAND_DURATION.name, labels, _SUM)] += duration

    def _count(self, added: Counter[SeriesKey], metric: Metric, *labels: str) -> None:
        added[SeriesKey(metric.name, self._bounded(metric, labels))] += 1

    def _bounded(self, metric: Metric, labels: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self._kept(metric.name, number, value) for number, value in enumerate(labels))

    def _kept(self, metric: str, number: int, value: str) -> str:
        known = self._known[metric, number]
        if value not in known:
            if len(known) >= MOST_VALUES:
                return OTHER
            known.add(value)
        return value

    def _histogram(self, metric: Metric) -> Iterator[Sample]:
        tools = sorted({key.labels for key in self.values if key.metric == metric.name})
        for labels in tools:
            named, so_far = _named(metric, labels), 0
            for part in (*map(str, DURATION_BUCKETS_US), _BEYOND):
                so_far += self.values[SeriesKey(metric.name, labels, part)]
                bound = part if part == _BEYOND else str(int(part) / 1_000_000)
                yield Sample("_bucket", {**named, "le": bound}, so_far)
            yield Sample("_sum", named, self.values[SeriesKey(metric.name, labels, _SUM)] / 1_000_000)
            yield Sample("_count", named, so_far)


_UNFINISHED_KEY: Final = SeriesKey(UNFINISHED.name, ())


def _bucket(duration_us: int) -> str:
    number = bisect_left(DURATION_BUCKETS_US, duration_us)
    return str(DURATION_BUCKETS_US[number]) if number < len(DURATION_BUCKETS_US) else _BEYOND


def _named(metric: Metric, labels: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(metric.labels, labels, strict=True))
