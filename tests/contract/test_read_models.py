"""Read models in the database: folded by whoever asks, never twice, and equal to what the whole log yields."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.metric_series import MetricSeriesStore
from adapters.store.postgres import APPEND_LOCK
from adapters.store.read_models import check_read_models, rebuild
from domain.errors import LogUnavailableError, ReadModelError
from domain.events import CommandApproved, CommandDeferred, CommandUnknown, NewEvent
from domain.projections.metric_series import MetricSeries
from domain.projections.read_models import Difference
from server.bootstrap import new_id, now_ms
from tests.contract.events import AUTHORIZED, LIFE, RECEIVED, STARTED, life, stream
from tests.contract.rows import execute, rows
from tests.domain.legal_logs import legal_logs

pytestmark = pytest.mark.promise("P8")

TIMEOUT_S = 20.0
DEFERRED = CommandDeferred(summary="s", rule="r", policy_digest="d", approvers=("admin",), expires_at_ms=1)


def fill(store: SqlEventStore, commands: int) -> None:
    store.append([event for _ in range(commands) for event in life()]).result(TIMEOUT_S)


def total(series: MetricSeries) -> float:
    (family,) = [family for family in series.families() if family.metric.name == "docker_mcp_events_total"]
    return sum(sample.value for sample in family.samples)


def differences(location: Location) -> list[Difference]:
    return check_read_models(location, TIMEOUT_S)


@pytest.fixture
def folder(location: Location, store: SqlEventStore) -> MetricSeriesStore:
    return MetricSeriesStore(location, TIMEOUT_S, batch=7)


def test_an_empty_log_has_series_too(folder: MetricSeriesStore, location: Location) -> None:
    series, done = folder.catch_up()
    assert (series.position, total(series), done) == (0, 0, 0)
    assert differences(location) == []


def test_only_what_is_new_is_folded(folder: MetricSeriesStore, store: SqlEventStore) -> None:
    fill(store, 5)
    assert folder.catch_up().folded == 20
    fill(store, 1)
    series, done = folder.catch_up()
    assert (total(series), series.position, done) == (24, 24, 4)
    assert folder.catch_up().folded == 0


def test_what_is_stored_is_what_is_returned(
    folder: MetricSeriesStore, store: SqlEventStore, location: Location
) -> None:
    fill(store, 5)
    first = folder.catch_up().series
    again = MetricSeriesStore(location, TIMEOUT_S).catch_up().series
    assert list(again.families()) == list(first.families())


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(legal_logs(), st.integers(1, 9), st.integers(1, 9))
def test_two_competing_folders_count_every_event_once(
    store: SqlEventStore, location: Location, log: list[NewEvent], one: int, other: int
) -> None:
    done = threading.Event()

    def append() -> None:
        try:
            for start in range(0, len(log), 3):
                store.append(log[start : start + 3]).result(TIMEOUT_S)
        finally:
            done.set()

    def fold(batch: int) -> None:
        while not done.is_set():
            MetricSeriesStore(location, TIMEOUT_S, batch).catch_up()

    with ThreadPoolExecutor(3) as pool:
        for work in [pool.submit(append), pool.submit(fold, one), pool.submit(fold, other)]:
            work.result(TIMEOUT_S * 2)
    series = MetricSeriesStore(location, TIMEOUT_S).catch_up().series
    assert total(series) == series.position
    assert differences(location) == []


FOLD = """
import sys
from adapters.store.location import Location
from adapters.store.metric_series import MetricSeriesStore
location = Location.parse(sys.argv[1])
print(sum(MetricSeriesStore(location, 20.0, batch=3).catch_up().folded for _ in range(5)))
"""


def test_several_processes_share_the_work(store: SqlEventStore, location: Location) -> None:
    fill(store, 60)
    url = location.url or f"sqlite:///{location.path}"
    processes = [subprocess.Popen([sys.executable, "-c", FOLD, url], stdout=subprocess.PIPE) for _ in range(3)]
    folded = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert sum(folded) == 240
    assert differences(location) == []


def test_a_fold_that_dies_before_its_commit_counts_nothing(
    folder: MetricSeriesStore, store: SqlEventStore, location: Location
) -> None:
    fill(store, 5)

    def stop(done: int, _of: int) -> None:
        if done >= 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder.catch_up(stop)
    assert rows(location, "SELECT position FROM read_model_checkpoint") == [(14,)]
    assert differences(location) == []
    assert folder.catch_up().folded == 6


@pytest.mark.postgres
def test_folding_does_not_wait_for_the_lock_of_the_appends(
    postgres_location: Location, request: pytest.FixtureRequest
) -> None:
    with psycopg.connect(postgres_location.url) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(%s)", (APPEND_LOCK,))
        assert MetricSeriesStore(postgres_location, 1.0).catch_up().folded == 0


@pytest.mark.parametrize("change", ["position = 3", "position = 900", "event_hash = 'x'"])
def test_a_checkpoint_that_lies_in_another_log_is_not_gone_on_from(
    folder: MetricSeriesStore, store: SqlEventStore, location: Location, change: str
) -> None:
    fill(store, 2)
    folder.catch_up()
    execute(location, f"UPDATE read_model_checkpoint SET {change}")
    with pytest.raises(ReadModelError) as refused:
        folder.catch_up()
    assert "docker-mcp rebuild" in refused.value.hint
    assert differences(location)[0].entry == "checkpoint"
    rebuild(location, TIMEOUT_S)
    assert differences(location) == []
    assert total(folder.catch_up().series) == 8


def test_a_missing_checkpoint_is_told_and_mended(
    folder: MetricSeriesStore, store: SqlEventStore, location: Location
) -> None:
    fill(store, 2)
    execute(location, "DELETE FROM read_model_checkpoint")
    for ask in (folder.catch_up, lambda: differences(location)):
        with pytest.raises(ReadModelError, match="checkpoint"):
            ask()
    (found,) = rebuild(location, TIMEOUT_S)
    assert "missing" in found.describe()
    assert differences(location) == []


def test_a_rebuild_tells_what_was_wrong_and_mends_it(store: SqlEventStore, location: Location) -> None:
    fill(store, 3)
    command = stream()
    store.append(life(RECEIVED, AUTHORIZED, of=command)).result(TIMEOUT_S)
    MetricSeriesStore(location, TIMEOUT_S).catch_up()
    command_id = command.context.command_id
    execute(
        location,
        "UPDATE metric_series SET value = 99 WHERE metric = 'docker_mcp_commands_total'",
        "DELETE FROM metric_series WHERE labels = '[\"command.succeeded\"]'",
        f"UPDATE open_command SET executor = 'me' WHERE command_id = '{command_id}'",
        "INSERT INTO open_command (command_id, position, executor) VALUES ('ghost', 1, 'me')",
    )
    told = differences(location)
    assert [(each.model, each.entry) for each in told] == [
        *sorted([("open_command", command_id), ("open_command", "ghost")]),
        ("metric_series", "docker_mcp_commands_total{stop-container, success, admin}"),
        ("metric_series", "docker_mcp_events_total{command.succeeded}"),
    ]
    assert [(each.stored, each.folded) for each in told[2:]] == [("99", "3"), (None, "3")]
    assert rebuild(location, TIMEOUT_S) == told
    assert differences(location) == []
    assert [command.executor for command in store.open_commands()] == ["someone"]


def test_idempotency_keys_follow_from_the_log(store: SqlEventStore, location: Location) -> None:
    keyed = RECEIVED.model_copy(update={"idempotency_key": "k-1"})
    command = stream(principal="alice")
    store.append(life(keyed, *LIFE[1:], of=command)).result(TIMEOUT_S)
    fill(store, 2)
    assert differences(location) == []
    assert store.command_of_key("alice", "k-1") == command.context.command_id
    execute(location, "UPDATE idempotency_key SET command_id = 'another'")

    (found,) = differences(location)
    assert (found.model, found.entry, found.stored) == ("idempotency_key", "alice k-1", "another")
    assert rebuild(location, TIMEOUT_S) == [found]
    assert store.command_of_key("alice", "k-1") == command.context.command_id


def test_series_that_are_merely_behind_are_not_wrong(store: SqlEventStore, location: Location) -> None:
    fill(store, 3)
    assert differences(location) == []
    assert rebuild(location, TIMEOUT_S) == []


def test_appends_go_on_during_a_rebuild(store: SqlEventStore, location: Location) -> None:
    fill(store, 150)
    appended: list[int] = []

    def append(_done: int, _of: int) -> None:
        appended.append(len(life()))
        store.append(life(*LIFE[: len(appended) % 4 + 1])).result(TIMEOUT_S)

    assert rebuild(location, TIMEOUT_S, append) == []
    assert appended
    assert differences(location) == []
    assert rows(location, "SELECT position FROM read_model_checkpoint") == rows(
        location, "SELECT max(position) FROM event"
    )


def test_a_rebuild_that_is_given_up_leaves_the_old_models(store: SqlEventStore, location: Location) -> None:
    fill(store, 150)

    def give_up(_done: int, _of: int) -> None:
        raise KeyboardInterrupt

    execute(location, "INSERT INTO open_command (command_id, position, executor) VALUES ('ghost', 1, 'me')")
    with pytest.raises(KeyboardInterrupt):
        rebuild(location, TIMEOUT_S, give_up)
    assert [each.entry for each in differences(location)] == ["ghost"]


@pytest.fixture
def survivor(location: Location, store: SqlEventStore) -> Iterator[SqlEventStore]:
    """The store of another process on the same log."""
    opened = SqlEventStore(location, now_ms, new_id())
    yield opened
    opened.close()


def test_the_executor_of_an_open_command_follows_from_its_events(
    store: SqlEventStore, survivor: SqlEventStore, location: Location
) -> None:
    """In one append or several, by one process or two, also when a survivor cannot tell what became of it."""
    one, other, third = stream(), stream(), stream()
    begun = life(RECEIVED, AUTHORIZED, STARTED, of=one)
    store.append(begun).result(TIMEOUT_S)
    survivor.append([one.add(CommandUnknown(summary="s", code="c", message="m"))]).result(TIMEOUT_S)
    store.append(life(RECEIVED, of=other)).result(TIMEOUT_S)
    survivor.append([other.add(AUTHORIZED)]).result(TIMEOUT_S)
    survivor.append([other.add(STARTED.model_copy(update={"executor": "the survivor"}))]).result(TIMEOUT_S)
    store.append(life(RECEIVED, DEFERRED, of=third)).result(TIMEOUT_S)
    approved = CommandApproved(summary="s", by="b", by_role="admin", decision="d", executor="the survivor")
    survivor.append([third.add(approved)]).result(TIMEOUT_S)
    survivor.append([third.add(AUTHORIZED)]).result(TIMEOUT_S)
    assert [command.executor for command in store.open_commands()] == ["someone", "the survivor", "the survivor"]
    assert differences(location) == []


def test_a_database_that_does_not_answer_is_a_clear_error(sqlite_location: Location) -> None:
    with pytest.raises(LogUnavailableError):
        MetricSeriesStore(sqlite_location, TIMEOUT_S).catch_up()
    assert sqlite_location.path
    assert not sqlite_location.path.exists()
