"""What a scrape reads of the log, on both databases, and what it costs the database."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.log_reading import _OLDEST, _TRACED, LogReader
from adapters.store.metric_series import MetricSeriesStore
from domain.command_stream import CommandStream
from domain.errors import LogUnavailableError, ReadModelError
from server.bootstrap import new_id
from tests.contract.events import AUTHORIZED, LIFE, RECEIVED, SUCCEEDED, life, stream
from tests.contract.rows import execute, rows

TIMEOUT_S = 20.0
ONE, OTHER = "1" * 32, "2" * 32


@pytest.fixture
def reader(location: Location, store: SqlEventStore) -> Iterator[LogReader]:
    opened = LogReader(location, TIMEOUT_S, 5)
    yield opened
    opened.close()


def traced(trace_id: str) -> CommandStream:
    return CommandStream(replace(stream().context, trace_id=trace_id, span_id="1" * 16), new_id)


def test_an_empty_log_can_be_read(reader: LogReader) -> None:
    reading = reader.read()
    assert (reading.lag_events, reading.oldest_unfinished_ms, reading.exemplars) == (0, None, {})
    assert reading.size_bytes > 0


def test_the_oldest_unfinished_command_is_known_by_its_first_event(
    reader: LogReader, store: SqlEventStore, location: Location
) -> None:
    oldest, newer = stream(), stream()
    store.append(life(RECEIVED, of=oldest)).result(TIMEOUT_S)
    store.append(life(RECEIVED, of=newer)).result(TIMEOUT_S)
    store.append([oldest.add(AUTHORIZED)]).result(TIMEOUT_S)
    command_id = oldest.context.command_id
    ((first_ms,),) = rows(
        location, f"SELECT occurred_at_ms FROM event WHERE stream = '{command_id}' ORDER BY position LIMIT 1"
    )
    assert reader.read().oldest_unfinished_ms == first_ms


def test_each_bucket_has_the_newest_trace_that_fell_into_it(reader: LogReader, store: SqlEventStore) -> None:
    for trace_id, duration_us in ((ONE, 1500), (OTHER, 1700), (ONE, 400_000_000), (ONE, 7_000_000)):
        timed = SUCCEEDED.model_copy(update={"duration_us": duration_us})
        store.append(life(*LIFE[:3], timed, of=traced(trace_id))).result(TIMEOUT_S)
    store.append(life()).result(TIMEOUT_S)
    found = reader.read().exemplars
    assert {key: (each.trace_id, each.seconds) for key, each in found.items()} == {
        ("stop-container", "0.0025"): (OTHER, 0.0017),
        ("stop-container", "+Inf"): (ONE, 400.0),
        ("stop-container", "10.0"): (ONE, 7.0),
    }
    assert all(each.at_s > 1.7e9 for each in found.values())


def test_a_reading_that_may_not_take_long_tells_what_it_has(location: Location, store: SqlEventStore) -> None:
    store.append([event for _ in range(600) for event in life()]).result(TIMEOUT_S)
    hurried = LogReader(location, TIMEOUT_S, fold_within_s=0)
    first, second = hurried.read(), hurried.read()
    assert (first.series.position, first.lag_events) == (2000, 400)
    assert (second.series.position, second.lag_events) == (2400, 0)
    hurried.close()


def test_readers_in_turn_tell_the_same(location: Location, store: SqlEventStore) -> None:
    """As those of several replicas do, whichever of them folds."""
    readers = [LogReader(location, TIMEOUT_S, 5) for _ in range(3)]
    for _ in range(3):
        store.append(life()).result(TIMEOUT_S)
        told = [list(each.read().series.families()) for each in readers]
        assert told[0] == told[1] == told[2]
    for each in readers:
        each.close()


def test_many_threads_may_read_at_once(reader: LogReader, store: SqlEventStore) -> None:
    store.append(life()).result(TIMEOUT_S)
    told: list[int] = []
    threads = [threading.Thread(target=lambda: told.append(reader.read().series.position)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)
    assert told == [4] * 8


def test_series_of_another_log_are_refused(reader: LogReader, store: SqlEventStore, location: Location) -> None:
    store.append(life()).result(TIMEOUT_S)
    reader.read()
    execute(location, "UPDATE read_model_checkpoint SET event_hash = 'x'")
    with pytest.raises(ReadModelError):
        reader.read()
    execute(location, "DELETE FROM metric_series", "UPDATE read_model_checkpoint SET position = 0, event_hash = NULL")
    assert reader.read().series.position == 4


def test_a_log_that_is_not_there_is_a_clear_error(sqlite_location: Location) -> None:
    with pytest.raises(LogUnavailableError):
        LogReader(sqlite_location, TIMEOUT_S, 5).read()


@pytest.mark.postgres
def test_the_connection_stays_open_between_readings_and_is_made_again_when_it_is_lost(
    postgres_location: Location,
) -> None:
    reader = LogReader(postgres_location, TIMEOUT_S, 5)
    backends = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with psycopg.connect(postgres_location.url, autocommit=True) as other:
        reader.read()
        first = other.execute(backends).fetchall()
        reader.read()
        assert len(first) == 1
        assert other.execute(backends).fetchall() == first
        other.execute("SELECT pg_terminate_backend(%s)", first[0])
        assert reader.read().lag_events == 0
        second = other.execute(backends).fetchall()
        assert len(second) == 1
        assert second != first
    reader.close()


@pytest.mark.postgres
def test_the_oldest_command_is_found_without_reading_the_log(postgres_location: Location) -> None:
    """Whatever the planner believes of the sizes of the tables."""
    MetricSeriesStore(postgres_location, TIMEOUT_S).catch_up()
    with psycopg.connect(postgres_location.url, autocommit=True) as other:
        other.execute("SET enable_seqscan = off")
        for sql in (_OLDEST, _TRACED.replace("?", "1")):
            plan = "\n".join(row[0] for row in other.execute(f"EXPLAIN {sql}".encode()).fetchall())
            assert "Seq Scan on event" not in plan, plan
