"""The sections of the speed table, each a measurement of its own that can be asked for alone."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import uvloop

from tests.benchmarks.asking import audit_queries
from tests.benchmarks.bench import Bench
from tests.benchmarks.folds import folding
from tests.benchmarks.measure import Row
from tests.benchmarks.recording import durable_commands, group_commit
from tests.benchmarks.replaying import replay
from tests.benchmarks.replicas import clients, replicas, servers_on_a_file, turns
from tests.benchmarks.scraping import scrapes
from tests.benchmarks.serving import list_of_fifty, start_up
from tests.benchmarks.sizes import memory, tools_list
from tests.benchmarks.stacks import BareCompose, deployments, stack_of_ten
from tests.benchmarks.verifying import verification

_SHORT_LOG: Final = 1000


def _serving(bench: Bench) -> Iterator[Row]:
    yield start_up(bench.state, bench.effort.rounds)
    yield list_of_fifty(bench.state, bench.effort.rounds * 20)


def _sizes(bench: Bench) -> Iterator[Row]:
    yield tools_list(bench.state)
    yield from memory(bench.state, bench.effort.calls)


def _stacks(bench: Bench) -> Iterator[Row]:
    compose = BareCompose(bench.directory)
    yield from deployments(bench.state, compose, bench.effort.rounds)
    yield stack_of_ten(bench.state, compose, bench.effort.rounds * 5)


def _appending(bench: Bench) -> Iterator[Row]:
    for slow_sync in (False, True):
        for location in bench.new_logs():
            yield group_commit(location, bench.effort.seconds, slow_sync=slow_sync)
    for location in bench.new_logs():
        yield from uvloop.run(durable_commands(location, bench.effort.rounds * 100))


def _together(bench: Bench) -> Iterator[Row]:
    yield from replicas(lambda: bench.new_logs()[1], bench.effort.seconds)
    for location in bench.new_logs():
        yield clients(location, bench.effort.seconds)
    yield servers_on_a_file(bench.new_logs()[0], bench.effort.seconds)
    for location in bench.new_logs():
        yield uvloop.run(turns(location, bench.effort.rounds * 20))


def _verifying(bench: Bench) -> Iterator[Row]:
    for events in bench.effort.events:
        for location in bench.made_logs(events):
            yield from verification(location, events, rounds=3 if events <= 1_000_000 else 1)


def _folding(bench: Bench) -> Iterator[Row]:
    for events in bench.effort.events:
        for location in bench.made_logs(events):
            yield from folding(location, events)


def _scraping(bench: Bench) -> Iterator[Row]:
    sizes = [_SHORT_LOG, *bench.effort.events]
    for locations in zip(*map(bench.made_logs, sizes), strict=True):
        yield from scrapes(sizes, locations, bench.effort.rounds * 5)


def _asking(bench: Bench) -> Iterator[Row]:
    for events in bench.effort.events:
        for location in bench.made_logs(events):
            yield from audit_queries(location, bench.effort.rounds * 5)


def _replaying(bench: Bench) -> Iterator[Row]:
    for events in bench.effort.events:
        for location in bench.made_logs(events):
            yield from replay(location, bench.effort.rounds)


SECTIONS: Final[Mapping[str, Callable[[Bench], Iterator[Row]]]] = {
    "serving": _serving,
    "sizes": _sizes,
    "stacks": _stacks,
    "appending": _appending,
    "together": _together,
    "verifying": _verifying,
    "folding": _folding,
    "scraping": _scraping,
    "asking": _asking,
    "replaying": _replaying,
}
"""In this order: a verification also checks what a replay leaves beside the log."""
