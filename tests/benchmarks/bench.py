"""Where a run measures: a directory, a PostgreSQL server, the logs on them, and how long it may take."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from adapters.store.location import Location
from adapters.store.migrate import migrate
from tests.benchmarks.made_log import generate
from tests.conftest import PostgresServer, postgres_server


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is measured: rounds of what is short, seconds of what is counted, events of made logs, calls."""

    rounds: int = 15
    seconds: float = 5
    events: tuple[int, ...] = (1_000_000,)
    calls: int = 10_000


QUICK: Final = Effort(rounds=3, seconds=1, events=(50_000,), calls=500)


@dataclass
class Bench:
    """What every section measures with."""

    directory: Path
    effort: Effort
    server: PostgresServer
    _made: dict[int, list[Location]] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        """Where a server that clients start keeps its log."""
        return self.directory / "state"

    def new_logs(self) -> list[Location]:
        """Return an empty log on each database."""
        on_postgres = Location.parse(self.server.url(self.server.create_database()))
        migrate(on_postgres)
        return [Location(path=Path(tempfile.mkdtemp(dir=self.directory)) / "ledger.db"), on_postgres]

    def made_logs(self, events: int) -> list[Location]:
        """Return a made log of so many events on each database, the same ones at each call."""
        if events not in self._made:
            self._made[events] = self.new_logs()
            for location in self._made[events]:
                generate(location, events)
        return self._made[events]


@contextmanager
def bench(effort: Effort) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as name, postgres_server() as server:
        yield Bench(Path(name), effort, server)
