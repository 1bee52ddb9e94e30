"""How fast the past is opened: the fold of the world, any moment of a long log, and the page of 10,000 events."""

import time
from functools import partial

import orjson

from adapters.store.beside import Beside
from adapters.store.location import Location
from adapters.store.snapshot import hash_at, open_snapshot
from adapters.store.world_log import CHANGES_SQL, EVERY, WorldLog, saver
from domain.catalogue.replay import ReplayRange
from domain.replay.entry import Wanted
from server.cli.replay_page import page
from server.cli.stretch import stretch_of
from tests.benchmarks.labels import label_of
from tests.benchmarks.measure import Row, below, in_turns, median_ms, ratio_below, without_collecting
from tests.contract.rows import execute

_PAGE_EVENTS = 10_000


def replay(location: Location, rounds: int) -> list[Row]:
    """A made log: folded from its first event, opened at moments that lie as far from a snapshot as any, and shown."""
    if location.is_sqlite:
        execute(location, "PRAGMA journal_mode = WAL")  # as every server sets it
    with open_snapshot(location, 60) as snapshot, without_collecting():
        head = WorldLog(snapshot).head()
        began = time.perf_counter()
        WorldLog(snapshot, saver(location, 60)).at(head, from_start=True)
        folded = (time.perf_counter() - began) / head
        floor = _floor(location, head)
    moments = [min(head, number * EVERY - 1) for number in range(1, head // EVERY + 2)]
    opened = [median_ms(seconds) for seconds in in_turns([partial(_open, location, at) for at in moments], 1, 0)]
    label = label_of(location, head)
    rows = [
        Row(
            what=f"replay: fold of the world, {label}",
            ours=folded * 1e6,
            unit="µs an event",
            floor=floor * 1e6,
            floor_is="reading and parsing what changes something",
            aim=ratio_below(3),
        ),
        Row(
            what=f"replay: the slowest moment opened, {label}",
            ours=max(opened),
            unit="ms",
            aim=below(1000),
            note=f"median {sorted(opened)[len(opened) // 2]:.0f} ms, just before a snapshot",
        ),
    ]
    if head >= _PAGE_EVENTS:
        rows.append(_page(location, head, rounds, label))
    return rows


def _open(location: Location, position: int) -> None:
    with open_snapshot(location, 60) as snapshot:
        WorldLog(snapshot).at(position)


def _page(location: Location, head: int, rounds: int, label: str) -> Row:
    written = 0

    def write() -> None:
        nonlocal written
        with open_snapshot(location, 60) as snapshot:
            after = head - _PAGE_EVENTS
            found = ReplayRange(after=after, last=head, now_ms=1)
            stretch = stretch_of(WorldLog(snapshot), found, Wanted(), hash_at(snapshot, after))
            written = len(page(stretch, Wanted()))

    [seconds] = in_turns([write], rounds, 1)
    return Row(
        what=f"replay: page of {_PAGE_EVENTS:,} events, {label}",
        ours=written / 1e6,
        unit="MB",
        aim=below(2),
        note=f"made in {median_ms(seconds):.0f} ms",
    )


def _floor(location: Location, head: int) -> float:
    """Return seconds an event of a loop that only reads and parses the rows that a fold reads."""
    began = time.perf_counter()
    with Beside(location, 60) as beside:
        for after in range(0, head, 10_000):
            sql = f"SELECT data FROM event WHERE position > ? AND position <= ? AND {CHANGES_SQL} ORDER BY position"
            for (data,) in beside.query(sql, after, after + 10_000):
                orjson.loads(data)
    return (time.perf_counter() - began) / head
