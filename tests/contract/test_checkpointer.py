"""The head of a log is signed when enough is new, once, by whichever server comes first."""

from collections.abc import Callable
from typing import Any

import pytest

from adapters.checkpoint_copies import Copy
from adapters.store.checkpointer import Checkpointer
from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.snapshot import open_snapshot
from domain.checkpoints import is_signed, read_checkpoint
from domain.events import CheckpointSigned
from server.bootstrap import new_id, now_ms
from tests.contract.events import life
from tests.contract.tampering import events
from tests.contract.test_verification import SIGNING_KEY, key_of

pytestmark = pytest.mark.promise("P4")

HOUR_MS = 3_600_000


class Server:
    """What signs on one server; its clock runs ahead by ``ahead_ms``."""

    def __init__(self, location: Location, store: SqlEventStore, copies: list[Copy] | None = None) -> None:
        assert SIGNING_KEY
        self.location = location
        self.ahead_ms = 61_000
        self._checkpointer = Checkpointer(
            SIGNING_KEY,
            store.append,
            lambda: now_ms() + self.ahead_ms,
            new_id,
            events=10,
            interval_s=60,
            copies=copies or [],
        )

    def sign_if_due(self) -> CheckpointSigned | None:
        with open_snapshot(self.location, 5) as snapshot:
            return self._checkpointer.sign_if_due(snapshot)


@pytest.fixture
def fill(store: SqlEventStore) -> Callable[[], Any]:
    return lambda: store.append(life()).result(30)


def test_the_checkpoint_is_recorded_and_its_copy_is_the_same_line(
    location: Location, store: SqlEventStore, fill: Callable[[], Any]
) -> None:
    copies: list[str] = []
    fill()
    checkpoint = Server(location, store, [copies.append]).sign_if_due()
    assert checkpoint
    *_, head, record = events(location)
    assert (checkpoint.position, checkpoint.head) == (head.position, head.event_hash)
    assert checkpoint.log == events(location)[0].event_hash
    assert (record.type, record.stream, record.principal) == ("checkpoint.signed", "checkpoint", "system")
    assert copies == [record.data]
    assert is_signed(read_checkpoint(record.data), key_of(SIGNING_KEY)) is True


def test_an_empty_or_quiet_log_gets_none_however_long_it_waits(
    location: Location, store: SqlEventStore, fill: Callable[[], Any]
) -> None:
    server = Server(location, store)
    assert server.sign_if_due() is None
    fill()
    assert server.sign_if_due()
    server.ahead_ms = HOUR_MS
    assert server.sign_if_due() is None


def test_it_is_due_after_so_many_records_or_so_long(
    location: Location, store: SqlEventStore, fill: Callable[[], Any]
) -> None:
    server = Server(location, store)
    fill()
    server.ahead_ms = 0
    assert server.sign_if_due() is None, "the log is younger than the interval"
    server.ahead_ms = 61_000
    assert server.sign_if_due()
    server.ahead_ms = 0
    fill()
    assert server.sign_if_due() is None
    for _ in range(2):
        fill()
    assert server.sign_if_due()
    fill()
    server.ahead_ms = 61_000
    assert server.sign_if_due()


def test_two_servers_do_not_sign_the_same_head(
    location: Location, store: SqlEventStore, fill: Callable[[], Any]
) -> None:
    fill()
    one, other = Server(location, store), Server(location, store)
    with open_snapshot(location, 5) as before:
        assert one.sign_if_due()
        assert other.sign_if_due() is None
        assert other._checkpointer.sign_if_due(before) is None  # it looked before the first was done
    assert [event.type for event in events(location)].count("checkpoint.signed") == 1


def test_a_copy_that_cannot_be_kept_does_not_stop_the_others(
    location: Location, store: SqlEventStore, fill: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    def full(_line: str) -> None:
        raise OSError(28, "No space left on device")

    copies: list[str] = []
    fill()
    assert Server(location, store, [full, copies.append]).sign_if_due()
    assert len(copies) == 1
    assert "could not be kept" in caplog.text
