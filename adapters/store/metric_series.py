"""The metric series in the database: folded by position from a checkpoint, by whichever process asks first."""

import time
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any, Final, NamedTuple, Protocol

import orjson

from adapters.store.beside import EVENTS_IN_A_BATCH, Beside
from adapters.store.location import Location
from domain.errors import ReadModelError
from domain.projections.folded import EventPart
from domain.projections.metric_series import MetricSeries, SeriesKey

MODEL: Final = "metric_series"

_LOAD: Final = (
    "SELECT c.position, c.event_hash, s.metric, s.labels, s.part, s.value "
    "FROM read_model_checkpoint c LEFT JOIN metric_series s ON true WHERE c.name = ?"
)
_MOVE: Final = "UPDATE read_model_checkpoint SET position = ?, event_hash = ? WHERE name = ? AND position = ?"
_ADD: Final = (
    "INSERT INTO metric_series (metric, labels, part, value) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (metric, labels, part) DO UPDATE SET value = metric_series.value + excluded.value"
)

Progress = Callable[[int, int], None]
"""Is told how many events are done, and of how many."""


def no_progress(_done: int, _total: int) -> None:
    """Tell nobody."""


class StoredSeries(NamedTuple):
    """The series as the database holds them, and the hash of the record that they are folded up to."""

    series: MetricSeries
    event_hash: str | None


class CaughtUp(NamedTuple):
    """The series as of the head, and how many events this process had to fold for that."""

    series: MetricSeries
    folded: int


class MetricSeriesStore:
    """Reads the series of one log. Any thread and any number of processes may; each opens a connection of its own."""

    def __init__(self, location: Location, timeout_s: float = 5.0, batch: int = EVENTS_IN_A_BATCH) -> None:
        """Prepare; nothing is opened before :meth:`catch_up`.

        Args:
            location: the database.
            timeout_s: seconds that one statement or lock may take.
            batch: events that one transaction folds.
        """
        self._location = location
        self._timeout_s = timeout_s
        self._batch = batch

    def catch_up(self, progress: Progress = no_progress) -> CaughtUp:
        """Fold what was appended since the checkpoint, and return all series as of the head at this moment or later.

        The cost is that of the new events and of the series, whatever the length of the log. Another process that
        folds the same events at the same time wins or loses them as a whole: none is counted twice.

        Raises:
            LogUnavailableError: if the database does not answer.
            ReadModelError: if the stored series were not folded from this log.
        """
        with Beside(self._location, self._timeout_s) as beside:
            return catch_up(beside, progress, self._batch)


def catch_up(
    beside: Beside, progress: Progress = no_progress, batch: int = EVENTS_IN_A_BATCH, within_s: float = inf
) -> CaughtUp:
    """Do what :meth:`MetricSeriesStore.catch_up` says on a connection that is there; stop soon after ``within_s``.

    Series that were stopped at are those as of their own position.
    """
    deadline = time.monotonic() + within_s
    stored, folded, head = load(beside), 0, beside.head()
    behind = head - stored.series.position
    while events := _next(beside, stored, head, batch):
        if _advance(beside, stored.series, events):
            stored = StoredSeries(stored.series, events[-1].event_hash)
            folded += len(events)
            progress(folded, behind)
        else:
            stored = load(beside)
        if time.monotonic() > deadline:
            break
    return CaughtUp(stored.series, folded)


def _next(beside: Beside, stored: StoredSeries, head: int, batch: int) -> list[EventPart]:
    """Return the next events up to ``head``, once it is clear that the checkpoint lies in this log."""
    position = stored.series.position
    if position == 0:
        return beside.parts(0, head, batch)
    return follow(beside.parts(position - 1, max(head, position), batch + 1), stored)


def follow(events: Sequence[EventPart], stored: StoredSeries) -> list[EventPart]:
    """Return ``events`` without the first, which has to be the one that the series are folded up to.

    Raises:
        ReadModelError: if it is not.
    """
    found = (events[0].position, events[0].event_hash) if events else None
    if found != (stored.series.position, stored.event_hash):
        raise ReadModelError(
            f"the metric series are folded up to position {stored.series.position}, "
            "but the log holds another record there, or none"
        )
    return list(events[1:])


class Asked(Protocol):
    """Whatever answers statements with ``?`` for parameters."""

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows."""
        ...


def load(log: Asked) -> StoredSeries:
    """Return the stored series, all as of one moment.

    Raises:
        ReadModelError: if there is no checkpoint, or what stands there are no series.
    """
    rows = log.query(_LOAD, MODEL)
    if not rows:
        raise ReadModelError("the checkpoint of the metric series is missing")
    position, event_hash = rows[0][:2]
    try:
        values = {
            SeriesKey(metric, tuple(orjson.loads(labels)), part): value
            for _, _, metric, labels, part, value in rows
            if metric is not None
        }
    except (orjson.JSONDecodeError, TypeError):
        raise ReadModelError("the labels of a metric series are not what a fold writes") from None
    return StoredSeries(MetricSeries(values, position), event_hash)


def series_rows(values: Mapping[SeriesKey, int]) -> list[tuple[Any, ...]]:
    """Return series as rows of their table, sorted."""
    return sorted(
        (metric, orjson.dumps(labels).decode(), part, value) for (metric, labels, part), value in values.items()
    )


def _advance(beside: Beside, series: MetricSeries, events: Sequence[EventPart]) -> bool:
    """Fold ``events`` and move the checkpoint; False, with nothing stored, if another process was first."""
    before = series.position
    added = series.fold(events)
    with beside.changes():
        if beside.change(_MOVE, events[-1].position, events[-1].event_hash, MODEL, before) != 1:
            return False
        beside.change_many(_ADD, series_rows(added))
    return True
