"""What a scrape reads of the log: the metric series, and a few figures of the moment."""

import threading
from contextlib import ExitStack, suppress
from typing import Any, Final, NamedTuple

from adapters.store.beside import Beside
from adapters.store.location import Location
from adapters.store.metric_series import catch_up
from domain.errors import LogUnavailableError
from domain.projections.folded import TracedPart
from domain.projections.metric_series import Exemplar, MetricSeries, exemplars

_RECENT: Final = 1000
"""Records among which exemplars are looked for: the newest."""

_OLDEST: Final = (
    "SELECT min((SELECT e.occurred_at_ms FROM event e WHERE e.stream = o.command_id AND e.stream_version = 1)) "
    "FROM open_command o"
)
_TRACED: Final = (
    f"SELECT {', '.join(TracedPart._fields)} FROM event "  # noqa: S608 (fixed names)
    "WHERE position > ? AND position <= ? AND trace_id IS NOT NULL ORDER BY position DESC"
)
_SQLITE_SIZE: Final = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
_POSTGRES_SIZE: Final = "SELECT pg_total_relation_size('event')"


class LogReading(NamedTuple):
    """The log as it stood at the end of a reading."""

    series: MetricSeries
    lag_events: int
    """Events that ``series`` does not count yet."""
    oldest_unfinished_ms: int | None
    """When the oldest command without a final status was received, None if there is none."""
    size_bytes: int
    exemplars: dict[tuple[str, str], Exemplar]


class LogReader:
    """Reads one log again and again. Any thread may; they take turns."""

    def __init__(self, location: Location, timeout_s: float, fold_within_s: float) -> None:
        """Prepare; nothing is opened before :meth:`read`.

        Args:
            location: the database.
            timeout_s: seconds that one statement or lock may take.
            fold_within_s: seconds that one reading may spend on folding events that nobody has folded yet.
        """
        self._location = location
        self._timeout_s = timeout_s
        self._fold_within_s = fold_within_s
        self._kept: Beside | None = None
        self._lock = threading.Lock()

    def read(self) -> LogReading:
        """Fold what is new and read.

        The cost is that of the new events, the series and the open commands, whatever the length of the log.

        Raises:
            LogUnavailableError: if the database does not answer.
            ReadModelError: if the stored series were not folded from this log.
        """
        with self._lock:
            if self._kept:
                with suppress(LogUnavailableError):  # the server may have ended the connection long ago
                    return self._read(self._kept)
                self._let_go()
            with ExitStack() as opened:
                beside = opened.enter_context(Beside(self._location, self._timeout_s))
                reading = self._read(beside)
                if not self._location.is_sqlite:  # a file costs little to open, and another may take its place
                    self._kept = beside
                    opened.pop_all()
                return reading

    def close(self) -> None:
        """Close the connection that is kept, if there is one."""
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        if self._kept:
            with self._kept:
                self._kept = None

    def _read(self, beside: Beside) -> LogReading:
        series = catch_up(beside, within_s=self._fold_within_s).series
        head = beside.head()
        traced = [TracedPart._make(row) for row in beside.query(_TRACED, head - _RECENT, head)]
        size = _SQLITE_SIZE if self._location.is_sqlite else _POSTGRES_SIZE
        return LogReading(
            series, head - series.position, _only(beside, _OLDEST), int(_only(beside, size)), exemplars(traced)
        )


def _only(beside: Beside, sql: str) -> Any:
    ((value,),) = beside.query(sql)
    return value
