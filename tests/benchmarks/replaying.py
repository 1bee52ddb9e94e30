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
from tests.benchmarks.measure import Row, in_turns, median_ms
from tests.contract.rows import execute

_PAGE_EVENTS = 10_000


def replay(location: Location, rounds: int) -> list[Row]:
    """A made log: folded from its first event, opened at moments that lie as far from a snapshot as any, and shown."""
    if location.is_sqlite:
        execute(location, "PRAGMA journal_mode = WAL")  # as every server sets it
    kind = "SQLite" if location.is_sqlite else "PostgreSQL"
    with open_snapshot(location, 60) as snapshot:
        head = WorldLog(snapshot).head()
        began = time.perf_counter()
        WorldLog(snapshot, saver(location, 60)).at(head, from_start=True)
        folded = head / (time.perf_counter() - began)
        floor = _floor(location, head)
    moments = [min(head, number * EVERY - 1) for number in range(1, head // EVERY + 2)]
    opened = [median_ms(seconds) for seconds in in_turns([partial(_open, location, at) for at in moments], 1, 0)]
    label = f"{head / 1e6:.1f} M events, {kind}"
    rows = [
        Row(
            f"fold of the world, {label}",
            f"{folded:.0f}/s",
            f"reading and parsing what changes something {floor:.0f}/s",
            f"{floor / folded:.1f}",
            "< 3",
            floor / folded < 3,
        ),
        Row(
            f"a moment opened, just before a snapshot, {label}",
            f"{sorted(opened)[len(opened) // 2]:.0f} ms, at most {max(opened):.0f} ms",
            "",
            "",
            "< 1000 ms",
            max(opened) < 1000,
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
        f"page of {_PAGE_EVENTS} events, {label}",
        f"{median_ms(seconds):.0f} ms, {written / 1e6:.2f} MB",
        "",
        "",
        "< 2 MB",
        written < 2_000_000,
    )


def _floor(location: Location, head: int) -> float:
    """Return events a second of a loop that only reads and parses the rows that a fold reads."""
    began = time.perf_counter()
    with Beside(location, 60) as beside:
        for after in range(0, head, 10_000):
            sql = f"SELECT data FROM event WHERE position > ? AND position <= ? AND {CHANGES_SQL} ORDER BY position"
            for (data,) in beside.query(sql, after, after + 10_000):
                orjson.loads(data)
    return head / (time.perf_counter() - began)
