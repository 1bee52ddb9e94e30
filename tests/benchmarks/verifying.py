"""What a verification takes: hashes and links on one core, and all of it, beside hashing and parsing the same bytes."""

import hashlib
import time
from collections.abc import Callable, Sequence

import orjson

from adapters.store.location import Location
from adapters.store.log_check import check_log
from adapters.store.snapshot import open_snapshot
from domain.chain import ChainCheck
from domain.events import RecordedEvent
from tests.benchmarks.labels import label_of
from tests.benchmarks.measure import Row, at_least, without_collecting


def verification(location: Location, events: int, rounds: int) -> list[Row]:
    """Read and check a made log of so many events; processor time of this process, the best of the rounds."""
    with without_collecting():
        works = [_hash_and_parse, _chain()]
        floor, chain = (events / min(taken) for taken in zip(*_in_turns(location, works, rounds), strict=True))
        began = time.perf_counter()
        with open_snapshot(location, 30) as snapshot:
            assert check_log(snapshot, {}).intact
        whole = events / (time.perf_counter() - began)
    label = label_of(location, events)
    return [
        Row(
            what=f"verify the chain, {label}",
            ours=chain,
            unit="/s a core",
            floor=floor,
            floor_is="reading, SHA-256 and JSON parsing",
            aim=at_least(90_000),
        ),
        Row(what=f"verify all, {label}", ours=whole, unit="/s", note="by the clock"),
    ]


def _in_turns(
    location: Location, works: Sequence[Callable[[Sequence[RecordedEvent]], object]], rounds: int
) -> list[list[float]]:
    return [[_seconds(location, work) for work in works] for _ in range(rounds)]


def _seconds(location: Location, work: Callable[[Sequence[RecordedEvent]], object]) -> float:
    began = time.process_time()
    with open_snapshot(location, 30) as snapshot:
        for batch in snapshot.batches():
            work(batch)
    return time.process_time() - began


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
