"""What a verification takes: hashes and links on one core, and all of it, beside hashing and parsing the same bytes."""

import gc
import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Final

import orjson

from adapters.store.location import Location
from adapters.store.log_check import check_log
from adapters.store.snapshot import open_snapshot
from domain.chain import ChainCheck
from domain.events import RecordedEvent
from tests.benchmarks.made_log import generate
from tests.benchmarks.measure import Row

_ROUNDS: Final = 3


def verification(location: Location, events: int) -> list[Row]:
    """Read and check a log of so many events; processor time of this process, the best of three rounds."""
    generate(location, events)
    kind = "SQLite" if location.path else "PostgreSQL"
    gc.disable()  # as the command does
    floor = _rate(location, events, _hash_and_parse)
    chain = _rate(location, events, _chain())
    began = time.perf_counter()
    with open_snapshot(location, 30) as snapshot:
        assert check_log(snapshot, {}).intact
    whole = events / (time.perf_counter() - began)
    gc.enable()
    return [
        Row(
            f"verify the chain of {events:,} events, {kind}",
            f"{chain:,.0f}/s a core",
            f"read, SHA-256, parse JSON {floor:,.0f}/s",
            f"{floor / chain:.1f}",
            "> 90,000/s",
            chain > 90_000,
        ),
        Row(f"verify all, {kind}", f"{whole:,.0f}/s by the clock", "", "", "", True),
    ]


def _rate(location: Location, events: int, work: Callable[[Sequence[RecordedEvent]], object]) -> float:
    taken = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        with open_snapshot(location, 30) as snapshot:
            for batch in snapshot.batches():
                work(batch)
        taken.append(time.process_time() - began)
    return events / min(taken)


def _hash_and_parse(batch: Sequence[RecordedEvent]) -> None:
    for event in batch:
        hashlib.sha256(event.data.encode()).hexdigest()
        orjson.loads(event.data)


def _chain() -> Callable[[Sequence[RecordedEvent]], object]:
    check = ChainCheck()

    def work(batch: Sequence[RecordedEvent]) -> None:
        nonlocal check
        if batch[0].position == 1:
            check = ChainCheck()
        assert not list(check.faults(batch))

    return work
