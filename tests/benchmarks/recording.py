"""What the record costs: appends with and without group commit, and whole commands that do nothing else."""

import asyncio
import os
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import psycopg

from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.postgres import PostgresSession
from adapters.store.session import Changes
from adapters.store.sqlite import SqliteSession
from domain.catalogue.tool import Catalogue, Command, Effect, Result, Run, Tool
from server.bootstrap import Application, new_id, now_ms
from server.garbage import spare_what_lives_on
from tests.benchmarks.labels import kind_of
from tests.benchmarks.measure import Row, at_least, below, ratio_at_least
from tests.conftest import caller, settings_for
from tests.contract.events import life

PRODUCERS: Final = 64
_SLOW_SYNC_S: Final = 0.002


def group_commit(location: Location, seconds: float, *, slow_sync: bool) -> Row:
    """64 producers that append as a command does and wait for each, against one producer: one sync each."""
    store = SqlEventStore(location, now_ms, new_id(), timeout_s=30)
    store.check()
    with _added_to_each_commit(_SLOW_SYNC_S if slow_sync else 0):
        alone = [_appends_per_second(store, 1, seconds / 2)]
        shared = _appends_per_second(store, PRODUCERS, seconds)
        alone.append(_appends_per_second(store, 1, seconds / 2))
    store.close()
    return Row(
        what=f"appends, {PRODUCERS} producers, {kind_of(location)}" + (", +2 ms a sync" if slow_sync else ""),
        ours=shared,
        unit="/s",
        floor=statistics.mean(alone),
        floor_is="one producer, one sync each",
        aim=ratio_at_least(8 if slow_sync else 2),
        note="3 and 1 events in turn",
    )


async def durable_commands(location: Location, rounds: int) -> list[Row]:
    """Whole commands through the dispatcher that do nothing: alone, and 64 at a time."""
    catalogue = Catalogue([NOOP])
    settings = settings_for(location, DOCKER_MCP_QUEUE_LIMIT=1000, DOCKER_MCP_APPEND_TIMEOUT_S=30)
    application = Application(settings, "benchmark", catalogue, {Noops: NoopAdapter()})
    await application.start()
    spare_what_lives_on()  # as a server does
    who = caller(application)

    async def command() -> None:
        answer = await application.dispatcher.dispatch("noop", {}, who)
        assert answer.error is None

    for _ in range(50):
        await command()
    taken, floors = [], []
    with two_bare_commits(location) as floor:
        for _ in range(rounds):
            began = time.perf_counter()
            await command()
            taken.append(time.perf_counter() - began)
            began = time.perf_counter()
            floor()
            floors.append(time.perf_counter() - began)

    async def caller_in_a_row() -> None:
        for _ in range(rounds // 16):
            await command()

    began = time.perf_counter()
    await asyncio.gather(*(caller_in_a_row() for _ in range(PRODUCERS)))
    rate = PRODUCERS * (rounds // 16) / (time.perf_counter() - began)
    await application.stop("measured")
    p50, floor_p50 = statistics.median(taken) * 1000, statistics.median(floors) * 1000
    what = f"durable command, no effect, {kind_of(location)}"
    return [
        Row(
            what=f"{what}, 1 caller",
            ours=p50,
            unit="ms",
            floor=floor_p50,
            floor_is="2 bare commits",
            aim=below(1 if location.path else 3),
            note="p50",
        ),
        Row(what=f"{what}, {PRODUCERS} callers", ours=rate, unit="/s", aim=at_least(1000)),
    ]


class Nothing(Command):
    """Do nothing."""


class Noops(Protocol):
    def noop(self, command: Nothing, run: Run) -> Result: ...


class NoopAdapter:
    def noop(self, _command: Nothing, _run: Run) -> Result:
        return Result()


NOOP = Tool(
    name="noop",
    title="Nothing",
    command=Nothing,
    port=Noops,
    apply=Noops.noop,
    effect=Effect.READ,
    idempotent=True,
    summary="do nothing",
)


class two_bare_commits:  # noqa: N801 (used as a context manager)
    """The least that two durable records cost: two commits of one row of the size of a command's events."""

    def __init__(self, location: Location) -> None:
        self._location = location

    def __enter__(self) -> Callable[[], None]:
        if self._location.path:
            session = SqliteSession(Path(str(self._location.path) + ".floor"), 30)
            session.connection.execute("CREATE TABLE IF NOT EXISTS floor (data TEXT)")
            connection: Any = session.connection
            insert = "INSERT INTO floor VALUES (?)"
        else:
            connection = psycopg.connect(self._location.url, autocommit=True)
            connection.execute("CREATE TABLE floor (data text)")
            insert = "INSERT INTO floor VALUES (%s)"
        self._connection = connection

        def commits() -> None:
            for _ in range(2):
                connection.execute(insert, ("x" * 2000,))

        return commits

    def __exit__(self, *_error: object) -> None:
        self._connection.close()


class _added_to_each_commit:  # noqa: N801 (used as a context manager)
    """As if every sync took longer, which many disks' do."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._kept = [(kind, kind.commit) for kind in (SqliteSession, PostgresSession)]

    def __enter__(self) -> None:
        for kind, commit in self._kept:

            def slowly(session: Any, changes: Changes, commit: Any = commit) -> None:
                commit(session, changes)
                if self._seconds:
                    time.sleep(self._seconds)

            kind.commit = slowly  # type: ignore[assignment, method-assign]

    def __exit__(self, *_error: object) -> None:
        for kind, commit in self._kept:
            kind.commit = commit  # type: ignore[method-assign]


def _appends_per_second(store: SqlEventStore, producers: int, seconds: float) -> float:
    counts = [0] * producers
    end = time.perf_counter() + seconds

    def produce(number: int) -> None:
        while time.perf_counter() < end:
            before, outcome = (events := life())[:3], events[3:]
            for appended in (before, outcome):
                store.append(appended).result(60)
                counts[number] += 1

    threads = [threading.Thread(target=produce, args=(number,)) for number in range(producers)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - began)


def sync_ms(directory: Path) -> float:
    """The median time of one ``fdatasync`` of 4 KiB here, in milliseconds."""
    taken = []
    with (directory / "sync").open("wb", buffering=0) as file:
        for _ in range(200):
            file.write(b"x" * 4096)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000
