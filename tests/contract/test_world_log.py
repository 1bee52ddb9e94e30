"""The world at any position: from a snapshot or from the first event, on both databases, always the same."""

from collections.abc import Sequence

import pytest

from adapters.store import world_check, world_log
from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.snapshot import open_snapshot
from adapters.store.verification import verify_log
from adapters.store.world_check import check_world, rebuild_world
from adapters.store.world_log import WorldLog, keep_snapshots, saver
from domain.chain import ChainCheck
from domain.replay.fold import fold
from domain.replay.world import FORM, World
from tests.benchmarks.made_log import generate
from tests.contract.rows import execute, rows

pytestmark = pytest.mark.promise("P8")

EVENTS = 1_000
STEP = 100
TIMEOUT_S = 20.0


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world_log, "EVERY", STEP)
    monkeypatch.setattr(world_check, "EVERY", STEP)


@pytest.fixture
def made(location: Location) -> Location:
    """A log with all that a busy server leaves."""
    generate(location, EVENTS)
    if location.is_sqlite:
        execute(location, "PRAGMA journal_mode = WAL")  # as every server sets it
    return location


def at(location: Location, position: int, *, save: bool = False, only_of: str | None = None) -> World:
    with open_snapshot(location, TIMEOUT_S) as snapshot:
        keep = saver(location, TIMEOUT_S) if save else lambda _row: None
        return WorldLog(snapshot, keep, only_of=only_of).at(position)


def plainly(location: Location, last: int, principal: str | None = None) -> World:
    """The fold of every single event, without any shortcut."""
    world = World()
    with open_snapshot(location, TIMEOUT_S) as snapshot:
        for batch in snapshot.batches():
            for event in batch:
                if event.position <= last and principal in (None, event.principal):
                    fold(world, event)
        world.position, world.at_ms = last, WorldLog(snapshot).time_at(last)
    return world


def stored(location: Location) -> Sequence[int]:
    return [row[0] for row in rows(location, "SELECT position FROM world_snapshot ORDER BY position")]


def test_every_way_to_a_moment_leads_to_the_same_world(made: Location) -> None:
    for position in (0, 1, 99, 100, 101, 555, EVENTS):
        expected = plainly(made, position).snapshot()
        assert at(made, position).snapshot() == expected
        assert at(made, position, save=True).snapshot() == expected
        assert at(made, position).snapshot() == expected, "from the snapshots that were just made"
    assert stored(made) == list(range(STEP, EVENTS + 1, STEP))
    assert at(made, EVENTS).objects


def test_one_principal_alone_gets_a_world_of_its_own(made: Location) -> None:
    at(made, EVENTS, save=True)
    [(principal,)] = rows(made, "SELECT principal FROM event WHERE tool = 'create-container' ORDER BY 1 LIMIT 1")
    own = at(made, EVENTS, only_of=principal)
    assert own.snapshot() == plainly(made, EVENTS, principal).snapshot()
    assert own.objects
    assert len(own.objects) < len(at(made, EVENTS).objects)


def test_a_server_makes_the_snapshots_that_are_missing(made: Location) -> None:
    at(made, 350, save=True)
    assert keep_snapshots(made, TIMEOUT_S) == 5, "not all at once"
    assert keep_snapshots(made, TIMEOUT_S) == 2
    assert stored(made) == list(range(STEP, EVENTS + 1, STEP))
    assert keep_snapshots(made, TIMEOUT_S) == 0


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE world_snapshot SET event_hash = 'another' WHERE position >= 500",
        "UPDATE world_snapshot SET state = '{}' WHERE position >= 500",
        "UPDATE world_snapshot SET form = 0 WHERE position >= 500",
        "DELETE FROM world_snapshot",
    ],
)
def test_a_snapshot_that_is_not_of_this_log_or_form_is_not_used(made: Location, harm: str) -> None:
    at(made, EVENTS, save=True)
    execute(made, harm)
    assert at(made, EVENTS).snapshot() == plainly(made, EVENTS).snapshot()


def test_a_snapshot_that_was_tampered_with_is_found_and_made_anew(made: Location) -> None:
    at(made, EVENTS, save=True)
    assert check_world(made, TIMEOUT_S) == []
    assert not any("world" in finding.part for finding in verify_log(made, TIMEOUT_S, {}).findings)

    execute(made, "UPDATE world_snapshot SET state = replace(state, 'running', 'paused') WHERE position = 300")
    execute(made, f"INSERT INTO world_snapshot (position, form, event_hash, state) VALUES (5000, {FORM}, 'x', '{{}}')")

    found = [difference.describe() for difference in check_world(made, TIMEOUT_S)]
    assert found == [
        "world_snapshot at position 300: holds another world, the log yields its own",
        "world_snapshot at position 5000: holds a world, the log yields nothing",
    ]
    told = [finding.problem for finding in verify_log(made, TIMEOUT_S, {}).findings if "world" in finding.part]
    assert told == [
        "at position 300 is not what the log yields",
        "holds position 5000, where the log has no record",
    ]
    assert [each.entry for each in rebuild_world(made, TIMEOUT_S)] == ["at position 300", "at position 5000"]
    assert check_world(made, TIMEOUT_S) == []
    assert stored(made) == list(range(STEP, EVENTS + 1, STEP))


def test_a_moment_is_found_by_its_time(made: Location) -> None:
    with open_snapshot(made, TIMEOUT_S) as snapshot:
        log = WorldLog(snapshot)
        for position in (1, 500, EVENTS):
            found = log.position_at(log.time_at(position))
            assert found >= position
            assert log.time_at(found) == log.time_at(position)
            assert log.time_at(found + 1) != log.time_at(position)
        assert log.position_at(0) == 0
        assert log.position_at(log.time_at(EVENTS) + 1) == EVENTS


def test_a_stretch_of_events_comes_whole_and_in_order(made: Location) -> None:
    with open_snapshot(made, TIMEOUT_S) as snapshot:
        log = WorldLog(snapshot)
        events = [event for batch in log.events(0, EVENTS) for event in batch]
        assert list(ChainCheck().faults(events)) == []
        assert [event.position for batch in log.events(310, 312) for event in batch] == [311, 312]


def test_an_empty_log_holds_an_empty_world(store: SqlEventStore) -> None:
    world = at(store.location, 0)
    assert (world.objects, world.position) == ({}, 0)
    assert keep_snapshots(store.location, TIMEOUT_S) == 0
