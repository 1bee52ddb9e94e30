"""The event store against a model in memory: random steps of several writers, with closings and broken connections."""

import tempfile
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from domain.chain import verify
from domain.errors import ConcurrentAppendError, LogUnavailableError
from domain.events import Event, NewEvent, RecordedEvent
from domain.lifecycle import FINAL
from server.bootstrap import new_id, now_ms
from tests.conftest import PostgresServer
from tests.contract.events import AUTHORIZED, RECEIVED, STARTED, SUCCEEDED, UNKNOWN, life, stream

WAIT_S = 30
WRITERS = st.integers(0, 1)
LIVES: tuple[tuple[Event, ...], ...] = (
    (RECEIVED,),
    (RECEIVED, AUTHORIZED),
    (RECEIVED, AUTHORIZED, STARTED),
    (RECEIVED, AUTHORIZED, STARTED, UNKNOWN),
    (RECEIVED, AUTHORIZED, STARTED, SUCCEEDED),
)
KEYS = st.sampled_from(["k1", "k2"])

Recorded = tuple[RecordedEvent, ...]


class LogMachine(RuleBasedStateMachine):
    """``events`` is the whole log as the model has it."""

    location: Location

    @initialize()
    def open(self) -> None:
        self.location = self.new_location()
        self.stores = [self._opened(), self._opened()]
        self.events: list[RecordedEvent] = []
        self.keys: dict[str, str] = {}

    def new_location(self) -> Location:
        raise NotImplementedError

    def teardown(self) -> None:
        for store in getattr(self, "stores", ()):
            store.close()

    # --- steps ------------------------------------------------------------------------------------------------

    @rule(writer=WRITERS, events=st.sampled_from(LIVES))
    def append_a_new_command(self, writer: int, events: tuple[Event, ...]) -> None:
        self._appended(life(*events), self.stores[writer])

    @rule(writer=WRITERS, count=st.integers(1, 3))
    def append_where_nobody_decides_about_versions(self, writer: int, count: int) -> None:
        event = life(RECEIVED)[0]._replace(stream="server/x", stream_version=None, tool=None)
        self._appended([event._replace(event_id=new_id()) for _ in range(count)], self.stores[writer])

    @precondition(lambda self: self._open())
    @rule(writer=WRITERS, data=st.data())
    def go_on_with_an_open_command(self, writer: int, data: st.DataObject) -> None:
        self._appended([self._following(data)], self.stores[writer])

    @precondition(lambda self: self._open())
    @rule(data=st.data())
    def go_on_with_it_twice_at_once(self, data: st.DataObject) -> None:
        first = self._following(data)
        rivals = [store.append([first._replace(event_id=new_id())]) for store in self.stores]
        assert sorted(self._outcome(rival) for rival in rivals) == ["conflict", "recorded"]

    @precondition(lambda self: self.events)
    @rule(writer=WRITERS, data=st.data())
    def append_at_a_version_that_is_taken_or_too_far(self, writer: int, data: st.DataObject) -> None:
        taken = data.draw(st.sampled_from(self.events))
        newest = max(event.stream_version for event in self.events if event.stream == taken.stream)
        version = data.draw(st.integers(1, newest + 3).filter(lambda version: version != newest + 1))
        event = life(RECEIVED)[0]._replace(stream=taken.stream, stream_version=version)
        assert self._outcome(self.stores[writer].append([*life(), event])) == "conflict"

    @rule(writer=WRITERS, key=KEYS)
    def claim_an_idempotency_key(self, writer: int, key: str) -> None:
        received = RECEIVED.model_copy(update={"idempotency_key": key})
        claim = life(received, AUTHORIZED, STARTED)
        expected = "conflict" if key in self.keys else "recorded"
        assert self._outcome(self.stores[writer].append(claim)) == expected
        self.keys.setdefault(key, claim[0].stream)

    @rule(lives=st.lists(st.sampled_from(LIVES), min_size=2, max_size=6))
    def append_at_the_same_time(self, lives: list[tuple[Event, ...]]) -> None:
        futures = [self.stores[number % 2].append(life(*events)) for number, events in enumerate(lives)]
        assert [self._outcome(future) for future in futures] == ["recorded"] * len(lives)

    @rule(writer=WRITERS)
    def close_and_open_again(self, writer: int) -> None:
        self.stores[writer].close()
        self.stores[writer] = self._opened()

    @rule(writer=WRITERS, events=st.sampled_from(LIVES))
    def append_while_connections_break(self, writer: int, events: tuple[Event, ...]) -> None:
        new = life(*events)
        outcome = ""
        while outcome != "recorded":  # what was refused is there wholly or not at all, and can be sent again
            future = self.stores[writer].append(new)
            self.break_connections()
            outcome = self._outcome(future)
            there = self._patiently(self.stores[1 - writer].read_stream, new[0].stream)
            assert len(there) in (0, len(new))
            if there and outcome != "recorded":
                self._keep(tuple(there))
                outcome = "recorded"

    def break_connections(self) -> None:
        """SQLite has none that could break."""

    # --- what always holds ------------------------------------------------------------------------------------

    @invariant()
    def every_writer_reads_what_the_model_holds(self) -> None:
        for store in getattr(self, "stores", ()):
            assert self._patiently(store.read, 0, 10_000) == self.events
            assert {(each.command_id, each.position, each.status) for each in store.open_commands()} == self._open()
            assert {key: store.command_of_key("alice", key) for key in ("k1", "k2")} == {
                key: self.keys.get(key) for key in ("k1", "k2")
            }

    @invariant()
    def the_chain_is_whole(self) -> None:
        if getattr(self, "stores", None):
            assert [event.position for event in self.events] == list(range(1, len(self.events) + 1))
            assert list(verify(self.events)) == []

    @precondition(lambda self: self.events)
    @rule(writer=WRITERS, data=st.data())
    def read_a_stream_and_a_part(self, writer: int, data: st.DataObject) -> None:
        store = self.stores[writer]
        chosen = data.draw(st.sampled_from(self.events))
        assert store.read_stream(chosen.stream) == [event for event in self.events if event.stream == chosen.stream]
        limit = data.draw(st.integers(1, 5))
        assert store.read(chosen.position, limit) == self.events[chosen.position :][:limit]

    # --- the model --------------------------------------------------------------------------------------------

    def _opened(self) -> SqlEventStore:
        store = SqlEventStore(self.location, now_ms, new_id())
        store.check()
        return store

    def _open(self) -> set[tuple[str, int, str | None]]:
        latest = {event.stream: event for event in getattr(self, "events", ()) if event.tool}
        return {(name, last.position, last.status) for name, last in latest.items() if last.status not in FINAL}

    def _following(self, data: st.DataObject) -> NewEvent:
        name = data.draw(st.sampled_from(sorted(name for name, _, _ in self._open())))
        newest = [event for event in self.events if event.stream == name][-1]
        types = [event.type for event in LIVES[-1]]
        following = types.index(newest.type) + 1 if newest.type in types else len(types) - 1
        new = life(*LIVES[-1], of=stream())[following]
        return new._replace(stream=name, stream_version=newest.stream_version + 1)

    def _appended(self, events: list[NewEvent], store: SqlEventStore) -> None:
        assert self._outcome(store.append(events)) == "recorded"

    def _outcome(self, future: "Future[Recorded]") -> str:
        try:
            self._keep(future.result(WAIT_S))
        except ConcurrentAppendError:
            return "conflict"
        except LogUnavailableError:
            return "unavailable"
        return "recorded"

    def _keep(self, recorded: Recorded) -> None:
        self.events = sorted((*self.events, *recorded), key=lambda event: event.position)

    def _patiently(self, question: Any, *arguments: Any) -> Any:
        with suppress(LogUnavailableError):  # its connection may have been broken by a step
            return question(*arguments)
        return question(*arguments)


def check(machine: type[LogMachine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=8, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@pytest.mark.promise("P5", "P8")
def test_sqlite_does_what_the_model_does() -> None:
    with tempfile.TemporaryDirectory() as directory:

        class SqliteMachine(LogMachine):
            def new_location(self) -> Location:
                return Location(path=Path(directory) / new_id() / "ledger.db")

        check(SqliteMachine)


@pytest.mark.postgres
@pytest.mark.promise("P5", "P8")
def test_postgres_does_what_the_model_does(postgres: PostgresServer, migrated_template: str) -> None:
    class PostgresMachine(LogMachine):
        def new_location(self) -> Location:
            return Location.parse(postgres.url(postgres.create_database(migrated_template)))

        def break_connections(self) -> None:
            with psycopg.connect(self.location.url, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

    check(PostgresMachine)
