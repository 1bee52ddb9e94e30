"""``make benchmark``: prints the speed table. ``--quick`` takes fewer rounds.

``python -m tests.benchmarks generate URL [EVENTS]`` fills an empty log instead, and
``python -m tests.benchmarks ask URL`` asks such a log by every usual filter, ``replay URL`` opens it at any moment.
"""

import asyncio
import os
import platform
import sys
import tempfile
from pathlib import Path

from adapters.store.location import Location
from adapters.store.migrate import migrate
from tests.benchmarks.asking import audit_queries
from tests.benchmarks.folds import folding
from tests.benchmarks.made_log import generate
from tests.benchmarks.measure import Row, table
from tests.benchmarks.recording import durable_commands, group_commit, sync_ms
from tests.benchmarks.replaying import replay
from tests.benchmarks.replicas import clients, replicas, turns
from tests.benchmarks.scraping import scrapes
from tests.benchmarks.serving import list_of_fifty, start_up
from tests.benchmarks.stacks import BareCompose, deployments, stack_of_ten
from tests.benchmarks.verifying import verification
from tests.conftest import PostgresServer, postgres_server


def main(*, quick: bool) -> None:
    with tempfile.TemporaryDirectory() as name, postgres_server() as server:
        directory = Path(name)
        rows = _rows(directory, server, BareCompose(directory), quick=quick)
        print(f"{platform.machine()}, {os.cpu_count()} CPUs, fdatasync {sync_ms(directory):.2f} ms")
    print(table(rows))


def _rows(directory: Path, server: PostgresServer, compose: BareCompose, *, quick: bool) -> list[Row]:
    few = 3 if quick else 15
    state = directory / "state"
    rows = [start_up(state, few), list_of_fifty(state, few * 20)]
    rows += [*deployments(state, compose, few), stack_of_ten(state, compose, few * 5)]
    for location in _new_logs(directory, server):
        generate(location, 50_000 if quick else 1_000_000)
        rows += audit_queries(location, few * 5)
        rows += replay(location, few)
    for slow_sync in (False, True):
        for location in _new_logs(directory, server):
            rows.append(group_commit(location, 1 if quick else 4, slow_sync=slow_sync))
    for location in _new_logs(directory, server):
        rows += asyncio.run(durable_commands(location, 200 if quick else 1500))
    for location in _new_logs(directory, server):
        rows += folding(location, 20_000 if quick else 100_000, few)
    rows += scrapes(lambda: _new_logs(directory, server), [1000, 20_000 if quick else 1_000_000], few * 5)
    for location in _new_logs(directory, server):
        rows += verification(location, 50_000 if quick else 500_000)
    rows += replicas(lambda: _new_logs(directory, server)[1], 1 if quick else 5)
    rows += [clients(location, 1 if quick else 5) for location in _new_logs(directory, server)]
    rows += [asyncio.run(turns(location, few * 20)) for location in _new_logs(directory, server)]
    return rows


def _new_logs(directory: Path, server: PostgresServer) -> list[Location]:
    on_postgres = Location.parse(server.url(server.create_database()))
    migrate(on_postgres)
    return [Location(path=Path(tempfile.mkdtemp(dir=directory)) / "ledger.db"), on_postgres]


if __name__ == "__main__":
    if sys.argv[1:2] == ["generate"]:
        url, *number = sys.argv[2:]
        print(f"{generate(Location.parse(url), *map(int, number)):.0f} events/s")
    elif sys.argv[1:2] == ["ask"]:
        print(table(audit_queries(Location.parse(sys.argv[2]), 30, only_slowest=False)))
    elif sys.argv[1:2] == ["replay"]:
        print(table(replay(Location.parse(sys.argv[2]), 3)))
    else:
        main(quick="--quick" in sys.argv)
