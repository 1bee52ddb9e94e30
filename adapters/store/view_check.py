"""Does the view ``audit_trail`` still select what the migration made it select?

The product's own answers do not read it. Dashboards and SQL of others do, and whoever owns the database could have it
hide somebody's commands while every record stays as it was.
"""

from typing import Final

from adapters.store.rights import missing_rights
from adapters.store.snapshot import Rows, Snapshot
from migrations.audit_view import AUDIT_TRAIL_COLUMNS, CREATE_AUDIT_TRAIL, POSTGRES_AUDIT_TRAIL, SQLITE_AUDIT_TRAIL

VIEW: Final = "view audit_trail"
MISSING: Final = "is missing"
CHANGED: Final = "is not the one that was made with the log: it may hide commands, or tell something else of them"
CLOSED: Final = "may not be read by this role, so nobody can tell what it selects: grant SELECT on audit_trail"

_SQLITE_SQL: Final = "SELECT sql FROM sqlite_master WHERE lower(name) = 'audit_trail'"
_COLUMNS_SQL: Final = (
    "SELECT attname::text FROM pg_attribute "
    "WHERE attrelid = to_regclass('audit_trail') AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
)
_STRANGERS_SQL: Final = """
SELECT 1 FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
 WHERE r.ev_class = 'audit_trail'::regclass
   AND NOT (d.refclassid = 'pg_class'::regclass
            AND d.refobjid IN (r.ev_class, 'event'::regclass, 'open_command'::regclass))
 LIMIT 1
"""
"""What the view uses that is neither a table of ours nor built in: a function of somebody's could leave no trace in a
plan, since the planner may put its result in its place."""
_PLAN_SQL: Final = f"EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) SELECT {', '.join(AUDIT_TRAIL_COLUMNS)} FROM "  # noqa: S608
_TRIES: Final = 3


def view_problem(snapshot: Snapshot) -> str | None:
    """Return what is wrong with the view ``audit_trail``, None if nothing is.

    Raises:
        LogUnavailableError: if it cannot be told.
    """
    return _sqlite_problem(snapshot) if snapshot.is_sqlite else _postgres_problem(snapshot)


def _sqlite_problem(snapshot: Snapshot) -> str | None:
    rows = snapshot.query(_SQLITE_SQL)
    if not rows:
        return MISSING
    return None if rows == [(CREATE_AUDIT_TRAIL + SQLITE_AUDIT_TRAIL,)] else CHANGED


def _postgres_problem(snapshot: Snapshot) -> str | None:
    columns = tuple(name for (name,) in snapshot.query(_COLUMNS_SQL))
    if not columns:
        return MISSING
    if columns != AUDIT_TRAIL_COLUMNS or snapshot.query(_STRANGERS_SQL):
        return CHANGED
    if missing_rights(snapshot.query, ("audit_trail",)):
        return CLOSED
    return None if any(_plans_agree(snapshot) for _ in range(_TRIES)) else CHANGED


def _plans_agree(snapshot: Snapshot) -> bool:
    """Return whether the database would answer from the view as from what it should select.

    Plans are compared since the text in which PostgreSQL tells a view depends on its version, and since nothing has to
    be made for it, so that it also works on a standby. Statistics that change in between can tell them apart.
    """
    return _plan(snapshot, "audit_trail") == _plan(snapshot, f"({POSTGRES_AUDIT_TRAIL}) AS audit_trail")


def _plan(snapshot: Snapshot, source: str) -> object:
    rows: Rows = snapshot.query(_PLAN_SQL + source)
    return rows[0][0][0]["Plan"]
