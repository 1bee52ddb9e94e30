"""Many at once: several server processes on one PostgreSQL, several clients of one process, and what turns cost."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

from adapters.store.location import Location
from domain.catalogue import recognise
from domain.catalogue.tool import Catalogue, Command, Effect, Result, Run, Target, Tool
from domain.objects import Kind
from domain.ports import HeldLocks
from server.bootstrap import Application
from tests.benchmarks.labels import kind_of
from tests.benchmarks.measure import Row, at_least, ratio_at_least, ratio_below
from tests.benchmarks.recording import two_bare_commits
from tests.benchmarks.serving import containers
from tests.conftest import caller, settings_for, url_of

REPLICAS: Final = (1, 2, 4)
CALLERS: Final = 64
CLIENTS: Final = 8


def replicas(new_log: Callable[[], Location], seconds: float) -> list[Row]:
    """64 callers in all, on one, two and four processes; the log's order is one, so more of them cannot be faster."""
    rates = {count: _commands_per_second(new_log(), count, CALLERS // count, seconds) for count in REPLICAS}
    return [
        Row(
            what=f"durable commands, {CALLERS} callers, {count} replica(s) on one PostgreSQL",
            ours=rate,
            unit="/s",
            floor=rates[1] if count > 1 else None,
            floor_is="1 replica",
            aim=at_least(1000),
        )
        for count, rate in rates.items()
    ]


def clients(location: Location, seconds: float) -> Row:
    """8 callers of one process, against two bare commits one after another."""
    return _beside_bare_commits(location, 1, f"{CLIENTS} callers of one process", seconds)


def servers_on_a_file(location: Location, seconds: float) -> Row:
    """8 processes with a caller each on one SQLite file, as 8 stdio clients have them; against two bare commits."""
    return _beside_bare_commits(location, CLIENTS, f"{CLIENTS} processes on one file", seconds)


def _beside_bare_commits(location: Location, processes: int, who: str, seconds: float) -> Row:
    with two_bare_commits(location) as commits:
        floor = _per_second(commits, seconds / 2)
        rate = _commands_per_second(location, processes, CLIENTS // processes, seconds)
        floor = (floor + _per_second(commits, seconds / 2)) / 2
    return Row(
        what=f"durable commands, {who}, {kind_of(location)}",
        ours=rate,
        unit="/s",
        floor=floor,
        floor_is="2 bare commits in a row",
        aim=ratio_at_least(1),
    )


async def turns(location: Location, rounds: int) -> Row:
    """A change of one container that does nothing, with and without turns between processes, in turns."""
    with containers(1) as (name,):
        settings = settings_for(location, MCP_AUTH_SECRET="0" * 32)
        application = Application(settings, "benchmark", Catalogue([TOUCH]), {Touches: TouchAdapter()})
        await application.start()
        who, locks = caller(application), application.locks
        ours_only = locks.shared, locks.is_alone
        taken: dict[bool, list[float]] = {True: [], False: []}
        for number in range(rounds * 2 + 20):
            with_turns = number % 2 == 0
            locks.shared, locks.is_alone = ours_only if with_turns else (NoLocks(), lambda: True)
            began = time.perf_counter()
            answer = await application.dispatcher.dispatch("touch", {"container": name}, who)
            assert answer.error is None, answer.error.describe()
            if number >= 20:
                taken[with_turns].append(time.perf_counter() - began)
        await application.stop("measured")
    ours, floor = (statistics.median(taken[each]) * 1000 for each in (True, False))
    return Row(
        what=f"change of one object, no effect, {kind_of(location)}",
        ours=ours,
        unit="ms",
        floor=floor,
        floor_is="without turns between processes",
        aim=ratio_below(1.5),
        note="p50",
    )


class NoLocks:
    """As if no other process were there. Satisfies ``domain.ports.SharedLocks``."""

    def try_hold(self, _keys: Sequence[str]) -> HeldLocks:
        return self

    def __call__(self) -> None: ...

    def check(self) -> None: ...

    def close(self) -> None: ...


class Touch(Command):
    """Do nothing to a container."""

    container: str


class Touches(Protocol):
    def touch(self, command: Touch, run: Run) -> Result: ...


class TouchAdapter:
    def touch(self, _command: Touch, run: Run) -> Result:
        run.before_change()
        return Result()


TOUCH = Tool(
    name="touch",
    title="Touch",
    command=Touch,
    port=Touches,
    apply=Touches.touch,
    effect=Effect.MUTATE,
    idempotent=True,
    summary="touch {container}",
    targets=(Target("container", Kind.CONTAINER),),
    recognise=recognise.started,
)


def _per_second(work: Callable[[], object], seconds: float) -> float:
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        work()
        count += 1
    return count / (time.perf_counter() - began)


def _commands_per_second(location: Location, processes: int, callers: int, seconds: float) -> float:
    words = [sys.executable, "-m", "tests.benchmarks.replica", url_of(location), str(callers), str(seconds)]
    with _running([words] * processes) as started:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return sum(int(process.stdout.readline()) for process in started if process.stdout) / seconds


@contextmanager
def _running(commands: Sequence[Sequence[str]]) -> Iterator[list["subprocess.Popen[str]"]]:
    started = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for words in commands]
    try:
        yield started
    finally:
        for process in started:
            process.communicate()
