"""The database itself refuses to change the log, and the store refuses a database that does not."""

import sqlite3
from collections.abc import Iterator

import psycopg
import pytest
from sqlmodel import SQLModel

import adapters.store.tables  # noqa: F401 (declares the tables)
from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.schema import TABLES
from adapters.store.verification import verify_log
from domain.errors import ConfigurationError, LogUnavailableError
from migrations.guards import POSTGRES_TRIGGERS, SQLITE_TRIGGERS
from server.bootstrap import new_id, now_ms
from tests.contract.events import life
from tests.contract.rows import execute, rows

REFUSED = (sqlite3.IntegrityError, psycopg.Error)
COLUMNS = (
    "event_id, stream, stream_version, type, schema_version, occurred_at_ms, principal, role, tool, object, status, "
    "purpose, correlation_id, causation_id, trace_id, span_id, data, previous_hash, event_hash"
)


@pytest.fixture
def log(location: Location) -> Iterator[Location]:
    """A log with two commands in it."""
    store = SqlEventStore(location, now_ms, new_id())
    for _ in range(2):
        store.append(life()).result(30)
    store.close()
    before = rows(location, "SELECT * FROM event ORDER BY position")
    yield location
    assert rows(location, "SELECT * FROM event ORDER BY position") == before


@pytest.mark.promise("P3")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE event SET principal = 'mallory' WHERE position = 3",
        "UPDATE event SET data = data",
        "UPDATE event SET event_hash = event_hash WHERE position = 8",
        "DELETE FROM event WHERE position = 8",
        "DELETE FROM event",
        "INSERT INTO event SELECT * FROM event WHERE position = 8",
    ],
)
def test_changes_are_refused(log: Location, statement: str) -> None:
    with pytest.raises(REFUSED):
        execute(log, statement)


@pytest.mark.promise("P3")
@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("position", "10"),
        ("position", "5"),
        ("stream_version", "1"),
        ("stream_version", "9"),
        ("occurred_at_ms", "1"),
        ("previous_hash", f"'{'0' * 64}'"),
        ("previous_hash", "NULL"),
        ("event_id", "(SELECT event_id FROM event WHERE position = 2)"),
        ("status", "'nonsense'"),
    ],
)
def test_a_forged_record_that_does_not_continue_the_log_is_refused(log: Location, change: str, value: str) -> None:
    wanted = {
        "position": "9",
        "event_id": "'forged'",
        "stream": "'forged'",
        "stream_version": "1",
        "status": "NULL",
        "previous_hash": "(SELECT event_hash FROM event WHERE position = 8)",
        "event_hash": f"'{'f' * 64}'",
    }
    if change == "stream_version":
        wanted["stream"] = "(SELECT stream FROM event WHERE position = 8)"
    wanted[change] = value
    values = ", ".join(wanted.get(column, column) for column in ("position", *COLUMNS.split(", ")))
    with pytest.raises(REFUSED):
        execute(log, f"INSERT INTO event (position, {COLUMNS}) SELECT {values} FROM event WHERE position = 8")


@pytest.mark.promise("P3")
@pytest.mark.parametrize("recursive_triggers", ["ON", "OFF"])
@pytest.mark.parametrize(
    "wanted",
    [
        {"position": "8"},
        {"position": "3"},
        {"event_id": "(SELECT event_id FROM event WHERE position = 2)"},
        {"stream": "(SELECT stream FROM event WHERE position = 4)", "stream_version": "2"},
        {"previous_hash": "(SELECT previous_hash FROM event WHERE position = 4)"},
        {"stream": "(SELECT stream FROM event WHERE position = 4)", "stream_version": "5", "status": "'failed'"},
    ],
)
def test_insert_or_replace_cannot_push_out_a_record(
    sqlite_location: Location, wanted: dict[str, str], recursive_triggers: str
) -> None:
    store = SqlEventStore(sqlite_location, now_ms, new_id())
    for _ in range(2):
        store.append(life()).result(30)
    store.close()
    before = rows(sqlite_location, "SELECT * FROM event")
    forged = {
        "position": "9",
        "event_id": "'forged'",
        "stream": "'forged'",
        "stream_version": "1",
        "previous_hash": "(SELECT event_hash FROM event WHERE position = 8)",
        "event_hash": f"'{'f' * 64}'",
        "status": "NULL",
    } | wanted
    values = ", ".join(forged.get(column, column) for column in ("position", *COLUMNS.split(", ")))
    replace = f"INSERT OR REPLACE INTO event (position, {COLUMNS}) SELECT {values} FROM event WHERE position = 8"
    with pytest.raises(sqlite3.IntegrityError):
        execute(sqlite_location, f"PRAGMA recursive_triggers = {recursive_triggers}", replace)
    assert rows(sqlite_location, "SELECT * FROM event") == before


@pytest.mark.promise("P3")
@pytest.mark.postgres
@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE event",
        "TRUNCATE event CASCADE",
        "SET session_replication_role = replica; DELETE FROM event",
        "SET session_replication_role = replica; TRUNCATE event",
        "INSERT INTO event SELECT * FROM event WHERE position = 8 ON CONFLICT (position) DO UPDATE SET role = 'admin'",
        "MERGE INTO event e USING (SELECT 8 AS p) x ON e.position = x.p WHEN MATCHED THEN DELETE",
    ],
)
def test_postgres_has_no_other_way_around(postgres_location: Location, statement: str) -> None:
    store = SqlEventStore(postgres_location, now_ms, new_id())
    for _ in range(2):
        store.append(life()).result(30)
    store.close()
    with pytest.raises(psycopg.Error):
        execute(postgres_location, *statement.split("; "))
    assert rows(postgres_location, "SELECT count(*) FROM event") == [(8,)]


def _without(location: Location, trigger: str) -> tuple[str, ...]:
    if location.path:
        return (f"DROP TRIGGER {trigger}",)
    return (f"DROP TRIGGER {trigger} ON event",)


@pytest.mark.promise("P3")
@pytest.mark.parametrize("number", range(3))
def test_a_database_without_one_of_its_guards_is_not_served(location: Location, number: int) -> None:
    SqlEventStore(location, now_ms, new_id()).check()
    trigger = list(SQLITE_TRIGGERS if location.path else POSTGRES_TRIGGERS)[number]
    execute(location, *_without(location, trigger))
    with pytest.raises(ConfigurationError, match=trigger):
        SqlEventStore(location, now_ms, new_id()).check()


def _dropping(location: Location) -> tuple[str, ...]:
    """Return what makes the database drop mallory's records without a word."""
    if location.path:
        return (
            "CREATE TRIGGER quiet BEFORE INSERT ON Event WHEN NEW.principal = 'mallory' "
            "BEGIN SELECT RAISE(IGNORE); END",
        )
    return (
        "CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF NEW.principal = 'mallory' THEN RETURN NULL; END IF; RETURN NEW; END $$",
        "CREATE TRIGGER a_quiet BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION quiet()",
    )


@pytest.mark.promise("P1", "P4")
def test_a_database_that_drops_records_takes_none_and_is_noticed(location: Location) -> None:
    store = SqlEventStore(location, now_ms, new_id())
    known = len(store.append(life()).result(30))
    execute(location, *_dropping(location))
    for _ in range(2):  # the second one finds the connection closed
        with pytest.raises(LogUnavailableError):
            store.append([event._replace(principal="mallory") for event in life()]).result(30)
    store.close()
    assert rows(location, "SELECT count(*) FROM event") == [(known,)]
    assert rows(location, "SELECT * FROM open_command") == []
    (finding,) = verify_log(location, 30, {}).findings
    assert finding.part == "guards"
    assert "quiet" in finding.problem
    with pytest.raises(ConfigurationError, match="quiet"):
        SqlEventStore(location, now_ms, new_id()).check()


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("CREATE RULE quiet AS ON INSERT TO event WHERE new.principal = 'mallory' DO INSTEAD NOTHING", "quiet"),
        (
            "CREATE RULE event_chain AS ON INSERT TO event WHERE new.role = 'user' DO INSTEAD NOTHING",
            "rule event_chain",
        ),
        ("CREATE RULE quiet AS ON INSERT TO idempotency_key DO INSTEAD NOTHING", "quiet on idempotency_key"),
        ("ALTER TABLE event ENABLE ROW LEVEL SECURITY", "row security on event"),
    ],
)
def test_what_keeps_records_from_postgres_or_from_questions_is_noticed(
    postgres_location: Location, statement: str, named: str
) -> None:
    SqlEventStore(postgres_location, now_ms, new_id()).check()
    execute(postgres_location, statement)
    with pytest.raises(ConfigurationError, match=named):
        SqlEventStore(postgres_location, now_ms, new_id()).check()


def test_a_weakened_sqlite_guard_is_noticed(sqlite_location: Location) -> None:
    SqlEventStore(sqlite_location, now_ms, new_id()).check()
    execute(
        sqlite_location,
        "DROP TRIGGER event_no_delete",
        "CREATE TRIGGER event_no_delete BEFORE DELETE ON event BEGIN SELECT 1; END",
    )
    with pytest.raises(ConfigurationError, match="event_no_delete"):
        SqlEventStore(sqlite_location, now_ms, new_id()).check()


@pytest.mark.postgres
@pytest.mark.parametrize(
    "weaken",
    [
        "ALTER TABLE event DISABLE TRIGGER event_no_change",
        "ALTER TABLE event ENABLE TRIGGER event_no_change",
        "CREATE OR REPLACE FUNCTION event_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
        "ALTER FUNCTION event_check_chain() SET search_path = beside",  # where a table event would be another one
    ],
)
def test_a_weakened_postgres_guard_is_noticed(postgres_location: Location, weaken: str) -> None:
    SqlEventStore(postgres_location, now_ms, new_id()).check()
    execute(postgres_location, weaken)
    with pytest.raises(ConfigurationError, match=r"event_no_change|event_chain"):
        SqlEventStore(postgres_location, now_ms, new_id()).check()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_guard_lost_while_serving_stops_the_next_connection(kind: str, request: pytest.FixtureRequest) -> None:
    location: Location = request.getfixturevalue(f"{kind}_location")
    first = SqlEventStore(location, now_ms, new_id())
    first.append(life()).result(30)
    execute(location, *_without(location, "event_chain"))
    second = SqlEventStore(location, now_ms, new_id())
    with pytest.raises(ConfigurationError):
        second.append(life()).result(30)
    first.close()
    second.close()


def test_the_tables_that_are_looked_at_are_those_of_the_log() -> None:
    assert set(TABLES) == SQLModel.metadata.tables.keys()


def _forgetful(location: Location, table: str) -> tuple[str, ...]:
    """Return what makes the database drop each row of a table beside the log without a word."""
    if location.path:
        return (f"CREATE TRIGGER quiet BEFORE INSERT ON {table} BEGIN SELECT RAISE(IGNORE); END",)
    return (
        "CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
        f"CREATE TRIGGER event_chain BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION quiet()",
    )


@pytest.mark.promise("P4", "P5")
@pytest.mark.parametrize("table", ["open_command", "data_key", "idempotency_key", "world_snapshot"])
def test_a_trigger_on_a_table_beside_the_log_is_named_and_not_served(location: Location, table: str) -> None:
    SqlEventStore(location, now_ms, new_id()).check()
    execute(location, *_forgetful(location, table))
    named = "quiet" if location.path else f"event_chain on {table}"
    (finding,) = verify_log(location, 30, {}).findings
    assert finding.part == "guards"
    assert named in finding.problem
    with pytest.raises(ConfigurationError, match=named):
        SqlEventStore(location, now_ms, new_id()).check()
