"""A server checks what is new in its log, all of it once in a while, and keeps two values that tell the result."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from adapters.store.background_check import BackgroundCheck, ChainState
from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.snapshot import Rows, Snapshot, open_snapshot
from domain.events import RecordedEvent
from domain.findings import Finding
from tests.contract.events import AUTHORIZED, RECEIVED, life
from tests.contract.rows import execute
from tests.contract.tampering import tamper
from tests.contract.test_verification import SIGNING_KEY, key_of, sign

pytestmark = pytest.mark.promise("P4")


@dataclass
class Counting:
    """A snapshot that counts the records it gives."""

    inner: Snapshot
    given: list[int] = field(default_factory=list)

    @property
    def is_sqlite(self) -> bool:
        return self.inner.is_sqlite

    def query(self, sql: str, *values: object) -> Rows:
        return self.inner.query(sql, *values)

    def batches(self, after: int | None = None) -> Iterator[Sequence[RecordedEvent]]:
        for batch in self.inner.batches(after):
            self.given += [event.position for event in batch]
            yield batch

    def renew(self) -> None:
        self.inner.renew()


class Watched:
    """A background check and what it told."""

    def __init__(self, location: Location, whole_every_s: float = 1e9, wait: Callable[[float], bool] | None = None):
        self.location = location
        self.state = ChainState()
        self.told: list[Finding] = []
        self.check = BackgroundCheck(
            self.state,
            lambda: key_of(SIGNING_KEY),
            self.told.append,
            wait or (lambda _seconds: False),
            whole_every_s=whole_every_s,
            budget_s=60,
        )

    def round(self) -> list[int]:
        """Make one round; return the positions that were read."""
        with open_snapshot(self.location, 5) as snapshot:
            counting = Counting(snapshot)
            self.check.round(counting)
        return counting.given


@pytest.fixture
def fill(store: SqlEventStore) -> Callable[[], Any]:
    return lambda: store.append(life()).result(30)


def test_each_record_is_read_once(location: Location, store: SqlEventStore, fill: Callable[[], Any]) -> None:
    watched = Watched(location)
    assert watched.round() == []
    fill()
    assert watched.round() == [1, 2, 3, 4]
    assert watched.round() == []
    fill()
    assert watched.round() == [5, 6, 7, 8]
    assert (watched.state.intact, watched.state.verified_position, watched.told) == (True, 8, [])


def test_it_starts_at_the_last_signed_checkpoint(
    location: Location, store: SqlEventStore, fill: Callable[[], Any]
) -> None:
    fill()
    sign(location, store)
    fill()
    watched = Watched(location)
    assert watched.round() == [5, 6, 7, 8, 9]
    assert (watched.state.intact, watched.state.verified_position) == (True, 9)


def test_a_changed_record_is_told_once(location: Location, store: SqlEventStore, fill: Callable[[], Any]) -> None:
    fill()
    watched = Watched(location)
    watched.round()
    fill()
    tamper(location, "UPDATE event SET principal = 'mallory' WHERE position = 6")
    watched.round()
    fill()
    watched.round()
    assert (watched.state.intact, watched.state.verified_position) == (False, 12)
    assert [(finding.position, finding.problem) for finding in watched.told] == [
        (6, "does not match its hash: the record was changed")
    ]
    assert watched.state.problem == "record 6: does not match its hash: the record was changed"


def test_a_tail_that_is_cut_while_the_server_runs_is_found(
    location: Location, store: SqlEventStore, fill: Callable[[], Any]
) -> None:
    fill()
    fill()
    watched = Watched(location)
    watched.round()
    tamper(location, "DELETE FROM event WHERE position > 4")
    watched.round()
    assert not watched.state.intact
    assert watched.told[0].problem == "is gone or another than the one verified before"


def test_an_old_record_is_found_when_the_whole_log_is_due(
    location: Location, store: SqlEventStore, fill: Callable[[], Any]
) -> None:
    fill()
    sign(location, store)
    tamper(location, "UPDATE event SET principal = 'mallory' WHERE position = 2")
    watched = Watched(location, whole_every_s=0)
    assert watched.round() == [5, 1, 2, 3, 4, 5]
    assert watched.told[0].position == 2


def test_guards_and_open_commands_are_looked_at_too(
    location: Location, store: SqlEventStore, fill: Callable[[], Any]
) -> None:
    fill()
    execute(location, "INSERT INTO open_command VALUES ('x', 3, NULL, 'someone')")
    watched = Watched(location)
    watched.round()
    assert watched.told[0].part == "read model open_command"
    execute(location, "DELETE FROM open_command")
    execute(location, "DROP TRIGGER event_chain" + ("" if location.path else " ON event"))
    again = Watched(location)
    again.round()
    assert again.told[0].part == "guards"


@pytest.mark.parametrize("whole", [False, True])
def test_an_open_command_that_is_no_longer_listed_is_found(
    location: Location, store: SqlEventStore, fill: Callable[[], Any], whole: bool
) -> None:
    store.append(life(RECEIVED, AUTHORIZED)).result(30)
    if whole:  # it began before what a server checks first
        sign(location, store)
    fill()
    watched = Watched(location, whole_every_s=0 if whole else 1e9)
    watched.round()
    assert watched.told == []
    execute(location, "DELETE FROM open_command")
    fill()
    watched.round()
    assert [finding.part for finding in watched.told] == ["read model open_command"]
    assert "lacks command" in watched.told[0].problem


def test_it_takes_its_time(location: Location, store: SqlEventStore, fill: Callable[[], Any]) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return False

    for _ in range(3):
        fill()
    Watched(location, wait=wait).round()
    assert sum(waits) == pytest.approx(12 / 2000)
