"""What a question to the audit trail costs, and that it does not grow with the log."""

from collections.abc import Callable
from typing import Any, Final

from adapters.store.audit_trail import SqlAuditTrail, rows_sql
from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from domain.catalogue import CATALOGUE
from domain.catalogue.audit import AuditQuery
from domain.catalogue.tool import Run
from server.bootstrap import new_id, now_ms
from tests.benchmarks.labels import label_of
from tests.benchmarks.made_commands import PRINCIPALS, RARE_PRINCIPAL
from tests.benchmarks.measure import Row, below, in_turns, median_ms
from tests.contract.events import AUTHORIZED, RECEIVED, STARTED, life, stream

_AIM_MS: Final = 5
_QUESTIONS: Final[dict[str, dict[str, Any]]] = {
    "no filter": {},
    "principal": {"username": PRINCIPALS[0]},
    "principal, rare and long ago": {"username": RARE_PRINCIPAL},
    "tool": {"tool_name": "get-logs"},
    "status": {"status": "failed"},
    "object": {"object": "container/web"},
    "object of any kind": {"object": "web"},
    "a week": {"since": "2026-05-01", "until": "2026-05-08"},
    "principal, tool": {"username": PRINCIPALS[0], "tool_name": "restart-container"},
    "principal, status": {"username": PRINCIPALS[0], "status": "denied"},
    "tool, status": {"tool_name": "compose-down", "status": "failed"},
    "principal, a week": {"username": PRINCIPALS[0], "since": "2026-05-01", "until": "2026-05-08"},
    "effect": {"effect": "destroy"},
}
_UNSERVED: Final = {"principal_role": "nobody"}


def audit_queries(location: Location, rounds: int, *, only_slowest: bool = True) -> list[Row]:
    """The newest 50 by each usual filter, against reading 50 rows of the view by their positions."""
    store = SqlEventStore(location, now_ms, new_id(), timeout_s=60)
    store.check()
    question = stream(tool="audit-query", principal="benchmark")
    (asked, *_) = store.append(life(RECEIVED, AUTHORIZED, STARTED, of=question)).result(60)
    trail = SqlAuditTrail(store, CATALOGUE.with_effect)
    run = Run(command_id=question.context.command_id, principal="benchmark")

    def query(given: dict[str, Any]) -> Callable[[], object]:
        return lambda: trail.query(AuditQuery.model_validate(given), run)

    ids = [entry.command_id for entry in trail.query(AuditQuery(), run).entries]
    marks = ", ".join("?" * len(ids))
    positions = [
        row[0] for row in store.questions.rows(f"SELECT position FROM audit_trail WHERE command_id IN ({marks})", *ids)
    ]

    def floor() -> object:
        return store.questions.rows(rows_sql(positions, is_sqlite=location.is_sqlite), *positions)

    works = [query(given) for given in _QUESTIONS.values()]
    *taken, least, unserved = map(median_ms, in_turns([*works, floor, query(_UNSERVED)], rounds))
    store.close()
    label = label_of(location, asked.position)
    slowest = f"slowest of {len(_QUESTIONS)}: " if only_slowest else ""
    by_cost = sorted(zip(taken, _QUESTIONS, strict=True), reverse=True)
    rows = [
        Row(
            what=f"{slowest}audit query by {name}, {label}",
            ours=ms,
            unit="ms",
            floor=least,
            floor_is="reading these rows",
            aim=below(_AIM_MS),
        )
        for ms, name in by_cost
    ]
    bounded = Row(what=f"audit query no index serves, {label}", ours=unserved, unit="ms", note="20 k entries, bounded")
    return [rows[0], bounded] if only_slowest else [*rows, bounded]
