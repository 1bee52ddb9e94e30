"""How fast read models are folded, beside the least that reading the same events costs: SHA-256 and JSON parsing."""

import hashlib
import time
from collections.abc import Callable

import orjson

from adapters.store.beside import Beside
from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.metric_series import MetricSeriesStore
from adapters.store.read_models import check_read_models
from server.bootstrap import new_id, now_ms
from tests.benchmarks.measure import Row, in_turns, median_ms
from tests.contract.events import life

_COMMANDS_IN_AN_APPEND = 100


def folding(location: Location, events: int, rounds: int) -> list[Row]:
    """Checking all read models against the log, catching up after a few events, and reading what is stored."""
    store = SqlEventStore(location, now_ms, new_id(), timeout_s=30)
    for _ in range(events // 4 // _COMMANDS_IN_AN_APPEND):
        store.append([event for _ in range(_COMMANDS_IN_AN_APPEND) for event in life()]).result(60)
    series = MetricSeriesStore(location, 30)
    began = time.perf_counter()
    series.catch_up()
    caught_up = events / (time.perf_counter() - began)
    whole, floor = in_turns([lambda: check_read_models(location, 30), _floor(location)], rounds, 1)
    few, nothing = in_turns([lambda: _catch_up_a_few(store, series), series.catch_up], 20)
    store.close()
    kind = "SQLite" if location.path else "PostgreSQL"
    ratio = median_ms(whole) / median_ms(floor)
    return [
        Row(
            f"fold of all read models, {events} events, {kind}",
            f"{events / median_ms(whole) * 1000:.0f}/s",
            f"SHA-256 and JSON of the same bytes {events / median_ms(floor) * 1000:.0f}/s",
            f"{ratio:.1f}",
            "< 3",
            ratio < 3,
        ),
        Row(
            f"series folded and stored in batches, {kind}",
            f"{caught_up:.0f}/s",
            "",
            "",
            "> 50000/s",
            caught_up > 50_000,
        ),
        Row(
            f"read of all series, {events} events, {kind}",
            f"{median_ms(few):.1f} ms with 4 new events, {median_ms(nothing):.1f} ms with none",
            "",
            "",
            "< 20 ms",
            median_ms(nothing) < 20,
        ),
    ]


def _catch_up_a_few(store: SqlEventStore, series: MetricSeriesStore) -> None:
    store.append(life()).result(60)
    series.catch_up()


def _floor(location: Location) -> Callable[[], None]:
    with Beside(location, 30) as beside:
        texts = [event.data.encode() for batch in beside.batches(0, beside.head()) for event in batch]

    def read() -> None:
        for text in texts:
            hashlib.sha256(text).digest()
            orjson.loads(text)

    return read
