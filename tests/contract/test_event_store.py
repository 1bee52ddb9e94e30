"""What every event store keeps to, on SQLite and on PostgreSQL."""

import itertools
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager

import psycopg
import pytest

from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.postgres import APPEND_LOCK
from domain.chain import verify
from domain.errors import ConcurrentAppendError, LogUnavailableError
from domain.events import RecordedEvent
from domain.secrets import DataKey
from server.bootstrap import new_id, now_ms
from tests.contract.events import AUTHORIZED, DENIED, LIFE, RECEIVED, STARTED, SUCCEEDED, UNKNOWN, life, stream
from tests.contract.rows import rows
from tests.waiting import wait_for

WAIT_S = 30


def test_what_was_appended_is_read_back_as_it_was(store: SqlEventStore) -> None:
    events = life()
    recorded = store.append(events).result(WAIT_S)
    assert store.read_stream(events[0].stream) == list(recorded)
    for new, kept in zip(events, recorded, strict=True):
        assert {name: getattr(kept, name) for name in new._fields} == new._asdict()


def test_an_append_of_many_events_is_recorded_whole_or_not_at_all(store: SqlEventStore) -> None:
    many = [event for _ in range(20) for event in life()]
    with pytest.raises(ConcurrentAppendError):
        store.append([*many, many[-1]]).result(WAIT_S)
    assert store.read() == []
    assert list(store.append(many).result(WAIT_S)) == store.read()
    assert [event.event_id for event in store.read()] == [event.event_id for event in many]


def test_positions_start_at_one_and_have_no_gaps(store: SqlEventStore) -> None:
    for _ in range(5):
        store.append(life()).result(WAIT_S)
    assert [event.position for event in store.read()] == list(range(1, 21))


def test_reading_goes_on_after_a_position_and_stops_at_the_limit(store: SqlEventStore) -> None:
    store.append(life()).result(WAIT_S)
    assert [event.position for event in store.read(after=1, limit=2)] == [2, 3]
    assert store.read(after=4) == []
    assert store.read_stream("no-such-stream") == []


@pytest.mark.promise("P4")
def test_the_records_form_an_intact_chain(store: SqlEventStore) -> None:
    for _ in range(3):
        store.append(life()).result(WAIT_S)
    events = store.read()
    assert list(verify(events)) == []
    assert list(verify(events[4:], after=events[3])) == []


def test_a_taken_stream_version_is_refused_and_nothing_of_the_append_is_kept(store: SqlEventStore) -> None:
    command = stream()
    store.append(life(RECEIVED, AUTHORIZED, of=command)).result(WAIT_S)
    rival = command.copy()
    store.append([command.add(STARTED)]).result(WAIT_S)
    with pytest.raises(ConcurrentAppendError):
        store.append([*life(), rival.add(STARTED)]).result(WAIT_S)
    assert len(store.read()) == 3


def test_a_stream_cannot_miss_an_event(store: SqlEventStore) -> None:
    command = stream()
    store.append(life(RECEIVED, of=command)).result(WAIT_S)
    command.add(AUTHORIZED)
    with pytest.raises(ConcurrentAppendError):
        store.append([command.add(STARTED)]).result(WAIT_S)


@pytest.mark.promise("P5")
def test_a_command_gets_one_final_status_only(store: SqlEventStore) -> None:
    command = stream()
    store.append(life(*LIFE, of=command)).result(WAIT_S)
    second = life(*LIFE, of=stream())[-1]._replace(
        stream=command.context.command_id, stream_version=5, event_id=new_id()
    )
    with pytest.raises(ConcurrentAppendError):
        store.append([second]).result(WAIT_S)


def test_the_store_gives_versions_where_nobody_decides_about_them(store: SqlEventStore) -> None:
    event = life(RECEIVED)[0]._replace(stream="server/x", stream_version=None, tool=None)
    twice = [event, event._replace(event_id=new_id())]
    store.append(twice).result(WAIT_S)
    store.append([event._replace(event_id=new_id())]).result(WAIT_S)
    assert [recorded.stream_version for recorded in store.read_stream("server/x")] == [1, 2, 3]


def test_one_conflict_does_not_fail_the_appends_beside_it(store: SqlEventStore) -> None:
    taken = life()
    store.append(taken).result(WAIT_S)
    futures = [store.append(life()) for _ in range(20)]
    conflict = store.append(taken)
    futures += [store.append(life()) for _ in range(20)]
    with pytest.raises(ConcurrentAppendError):
        conflict.result(WAIT_S)
    assert all(len(future.result(WAIT_S)) == 4 for future in futures)
    assert list(verify(store.read())) == []


def test_many_threads_share_commits_and_keep_one_order(store: SqlEventStore) -> None:
    results: list[Future[tuple[RecordedEvent, ...]]] = []

    def produce() -> None:
        for _ in range(25):
            future = store.append(life())
            results.append(future)
            future.result(WAIT_S)

    threads = [threading.Thread(target=produce) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    events = store.read(limit=2000)
    assert len(events) == 8 * 25 * 4
    assert list(verify(events)) == []


APPEND_FROM_ANOTHER_PROCESS = """
import sys
from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from server.bootstrap import new_id, now_ms
from tests.contract.events import life
store = SqlEventStore(Location.parse(sys.argv[1]), now_ms, new_id(), 30)
for _ in range(40):
    store.append(life()).result(30)
store.close()
"""


def test_processes_that_write_at_the_same_time_fork_nothing(store: SqlEventStore, location: Location) -> None:
    url = f"sqlite:///{location.path}" if location.path else location.url
    command = [sys.executable, "-c", APPEND_FROM_ANOTHER_PROCESS, url]
    processes = [subprocess.Popen(command) for _ in range(3)]
    for _ in range(40):
        store.append(life()).result(WAIT_S)
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    events = store.read(limit=5000)
    assert len(events) == 4 * 40 * 4
    assert list(verify(events)) == []


def test_time_never_runs_backwards_in_the_log(location: Location) -> None:
    clock = iter([2_000_000_000_000, 1_000_000_000_000, 1_500_000_000_000])
    store = SqlEventStore(location, lambda: next(clock), new_id())
    for _ in range(3):
        store.append(life(RECEIVED)).result(WAIT_S)
    assert {event.occurred_at_ms for event in store.read()} == {2_000_000_000_000}
    store.close()


def test_open_commands_are_those_without_a_final_status(store: SqlEventStore) -> None:
    running, unknown, waiting = stream(), stream(), stream()
    store.append(life(RECEIVED, AUTHORIZED, STARTED, of=running)).result(WAIT_S)
    store.append(life(RECEIVED, AUTHORIZED, STARTED, UNKNOWN, of=unknown)).result(WAIT_S)
    store.append(life(RECEIVED, AUTHORIZED, of=waiting)).result(WAIT_S)
    store.append(life(RECEIVED, DENIED)).result(WAIT_S)
    store.append(life()).result(WAIT_S)
    found = {command.command_id: command.status for command in store.open_commands()}
    assert found == {
        running.context.command_id: "running",
        unknown.context.command_id: "unknown",
        waiting.context.command_id: None,
    }
    store.append([running.add(SUCCEEDED)]).result(WAIT_S)
    assert running.context.command_id not in {command.command_id for command in store.open_commands()}


@pytest.mark.promise("P8")
def test_open_commands_equal_a_fold_of_the_log(store: SqlEventStore) -> None:
    for events in ((RECEIVED,), (RECEIVED, AUTHORIZED), (RECEIVED, DENIED), (RECEIVED, AUTHORIZED, STARTED, UNKNOWN)):
        store.append(life(*events)).result(WAIT_S)
    store.append(life()).result(WAIT_S)
    latest = {event.stream: event for event in store.read()}
    folded = {
        (event.stream, event.position, event.status)
        for event in latest.values()
        if event.status in (None, "running", "unknown")
    }
    assert {(row.command_id, row.position, row.status) for row in store.open_commands()} == folded


def test_a_data_key_is_stored_with_its_command_or_not_at_all(store: SqlEventStore, location: Location) -> None:
    taken = life()
    store.append(taken, DataKey(taken[0].stream, "key", "wrapped")).result(WAIT_S)
    with pytest.raises(ConcurrentAppendError):
        store.append(taken, DataKey("other", "key", "wrapped")).result(WAIT_S)
    assert rows(location, "SELECT command_id, key_id, wrapped FROM data_key") == [(taken[0].stream, "key", "wrapped")]


def test_an_append_that_was_withdrawn_in_time_is_not_recorded(store: SqlEventStore) -> None:
    blocked = threading.Event()
    free = threading.Event()

    def busy() -> int:
        blocked.set()
        free.wait(WAIT_S)
        return now_ms()

    writer = SqlEventStore(store.location, busy, new_id())
    first = writer.append(life())
    assert blocked.wait(WAIT_S)
    second = writer.append(life())
    assert second.cancel()
    free.set()
    first.result(WAIT_S)
    writer.close()
    assert len(store.read()) == 4


@pytest.mark.promise("P9")
def test_more_appends_than_may_wait_are_refused_at_once(store: SqlEventStore) -> None:
    from adapters.store.writer import GroupCommitWriter

    blocked, free = threading.Event(), threading.Event()

    def open_slowly() -> None:
        blocked.set()
        free.wait(WAIT_S)
        raise LogUnavailableError

    writer = GroupCommitWriter(open_slowly, now_ms, queue_limit=2)  # type: ignore[arg-type]
    first = writer.submit(life())
    assert blocked.wait(WAIT_S)
    waiting = [writer.submit(life()) for _ in range(2)]
    with pytest.raises(LogUnavailableError, match="too many"):
        writer.submit(life()).result(0)
    free.set()
    for future in (first, *waiting):
        with pytest.raises(LogUnavailableError):
            future.result(WAIT_S)
    writer.close()


def test_data_beyond_its_limit_is_refused_and_the_log_goes_on(store: SqlEventStore) -> None:
    huge = life(RECEIVED)[0]._replace(data='{"x":"' + "x" * 70_000 + '"}')
    with pytest.raises(LogUnavailableError, match="form"):
        store.append([huge]).result(WAIT_S)
    assert len(store.append(life()).result(WAIT_S)) == 4


def test_text_of_any_script_comes_back_as_it_was(store: SqlEventStore) -> None:
    command = stream(principal="Zoë 🐳", target="container/データ")
    recorded = store.append(life(*LIFE, of=command)).result(WAIT_S)
    again = store.read_stream(command.context.command_id)
    assert again == list(recorded)
    assert list(verify(again)) == []


@contextmanager
def turn_held(location: Location) -> Iterator[None]:
    """As if another server were appending."""
    if location.path:
        with closing(sqlite3.connect(location.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
    else:
        with psycopg.connect(location.url) as server:
            server.execute("SELECT pg_advisory_xact_lock(%s)", (APPEND_LOCK,))
            yield


def test_what_arrives_while_a_server_waits_for_its_turn_shares_its_transaction(location: Location) -> None:
    """So several servers on one log share each sync among as many callers as one server does."""
    moments = itertools.count(1)
    store = SqlEventStore(location, lambda: next(moments), new_id(), timeout_s=30)
    store.check()
    before = next(moments)
    with turn_held(location):
        appended = [store.append(life())]
        wait_for(appended[0].running)
        appended += [store.append(life()) for _ in range(3)]
    times = {event.occurred_at_ms for each in appended for event in each.result(30)}
    store.close()
    assert times == {before + 1}
