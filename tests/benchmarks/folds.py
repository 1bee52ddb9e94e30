"""How fast read models are folded, beside the least that reading the same events costs: SHA-256 and JSON parsing."""

import hashlib
import time
from collections.abc import Callable
from itertools import islice
from typing import Final

import orjson

from adapters.store.beside import Beside
from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.metric_series import MetricSeriesStore
from adapters.store.read_models import rebuild
from server.bootstrap import new_id, now_ms
from tests.benchmarks.labels import label_of
from tests.benchmarks.measure import Row, at_least, below, in_turns, median_ms, ratio_below, without_collecting
from tests.contract.events import life

_SAMPLE: Final = 200_000
"""Events that the floor is measured on."""


def folding(location: Location, events: int) -> list[Row]:
    """Catching up with a made log that nobody has scraped, a rebuild of all read models, a read of what is stored."""
    series = MetricSeriesStore(location, 60)
    caught_up = events / _seconds(series.catch_up)
    with without_collecting():
        floors = [_floor(location)]
        rebuilt = _seconds(lambda: rebuild(location, 60)) / events
        floors.append(_floor(location))
    store = SqlEventStore(location, now_ms, new_id(), timeout_s=30)
    few, nothing = map(median_ms, in_turns([lambda: _catch_up_a_few(store, series), series.catch_up], 20))
    store.close()
    label = label_of(location, events)
    return [
        Row(
            what=f"rebuild of all read models, {label}",
            ours=rebuilt * 1e6,
            unit="µs an event",
            floor=sum(floors) / 2 * 1e6,
            floor_is="SHA-256 and JSON parsing",
            aim=ratio_below(3),
        ),
        Row(what=f"series folded and stored, {label}", ours=caught_up, unit="/s", aim=at_least(50_000)),
        Row(
            what=f"read of all series, {label}",
            ours=nothing,
            unit="ms",
            aim=below(20),
            note=f"{few:.1f} ms with 4 new events",
        ),
    ]


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _catch_up_a_few(store: SqlEventStore, series: MetricSeriesStore) -> None:
    store.append(life()).result(60)
    series.catch_up()


def _floor(location: Location) -> float:
    """Return the seconds that it takes to digest and parse an event that was read before."""
    with Beside(location, 60) as beside:
        events = islice((each for batch in beside.batches(0, beside.head()) for each in batch), _SAMPLE)
        texts = [event.data.encode() for event in events]
    began = time.perf_counter()
    for text in texts:
        hashlib.sha256(text).digest()
        orjson.loads(text)
    return (time.perf_counter() - began) / len(texts)
