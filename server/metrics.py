"""The metrics of a server, or of a log without one: a part of the composition root."""

from collections.abc import Callable
from math import inf
from typing import Final

from adapters.docker.probe import EngineProbe, engine_name
from adapters.prometheus import Exposition
from adapters.store.background_check import ChainState
from adapters.store.location import Location
from adapters.store.log_reading import LogReader
from domain.ports import Clock
from server.settings import Settings

_FOLD_WITHIN_S: Final = 2.0
"""Prometheus waits for ten seconds, and what is left is folded by the next scrapes."""


def metrics_of(
    settings: Settings,
    clock: Clock,
    ping: Callable[[], object],
    chain: ChainState | None = None,
    *,
    at_once: bool = False,
) -> Exposition:
    """Return the metrics of the log that the settings name; nothing is opened before the first scrape.

    Args:
        settings: the options.
        clock: milliseconds since 1970 UTC.
        ping: raises if the engine does not answer.
        chain: what this process knows of the log's integrity, None if it does not verify the log.
        at_once: for one look at the log: fold all that is new, however long that takes, and raise if that fails.
    """
    location, timeout_s = Location.parse(settings.database_url), settings.DOCKER_MCP_APPEND_TIMEOUT_S
    reader = LogReader(location, timeout_s, inf if at_once else _FOLD_WITHIN_S)
    engine = engine_name(settings.docker_environment)
    return Exposition(reader, clock, engine, EngineProbe(ping).is_up, chain, needs_log=at_once)


def log_metrics(settings: Settings, clock: Clock, *, at_once: bool = False) -> Exposition:
    """Return the metrics of a log that this process does not serve; see :func:`metrics_of`."""
    from adapters.docker.engine import Engine

    engine = Engine(settings.docker_environment, settings.DOCKER_MCP_ENGINE_TIMEOUT_S, 1)
    return metrics_of(settings, clock, engine.ping, at_once=at_once)
