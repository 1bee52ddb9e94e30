"""One run: build everything, let clients and chaos loose, calm down, compare."""

import contextlib
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.migrate import migrate
from domain.access.tokens import fingerprint
from domain.lifecycle import Status
from server.bootstrap import new_id, now_ms
from tests.conftest import SEALING_KEY, PostgresServer, postgres_server, url_of, write_rules
from tests.protocol.servers import KEY, environment
from tests.torture.chaos import Chaos
from tests.torture.check import violations
from tests.torture.clients import Client, Record
from tests.torture.cluster import USERS, Cluster
from tests.torture.engine import TortureEngine
from tests.torture.history import Story, all_events, stories
from tests.torture.observed import unobserved

QUIET_S: Final = 120
_TRANSPORTS: Final = {"sqlite": ("http", "http", "stdio"), "postgres": ("http", "http", "http")}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do; the run ends after ``minutes``, or earlier after so many ``kills``."""

    database: str
    minutes: float
    seed: str
    clients: int = 6
    kill_every_s: float = 1.0
    kills: int | None = None


@dataclass(slots=True)
class Summary:
    """What was done and what came of it."""

    plan: Plan
    took_s: float = 0.0
    chaos: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    unmet: list[str] = field(default_factory=list)
    """The points at which no process died: they were not passed, or somebody struck first."""
    calls: Counter[str] = field(default_factory=Counter)
    events: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    recovered: Counter[str] = field(default_factory=Counter)
    unknown: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    evidence: str | None = None
    """Where the log, the engine's events, the calls and the servers' own lines are, if something does not fit."""

    @property
    def kills(self) -> int:
        return self.chaos["killed"] + self.chaos["killed at a failpoint"]

    def tree(self) -> dict[str, Any]:
        counted = {name: dict(value) for name in self.__slots__ if isinstance(value := getattr(self, name), Counter)}
        return {
            "kills": self.kills,
            **{name: getattr(self, name) for name in self.__slots__},
            **counted,
            "plan": asdict(self.plan),
        }

    def text(self) -> str:
        def counted(what: Counter[str]) -> str:
            return ", ".join(f"{name} {count}" for name, count in what.most_common()) or "none"

        lines = [
            f"{self.plan.database}, seed {self.plan.seed}: {self.kills} kills in {self.took_s:.0f} s",
            f"  chaos: {counted(self.chaos)}",
            f"  kills at failpoints: {counted(self.points)}",
            f"  never at: {', '.join(self.unmet) or 'none'}",
            f"  calls: {counted(self.calls)}",
            f"  log: {self.events} events, {sum(self.outcomes.values())} commands: {counted(self.outcomes)}",
            f"  recovered as: {counted(self.recovered)}",
            f"  unknown: {len(self.unknown)}",
            *(f"    {each}" for each in self.unknown[:20]),
            f"  violations: {len(self.violations)}",
            *(f"    {each}" for each in self.violations),
            *([f"  evidence: {self.evidence}"] if self.evidence else []),
        ]
        return "\n".join(lines)


def torture(plan: Plan) -> Summary:
    """Carry out ``plan``; what it made is gone afterwards."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="docker-mcp-torture-")))
        engine = TortureEngine()
        stack.callback(engine.close)
        postgres = stack.enter_context(postgres_server()) if plan.database == "postgres" else None
        return _Run(plan, directory, engine, postgres).carry_out()


class _Run:
    def __init__(self, plan: Plan, directory: Path, engine: TortureEngine, postgres: PostgresServer | None) -> None:
        self._plan = plan
        self._engine = engine
        clock = directory / "clock"
        clock.write_text("0")
        if postgres:
            self._location = Location.parse(postgres.url(postgres.create_database()))
            migrate(self._location)
        else:
            self._location = Location(path=directory / "ledger.db")
        users = {name: {"role": role, "key_sha256": fingerprint(KEY + name)} for name, role in USERS.items()}
        asks = {"effects": ["destroy"], "roles": ["asker"], "expires_s": 3600}
        write_rules(directory / "config", users=users, roles={"asker": {"allow": [{}]}}, approvals=[asks])
        own = environment(
            directory,
            DOCKER_HOST=engine.url,
            DOCKER_MCP_DATABASE_URL=url_of(self._location),
            DOCKER_MCP_SEALING_KEY=SEALING_KEY,
            MCP_AUTH_SECRET="0" * 32,
            DOCKER_MCP_ENGINE_TIMEOUT_S=30,
            DOCKER_MCP_ENGINE_EVENTS=True,
            DOCKER_MCP_SHUTDOWN_GRACE_S=3,
            LOG_LEVEL="INFO",
            TORTURE_CLOCK=clock,
        )
        self._cluster = Cluster(_TRANSPORTS[plan.database], own, directory)
        self._record = Record()
        self._chaos = Chaos(plan.seed, self._cluster, engine, postgres, clock, plan.kill_every_s, plan.kills)
        users_of = ["worker", "asker", "admin", *["worker"] * plan.clients][: plan.clients]
        self._clients = [
            Client(number, user, plan.seed, self._cluster, self._record, engine.image)
            for number, user in enumerate(users_of)
        ]
        self._logs = directory

    def carry_out(self) -> Summary:
        summary = Summary(self._plan)
        began = time.monotonic()
        self._chaos.tend()
        time.sleep(2)
        try:
            for thread in (*self._clients, self._chaos):
                thread.start()
            self._watch()
        finally:
            self._chaos.calm()
            for client in self._clients:
                client.stopping.set()
        for client in self._clients:
            client.join(60)
        store = SqlEventStore(self._location, now_ms, new_id())
        try:
            self._wait_for_quiet(store)
            self._engine.heard()
            summary.took_s = time.monotonic() - began
            self._count(summary, store)
            summary.violations = list(violations(store, self._engine, self._record.calls))
            summary.violations += unobserved(list(all_events(store)), self._engine.events)
            if summary.violations:
                self._keep_evidence(summary, store)
        finally:
            for slot in self._cluster.slots:
                slot.end()
            store.close()
        return summary

    def _watch(self) -> None:
        """Let chaos reign for its time, and say now and then how far it has come."""
        deadline = time.monotonic() + self._plan.minutes * 60
        while self._chaos.is_alive() and time.monotonic() < deadline:
            self._chaos.join(min(30, deadline - time.monotonic()))
            done = f"{self._plan.database}: {self._chaos.kills} kills, {len(self._record.calls)} calls"
            print(done, file=sys.stderr, flush=True)

    def _wait_for_quiet(self, store: SqlEventStore) -> None:
        """Wait until recovery has done what it can; what waits for approval is refused."""
        client = Client(99, "admin", self._plan.seed, self._cluster, self._record, self._engine.image)
        deadline = time.monotonic() + QUIET_S
        while time.monotonic() < deadline:
            found = store.open_commands()
            for command in found:
                if command.status == Status.DEFERRED:
                    client.call("approvals-refuse", {"command_id": command.command_id})
            if all(command.status == Status.UNKNOWN for command in found):
                return
            time.sleep(1)

    def _count(self, summary: Summary, store: SqlEventStore) -> None:
        events = list(all_events(store))
        told = stories(events)
        summary.events = len(events)
        summary.chaos, summary.points, summary.unmet = self._chaos.done, self._chaos.points, sorted(self._chaos.unmet)
        summary.outcomes.update(story.status or "open" for story in told.values())
        summary.recovered.update(filter(None, map(_recovered, told.values())))
        summary.unknown = [story.told() for story in told.values() if story.status == Status.UNKNOWN]
        for call in self._record.calls:
            heard = "lost" if call.lost else (call.error or "answered")
            summary.calls[heard] += 1
        summary.calls["all"] = len(self._record.calls)

    def _keep_evidence(self, summary: Summary, store: SqlEventStore) -> None:
        kept = Path(tempfile.mkdtemp(prefix="docker-mcp-torture-evidence-"))
        for log in self._logs.glob("server-*.log"):
            (kept / log.name).write_bytes(log.read_bytes())
        if self._location.path:
            for file in self._logs.glob("ledger.db*"):
                if file.is_file():
                    (kept / file.name).write_bytes(file.read_bytes())
        (kept / "calls").write_text("\n".join(map(str, self._record.calls)))
        (kept / "engine-events").write_text("\n".join(map(str, self._engine.events)))
        (kept / "log").write_text("\n".join(map(str, all_events(store))))
        summary.evidence = str(kept)


def _recovered(story: Story) -> str | None:
    if story.reconciled:
        return "applied" if story.status == Status.SUCCESS else f"not applied ({story.outcome['applied']})"
    if story.outcome.get("reason") == "the server stopped before it started":
        return "never started"
    return "unknown" if story.status == Status.UNKNOWN else None
