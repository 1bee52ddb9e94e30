"""Is the database ours to write: the right revision, and every guard in place? By plain SQL, to start fast."""

from collections.abc import Callable
from typing import Any, Final

from adapters.store.session import Session
from adapters.store.sqlite import SqliteSession
from domain.errors import ConfigurationError
from migrations.guards import POSTGRES_FUNCTIONS, POSTGRES_TRIGGERS, SQLITE_TRIGGERS

REVISION: Final = "0005"
"""The migration that this version needs; equal to Alembic's head."""

# tgtype and tgenabled as PostgreSQL documents them in the catalog pg_trigger (src/include/catalog/pg_trigger.h).
_TRIGGER_BITS: Final = {"ROW": 1, "STATEMENT": 0, "BEFORE": 2, "INSERT": 4, "DELETE": 8, "UPDATE": 16, "TRUNCATE": 32}
_ENABLED_ALWAYS: Final = "A"

TABLES: Final = (
    "event",
    "open_command",
    "data_key",
    "idempotency_key",
    "metric_series",
    "read_model_checkpoint",
    "world_snapshot",
)
_OURS_SQL: Final = f"SELECT to_regclass(name) FROM unnest(ARRAY[{', '.join(map(repr, TABLES))}]) AS name"  # noqa: S608
# What is not a guard never bears the name of one, so that it cannot stand for it.
_POSTGRES_TRIGGER_SQL: Final = f"""
SELECT t.tgname || CASE WHEN t.tgrelid = 'event'::regclass THEN '' ELSE ' on ' || t.tgrelid::regclass END,
       t.tgtype, t.tgenabled, p.proname, p.prosrc, t.tgqual IS NULL AND p.proconfig IS NULL
  FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
 WHERE t.tgrelid IN ({_OURS_SQL}) AND NOT t.tgisinternal
"""  # noqa: S608 (fixed names)
_POSTGRES_BESIDE_SQL: Final = f"""
SELECT 'rule ' || rulename || ' on ' || ev_class::regclass FROM pg_rewrite WHERE ev_class IN ({_OURS_SQL})
 UNION ALL SELECT 'row security on ' || oid::regclass FROM pg_class WHERE oid IN ({_OURS_SQL}) AND relrowsecurity
"""  # noqa: S608
"""What else can keep rows out of our tables, or hide them from questions."""


def revision(session: Session) -> str | None:
    """Return the database's migration, None for an empty database."""
    if isinstance(session, SqliteSession):
        exists = session.query("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'")
    else:
        exists = session.query("SELECT 1 WHERE to_regclass('alembic_version') IS NOT NULL")
    rows = session.query("SELECT version_num FROM alembic_version") if exists else []
    return str(rows[0][0]) if rows else None


def check_revision(found: str | None) -> None:
    """Refuse a database that this version cannot write.

    Raises:
        ConfigurationError: saying which command helps.
    """
    if found == REVISION:
        return
    if found is not None and found > REVISION:
        raise ConfigurationError(
            f"the database has schema {found}, this version knows {REVISION}", hint="install the newer version"
        )
    raise ConfigurationError(
        f"the database has schema {found or 'none'}, this version needs {REVISION}", hint="run `docker-mcp migrate`"
    )


def wrong_guards(query: Callable[[str], list[tuple[Any, ...]]], *, is_sqlite: bool) -> list[str]:
    """Return the names of the log's guards that are missing or changed, and of what somebody has put beside them.

    A trigger that is not ours can have the database drop records without a word, and on the tables beside the log
    what keeps a command from being done twice.
    """
    found: dict[str, Any]
    expected: dict[str, Any]
    if is_sqlite:
        found, expected = dict(query("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")), SQLITE_TRIGGERS
    else:
        found = {name: "beside" for (name,) in query(_POSTGRES_BESIDE_SQL)}
        found |= {name: tuple(rest) for name, *rest in query(_POSTGRES_TRIGGER_SQL)}
        expected = {
            name: (_tgtype(moment, each), _ENABLED_ALWAYS, function, POSTGRES_FUNCTIONS[function], True)
            for name, (moment, each, function) in POSTGRES_TRIGGERS.items()
        }
    return sorted(name for name in expected.keys() | found.keys() if found.get(name) != expected.get(name))


def check_guards(session: Session) -> None:
    """Refuse a database that does not itself refuse changes to the log.

    Raises:
        ConfigurationError: naming the guards that are missing, changed or not ours.
    """
    if wrong := wrong_guards(session.query, is_sqlite=isinstance(session, SqliteSession)):
        raise ConfigurationError(
            f"the database no longer guards the event log; missing, changed or not ours: {', '.join(wrong)}",
            hint="find out who changed them; keep this database as evidence and start with a new one",
        )


def _tgtype(moment: str, each: str) -> int:
    return sum(_TRIGGER_BITS[word] for word in (*moment.split(), each) if word != "OR")
