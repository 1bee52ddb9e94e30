"""How the databases answer audit queries: by walking the index that fits, without a sort, and never the whole log.

The statements are those that the product sends, explained by both databases on a log of fifty thousand events.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Literal

from adapters.store.audit_trail import SqlAuditTrail
from adapters.store.connection import FOR_QUESTIONS
from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.questions import Ask, Questions
from domain.catalogue import CATALOGUE
from domain.catalogue.audit import AuditQuery
from domain.catalogue.tool import Run
from server.bootstrap import new_id, now_ms
from tests.benchmarks.made_commands import PRINCIPALS, RARE_PRINCIPAL
from tests.benchmarks.made_log import generate
from tests.contract.rows import execute
from tests.contract.test_audit_query import AUDITOR, ask

EVENTS = 50_000
TIMEOUT_S = 20.0
ONE_PLAN = {"plan_cache_mode": "force_generic_plan"}
BUSY = PRINCIPALS[0]


class Noted(Questions):
    """Asks, and notes the questions that belong together."""

    sent: list[tuple[str, tuple[object, ...]]]

    @contextmanager
    def snapshot(self) -> Iterator[Ask]:
        self.sent = []

        def noted(sql: str, *values: object) -> list[tuple[Any, ...]]:
            self.sent.append((sql, values))
            return asked(sql, *values)

        with super().snapshot() as asked:
            yield noted


@dataclass
class Explained:
    """A log, and the plans of the statements that answer a question to it."""

    store: SqlEventStore
    questions: Noted
    question: str
    keeps_plans: bool

    def plans(self, scan: int = 20_000, **asked: Any) -> list[str]:
        """Return the plan of each statement, that of the index walk first."""
        trail = SqlAuditTrail(self.store, CATALOGUE.with_effect, scan=scan)
        trail.query(AuditQuery.model_validate(asked), Run(command_id=self.question, principal=AUDITOR))
        sent = sorted(self.questions.sent, key=lambda question: "branch" not in question[0])
        return [self._plan(sql, *values) for sql, values in sent]

    def _plan(self, sql: str, *values: object) -> str:
        explain = "EXPLAIN QUERY PLAN" if self.store.location.is_sqlite else "EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF)"
        rows = (
            self._kept(explain, sql, values) if self.keeps_plans else self.questions.rows(f"{explain} {sql}", *values)
        )
        return "\n".join(str(row[-1]) for row in rows)

    def _kept(self, explain: str, sql: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        """Explain as PostgreSQL does what it has been asked often: by one plan for all values."""
        number = count(1)
        numbered = re.sub(r"\?", lambda _: f"${next(number)}", sql)
        options = " ".join(f"-c {name}={value}" for name, value in {**FOR_QUESTIONS, **ONE_PLAN}.items())
        with psycopg.connect(self.store.location.url, options=options) as server:
            server.execute(f"PREPARE asked AS {numbered}".encode())
            given = SQL(", ").join(map(Literal, values))
            return server.execute(SQL("{} EXECUTE asked ({})").format(SQL(explain), given)).fetchall()


@pytest.fixture(scope="module", params=["sqlite", "sqlite with statistics", "postgres", "postgres, plans kept"])
def log(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explained]:
    if request.param.startswith("postgres"):
        postgres = request.getfixturevalue("postgres")
        location = Location.parse(postgres.url(postgres.create_database()))
    else:
        location = Location(path=tmp_path_factory.mktemp("log") / "ledger.db")
    generate(location, EVENTS)
    if request.param == "sqlite with statistics":
        execute(location, "ANALYZE")
    store = SqlEventStore(location, now_ms, new_id())
    store.check()
    questions = Noted(location, TIMEOUT_S)
    store.questions.close()
    store.questions = questions
    yield Explained(store, questions, ask(store), keeps_plans="kept" in request.param)
    store.close()


QUESTIONS: dict[str, list[dict[str, Any]]] = {
    "audit_newest": [{}, {"since": "2026-04-20", "until": "2026-05-01"}],
    "audit_principal": [{"username": BUSY}, {"username": RARE_PRINCIPAL}, {"username": BUSY, "until": "2026-05-01"}],
    "audit_tool": [{"tool_name": "get-logs"}, {"tool_name": "compose-down"}, {"effect": "destroy"}, {"effect": "read"}],
    "audit_status": [{"status": "failed"}, {"status": "expired"}, {"status": "success", "since": "2026-05-01"}],
    "audit_object": [{"object": "container/web"}, {"object": "web"}, {"object": "web", "until": "2026-05-01"}],
    "audit_principal_tool": [
        {"username": BUSY, "tool_name": "get-logs"},
        {"username": BUSY, "tool_name": "compose-down", "since": "2026-04-20"},
        {"username": BUSY, "effect": "destroy"},
    ],
    "audit_principal_status": [
        {"username": BUSY, "status": "failed"},
        {"username": RARE_PRINCIPAL, "status": "denied"},
    ],
    "audit_tool_status": [
        {"tool_name": "get-logs", "status": "success"},
        {"tool_name": "compose-down", "status": "cancelled", "until": "2026-05-01"},
        {"effect": "mutate", "status": "failed"},
    ],
}


@pytest.mark.promise("P9")
@pytest.mark.parametrize(
    ("index", "asked"), [(index, asked) for index, questions in QUESTIONS.items() for asked in questions], ids=str
)
def test_usual_filters_walk_their_index_in_its_order(log: Explained, index: str, asked: dict[str, Any]) -> None:
    walk, *others = log.plans(**asked)
    assert f" {index} " in walk.replace("(", " ")
    assert not {"Sort", "TEMP B-TREE", "Seq Scan", "SCAN event", "Filter"} & words(walk)
    for plan in others:
        assert not {"Seq Scan on event", "SCAN event", "SCAN latest", "SCAN first", "SCAN e"} & words(plan), plan


@pytest.mark.promise("P9")
@pytest.mark.parametrize(
    ("index", "asked"),
    [
        ("audit_newest", {"principal_role": "nobody"}),
        ("audit_newest", {"correlation_id": "nothing"}),
        ("audit_principal", {"username": BUSY, "principal_role": "nobody"}),
        ("audit_object", {"object": "container/web", "username": "nobody", "status": "failed"}),
        ("audit_principal_tool", {"username": BUSY, "tool_name": "get-logs", "principal_role": "nobody"}),
    ],
)
def test_other_filters_read_a_bounded_number_of_entries_of_the_index(
    log: Explained, index: str, asked: dict[str, Any]
) -> None:
    walk, *_ = log.plans(scan=70, **asked)
    assert f" {index} " in walk.replace("(", " ")
    assert not {"Sort", "TEMP B-TREE", "Seq Scan", "SCAN event"} & words(walk)
    if not log.store.location.is_sqlite:
        assert "Rows Removed by Filter: 70\n" in walk


def words(plan: str) -> set[str]:
    """What a plan could say of a walk that reads too much."""
    bad = ("Sort", "TEMP B-TREE", "Seq Scan on event", "Seq Scan", "SCAN event", "SCAN latest", "SCAN first", "Filter")
    found = {word for word in bad if word in plan}
    return found | ({"SCAN e"} if "SCAN e\n" in plan + "\n" else set())
