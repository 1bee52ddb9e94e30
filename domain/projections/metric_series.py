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

from domain.canonical import JSON, MAX_SAFE_INTEGER
from domain.events import (
    AuthenticationFailed,
    AuthenticationSucceeded,
    CommandDenied,
    CommandReceived,
    EngineObserved,
    EngineSuppressed,
    LogContinued,
)
from domain.lifecycle import FINAL
from domain.projections.carried_over import taken_over
from domain.projections.folded import FoldedEvent, TracedPart, WithData, tree_of
from domain.projections.metrics import (
    AUTHENTICATIONS,
    COMMAND_DURATION,
    COMMANDS,
    DENIALS,
    DURATION_BUCKETS_US,
    ENGINE_EVENTS,
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
_EVENTS: Final = EVENTS.name
_COMMANDS: Final = COMMANDS.name
_DURATION: Final = COMMAND_DURATION.name
_ENGINE_EVENTS: Final = ENGINE_EVENTS.name
_OBSERVED: Final = EngineObserved.type
_SUPPRESSED: Final = EngineSuppressed.type
_RECEIVED: Final = CommandReceived.type
_DENIED: Final = CommandDenied.type
_UNFINISHED: Final = (UNFINISHED.name, (), "")
_SUM: Final = "sum"
_BEYOND: Final = "+Inf"
_PARTS: Final = (*map(str, DURATION_BUCKETS_US), _BEYOND)
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


class Exemplar(NamedTuple):
    """One command that stands for those of its bucket: its trace, how long it took, and when it ended."""

    trace_id: str
    seconds: float
    at_s: float
    """Seconds since 1970 UTC."""


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
        counted, self.position = _counted(events, self.position)
        for series, value in counted.items():
            metric, labels, part = series
            kept = labels if series in self.values else self._bounded(metric, labels)
            added[SeriesKey(metric, kept, part)] += value
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

    def _bounded(self, metric: str, labels: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self._kept(metric, number, value) for number, value in enumerate(labels))

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
            for part in _PARTS:
                so_far += self.values[SeriesKey(metric.name, labels, part)]
                yield Sample("_bucket", {**named, "le": _bound(part)}, so_far)
            yield Sample("_sum", named, self.values[SeriesKey(metric.name, labels, _SUM)] / 1_000_000)
            yield Sample("_count", named, so_far)


_Counts = dict[tuple[str, tuple[str, ...], str], int]
"""By metric, labels as they are recorded, and part. Those of a metric stand in the order in which they first occur: it
decides what is kept."""


def _counted(events: Iterable[FoldedEvent], position: int) -> tuple[_Counts, int]:
    """Return what ``events`` add, and the position of the last of them (``position`` if there is none)."""
    counts: _Counts = defaultdict(int)
    kinds: dict[str, int] = defaultdict(int)
    ended: dict[tuple[str, str, str], int] = defaultdict(int)
    received, event = 0, None
    for event in events:
        kind = event.type
        kinds[kind] += 1
        if tool := event.tool:
            if kind == _RECEIVED:
                received += 1
            elif event.status in FINAL:
                ended[tool, str(event.status), event.role] += 1
                _count_ended(event, tool, counts)
        else:
            _count_other(event, counts)
    for kind, times in kinds.items():
        counts[_EVENTS, (kind,), ""] += times
    for labels, times in ended.items():
        counts[_COMMANDS, labels, ""] += times
    if unfinished := received - sum(ended.values()):
        counts[_UNFINISHED] += unfinished
    return counts, event.position if event else position


def _count_other(event: FoldedEvent, counts: _Counts) -> None:
    kind = event.type
    if outcome := _AUTHENTICATION_OUTCOMES.get(kind):
        counts[AUTHENTICATIONS.name, (outcome,), ""] += 1
    elif kind == _OBSERVED:
        _count_observed(tree_of(event), counts)
    elif kind == _SUPPRESSED:
        _count_suppressed(tree_of(event).get("counts"), counts)
    elif kind == LogContinued.type and event.position == 1:
        for series, value in taken_over(tree_of(event).get("metrics")):
            counts[series] += value


def _count_ended(event: FoldedEvent, tool: str, counts: _Counts) -> None:
    if event.type == _DENIED:
        rule = tree_of(event).get("rule")
        counts[DENIALS.name, (tool, rule if isinstance(rule, str) else OTHER), ""] += 1
    elif (duration := _duration_us(event)) is not None:
        counts[_DURATION, (tool,), _bucket(duration)] += 1
        counts[_DURATION, (tool,), _SUM] += duration


def exemplars(events: Iterable[TracedPart]) -> dict[tuple[str, str], Exemplar]:
    """Return an exemplar for each tool and bucket (its ``le``) that one of ``events`` fell into: the first of them."""
    found: dict[tuple[str, str], Exemplar] = {}
    for event in events:
        if event.tool and event.status in FINAL and (duration := _duration_us(event)) is not None:
            key = event.tool, _bound(_bucket(duration))
            found.setdefault(key, Exemplar(event.trace_id, duration / 1_000_000, event.occurred_at_ms / 1000))
    return found


def _duration_us(event: WithData) -> int | None:
    """Return how long the command took, None if that was not timed."""
    duration = tree_of(event).get("duration_us") if '"duration_us"' in event.data else None
    return duration if type(duration) is int and 0 <= duration <= _LONGEST_US else None


def _count_observed(tree: Mapping[str, JSON], counts: _Counts) -> None:
    kind, action = tree.get("kind"), tree.get("action")
    if isinstance(kind, str) and isinstance(action, str):
        counts[_ENGINE_EVENTS, (kind, action), ""] += 1


def _count_suppressed(rows: JSON, counts: _Counts) -> None:
    for row in rows if isinstance(rows, list) else ():
        match row:
            case [str(kind), str(action), int(times)] if 0 < times <= MAX_SAFE_INTEGER:
                counts[_ENGINE_EVENTS, (kind, action), ""] += times


def _bucket(duration_us: int) -> str:
    return _PARTS[bisect_left(DURATION_BUCKETS_US, duration_us)]


def _bound(part: str) -> str:
    """Return the upper bound of a bucket in seconds, as Prometheus writes it."""
    return part if part == _BEYOND else str(int(part) / 1_000_000)


def _named(metric: Metric, labels: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(metric.labels, labels, strict=True))
