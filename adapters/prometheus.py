"""The metrics as Prometheus reads them: one collector on a registry of its own, asked anew by every scrape."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest, openmetrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric as PrometheusMetric
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as PrometheusExemplar

from adapters.store.background_check import ChainState
from adapters.store.log_reading import LogReader
from domain.errors import DockerMcpError
from domain.ports import Clock
from domain.projections.metric_series import Exemplar, Family, Sample
from domain.projections.metrics import (
    CHAIN_INTACT,
    CHAIN_VERIFIED_POSITION,
    COMMAND_DURATION,
    ENGINE_UP,
    LOG_SIZE,
    LOG_UP,
    OLDEST_UNFINISHED,
    PROJECTION_LAG,
    Metric,
    MetricKind,
)

_OPENMETRICS_TYPE: Final = "application/openmetrics-text"

logger = logging.getLogger(__name__)

Exemplars = Mapping[tuple[str, str], Exemplar]


class Exposition(Collector):
    """The metrics of one log, and of the process that tells them. Any thread may ask; they take turns."""

    def __init__(
        self,
        log: LogReader,
        clock: Clock,
        engine: str,
        engine_answers: Callable[[], bool],
        chain: ChainState | None = None,
        *,
        needs_log: bool = False,
    ) -> None:
        """Take what is needed.

        Args:
            log: reads the log.
            clock: milliseconds since 1970 UTC.
            engine: the name of the engine.
            engine_answers: returns whether it does; does not take long.
            chain: what this process knows of the log's integrity, None if it does not verify the log.
            needs_log: raise if the log cannot be read, instead of telling that.
        """
        self._log = log
        self._clock = clock
        self._engine = engine
        self._engine_answers = engine_answers
        self._chain = chain
        self._lock = threading.Lock()
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._needs_log = needs_log
        self._is_up = True

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """Return the metrics and their content type: OpenMetrics, which has exemplars, if ``accept`` names it.

        Raises:
            DockerMcpError: if the log is needed and cannot be read.
        """
        with self._lock:
            if _OPENMETRICS_TYPE in accept:
                return openmetrics.exposition.generate_latest(self._registry), OPENMETRICS
            return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4

    def describe(self) -> Iterator[PrometheusMetric]:
        """Tell nothing before the first scrape: the registry would ask the log."""
        return iter(())

    def collect(self) -> Iterator[PrometheusMetric]:
        """Yield every metric with its samples."""
        yield _gauge(ENGINE_UP, self._engine_answers(), engine=self._engine)
        if self._chain:
            yield _gauge(CHAIN_INTACT, self._chain.intact)
            yield _gauge(CHAIN_VERIFIED_POSITION, self._chain.verified_position)
        try:
            log = self._log.read()
        except DockerMcpError as error:
            if self._needs_log:
                raise
            if self._is_up:
                logger.warning("the metrics of the log cannot be told: %s", error.describe())
            self._is_up = False
            yield _gauge(LOG_UP, False)
            return
        self._is_up = True
        since = log.oldest_unfinished_ms
        yield _gauge(LOG_UP, True)
        yield _gauge(LOG_SIZE, log.size_bytes)
        yield _gauge(PROJECTION_LAG, log.lag_events)
        yield _gauge(OLDEST_UNFINISHED, 0 if since is None else max(0, self._clock() - since) / 1000)
        for family in log.series.families():
            yield _converted(family, log.exemplars if family.metric == COMMAND_DURATION else {})

    def close(self) -> None:
        """Let go of the database."""
        self._log.close()


def _gauge(metric: Metric, value: float, **labels: str) -> PrometheusMetric:
    return _converted(Family(metric, [Sample("", labels, value)]), {})


def _converted(family: Family, exemplars: Exemplars) -> PrometheusMetric:
    metric = family.metric
    is_counter = metric.kind is MetricKind.COUNTER
    made = PrometheusMetric(metric.name.removesuffix("_total") if is_counter else metric.name, metric.help, metric.kind)
    for suffix, labels, value in family.samples:
        found = exemplars.get((labels.get("tool", ""), labels.get("le", "")))
        exemplar = PrometheusExemplar({"trace_id": found.trace_id}, found.seconds, found.at_s) if found else None
        made.add_sample(metric.name + suffix, dict(labels), float(value), exemplar=exemplar)
    return made
