"""Whoever waits for an outcome hears of it soon, whichever process records it, and also when nobody tells him."""

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from adapters.store.audit_trail import SqlAuditTrail
from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from domain.catalogue import CATALOGUE
from domain.catalogue.audit import GetCommand
from domain.catalogue.tool import Run
from server.bootstrap import new_id, now_ms
from tests.contract.events import AUTHORIZED, RECEIVED, STARTED, SUCCEEDED, life, stream
from tests.waiting import BUSY_S, wait_for

WAIT_S = 30
"""What a machine that others load as well may add."""


@pytest.fixture
def other(location: Location, store: SqlEventStore) -> Iterator[SqlEventStore]:
    """Another process on the same log, as far as the log can tell."""
    opened = SqlEventStore(location, now_ms, new_id())
    opened.check()
    yield opened
    opened.close()


class Waiting:
    """A caller that waits on one replica for a command that another one carries out."""

    def __init__(self, waits: SqlEventStore, works: SqlEventStore) -> None:
        self._works = works
        self._command = stream()
        works.append(life(RECEIVED, AUTHORIZED, STARTED, of=self._command)).result(WAIT_S)
        self._trail = SqlAuditTrail(waits, CATALOGUE.with_effect)
        self._heard = 0.0
        self.status = ""
        self._thread = threading.Thread(target=self._wait)
        self._thread.start()
        time.sleep(0.3)

    def heard_after_s(self) -> float:
        """Record the outcome, and return how long after that the waiting caller had it."""
        self._works.append([self._command.add(SUCCEEDED)]).result(WAIT_S)
        recorded = time.monotonic()
        self._thread.join(WAIT_S)
        return self._heard - recorded

    def _wait(self) -> None:
        command = GetCommand(command_id=self._command.context.command_id, wait=WAIT_S)
        self.status = self._trail.command(command, Run(command_id=new_id(), principal="alice")).status
        self._heard = time.monotonic()


def test_an_outcome_that_another_process_records_is_heard_by_a_sign(
    store: SqlEventStore, other: SqlEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.store.commit_watch._LONGEST_S", WAIT_S)
    waiting = Waiting(store, other)
    assert waiting.heard_after_s() < BUSY_S < WAIT_S
    assert waiting.status == "success"


@pytest.mark.postgres
def test_an_outcome_is_heard_soon_when_the_connection_that_tells_of_it_is_cut(
    postgres_location: Location,
) -> None:
    stores = [SqlEventStore(postgres_location, now_ms, new_id()) for _ in range(2)]
    for each in stores:
        each.check()
    waiting = Waiting(*stores)
    with psycopg.connect(postgres_location.url, autocommit=True) as connection:
        cut = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        ).fetchall()
    assert cut == [(True,)]
    assert waiting.heard_after_s() < BUSY_S < WAIT_S
    assert waiting.status == "success"
    for each in stores:
        each.close()


def test_nobody_listens_when_nobody_waits(store: SqlEventStore, other: SqlEventStore) -> None:
    waiting = Waiting(store, other)
    assert "log-watch" in [thread.name for thread in threading.enumerate()]
    waiting.heard_after_s()
    wait_for(lambda: "log-watch" not in [thread.name for thread in threading.enumerate()], what="its end")
