"""The metrics, each declared once: dashboards, rules and the endpoint are held against these names and labels."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class MetricKind(StrEnum):
    """The type of a metric as Prometheus calls it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: as Prometheus stores it; a counter's ends in ``_total``.
        kind: its type.
        help: one line for people.
        labels: names of its labels, in order.
    """

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()


COMMANDS: Final = Metric(
    "docker_mcp_commands_total",
    MetricKind.COUNTER,
    "Commands that reached a final status. `unknown` is none: such a command is still unfinished.",
    ("tool", "outcome", "role"),
)
COMMAND_DURATION: Final = Metric(
    "docker_mcp_command_duration_seconds",
    MetricKind.HISTOGRAM,
    "How long commands took to carry out. Commands settled by observation were not timed and are not in it.",
    ("tool",),
)
DENIALS: Final = Metric(
    "docker_mcp_denials_total", MetricKind.COUNTER, "Commands that a rule denied.", ("tool", "rule")
)
AUTHENTICATIONS: Final = Metric(
    "docker_mcp_authentications_total",
    MetricKind.COUNTER,
    "Recorded authentications: one for each user, key and source of a process, and each that failed.",
    ("outcome",),
)
EVENTS: Final = Metric("docker_mcp_events_total", MetricKind.COUNTER, "Events in the log.", ("type",))
ENGINE_EVENTS: Final = Metric(
    "docker_mcp_engine_events_total",
    MetricKind.COUNTER,
    "Events of the Docker Engine, whoever caused them; those of a storm, which were only counted, included.",
    ("kind", "action"),
)
LOG_POSITION: Final = Metric(
    "docker_mcp_log_position", MetricKind.GAUGE, "The position of the newest event that is counted here."
)
UNFINISHED: Final = Metric(
    "docker_mcp_commands_unfinished",
    MetricKind.GAUGE,
    "Commands without a final status: waiting, running, or with an outcome that is unknown.",
)

FOLDED: Final = (COMMANDS, COMMAND_DURATION, DENIALS, AUTHENTICATIONS, EVENTS, ENGINE_EVENTS, LOG_POSITION, UNFINISHED)
"""The metrics that are folds of the log: every process on one log tells the same values."""

ENGINE_UP: Final = Metric(
    "docker_mcp_engine_up",
    MetricKind.GAUGE,
    "1 if the Docker Engine answers, 0 if not. `local` is an engine behind a socket of this machine.",
    ("engine",),
)
LOG_UP: Final = Metric(
    "docker_mcp_log_up",
    MetricKind.GAUGE,
    "1 if the log could be read for this scrape, 0 if not: then the metrics that come from it are missing.",
)
LOG_SIZE: Final = Metric("docker_mcp_log_size_bytes", MetricKind.GAUGE, "Space that the log takes in its database.")
OLDEST_UNFINISHED: Final = Metric(
    "docker_mcp_oldest_unfinished_seconds",
    MetricKind.GAUGE,
    "How long ago the oldest command without a final status was received; 0 if there is none.",
)
PROJECTION_LAG: Final = Metric(
    "docker_mcp_projection_lag_events",
    MetricKind.GAUGE,
    "Events of the log that the metrics of this scrape do not count yet.",
)
CHAIN_INTACT: Final = Metric(
    "docker_mcp_chain_intact", MetricKind.GAUGE, "0 once this server has found tampering in the log, else 1."
)
CHAIN_VERIFIED_POSITION: Final = Metric(
    "docker_mcp_chain_verified_position",
    MetricKind.GAUGE,
    "The position up to which this server has verified the log.",
)

LIVE: Final = (
    ENGINE_UP,
    LOG_UP,
    LOG_SIZE,
    OLDEST_UNFINISHED,
    PROJECTION_LAG,
    CHAIN_INTACT,
    CHAIN_VERIFIED_POSITION,
)
"""Gauges of the moment, no folds: what the process that is scraped sees. Those of the chain come from servers only."""

DURATION_BUCKETS_US: Final = (
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
)
"""Upper bounds of the buckets of a duration, in microseconds; what is beyond the last is in ``+Inf`` alone."""
