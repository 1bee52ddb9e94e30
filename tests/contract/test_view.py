"""The view ``audit_trail`` in the hands of an owner of the database: answers do not read it, ``verify`` names it."""

from collections.abc import Callable

import pytest

from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.verification import verify_log
from adapters.store.view_check import CHANGED, CLOSED, MISSING, VIEW
from domain.findings import Finding
from migrations.audit_view import CREATE_AUDIT_TRAIL, POSTGRES_AUDIT_TRAIL, SQLITE_AUDIT_TRAIL
from tests.contract.events import AUTHORIZED, LIFE, RECEIVED, life, stream
from tests.contract.rows import execute
from tests.contract.test_audit_trail import ask, told
from tests.contract.test_background_check import Watched

pytestmark = pytest.mark.promise("P4")

_DROP = "DROP VIEW audit_trail"
_FINAL = "e.status NOT IN ('deferred', 'running', 'unknown')"


@pytest.fixture
def mallory(store: SqlEventStore) -> SqlEventStore:
    """A log with what mallory did, and with what alice began."""
    store.append(life(*LIFE, of=stream(principal="mallory", tool="stop-container"))).result(30)
    store.append(life(RECEIVED, AUTHORIZED, of=stream(principal="alice", tool="stop-container"))).result(30)
    return store


def made(location: Location, changed: Callable[[str], str] = str) -> str:
    """The statement that makes the view, of another select."""
    return CREATE_AUDIT_TRAIL + changed(SQLITE_AUDIT_TRAIL if location.path else POSTGRES_AUDIT_TRAIL)


def hiding(select: str) -> str:
    return select.replace(_FINAL, f"{_FINAL} AND e.principal <> 'mallory'")


def findings(location: Location) -> list[Finding]:
    return verify_log(location, 30, {}).findings


@pytest.mark.usefixtures("mallory")
@pytest.mark.parametrize(
    "changed",
    [
        hiding,
        lambda select: select.replace("e.principal, e.role", "e.role AS principal, e.principal AS role"),
        lambda select: select.replace("e.purpose", "'none' AS purpose"),
        lambda select: select.partition("UNION ALL")[0],
        lambda select: f" SELECT * FROM ({select}) AS t WHERE t.principal <> 'mallory'",
        lambda select: select.replace(", e.trace_id", ""),
    ],
    ids=[
        "hides a principal",
        "exchanges columns",
        "hides a purpose",
        "hides open commands",
        "wrapped",
        "lacks a column",
    ],
)
def test_a_view_that_was_changed_is_named(location: Location, changed: Callable[[str], str]) -> None:
    assert findings(location) == []
    execute(location, _DROP, made(location, changed))
    assert findings(location) == [Finding(VIEW, CHANGED)]


@pytest.mark.usefixtures("mallory")
def test_a_view_that_is_missing_or_a_table_is_named(location: Location) -> None:
    execute(location, "CREATE TABLE kept AS SELECT * FROM audit_trail", _DROP)
    assert findings(location) == [Finding(VIEW, MISSING)]
    execute(location, "ALTER TABLE kept RENAME TO audit_trail")
    assert findings(location) == [Finding(VIEW, CHANGED)]


@pytest.mark.usefixtures("mallory")
def test_the_view_as_it_was_made_is_right_again(location: Location) -> None:
    execute(location, _DROP, made(location, hiding), _DROP)
    execute(location, made(location))
    assert findings(location) == []


def test_answers_do_not_depend_on_the_view(location: Location, mallory: SqlEventStore) -> None:
    before = told(ask(mallory))
    execute(location, _DROP, made(location, hiding))
    assert [entry for entry in told(ask(mallory)) if entry[0] != "auditor"] == before
    execute(location, _DROP)
    assert [entry for entry in told(ask(mallory)) if entry[0] != "auditor"] == before


def test_a_server_notices_a_changed_view(location: Location, mallory: SqlEventStore) -> None:
    watched = Watched(location)
    watched.round()
    assert watched.told == []
    execute(location, _DROP, made(location, hiding))
    mallory.append(life()).result(30)
    watched.round()
    assert watched.told == [Finding(VIEW, CHANGED)]


@pytest.mark.postgres
def test_a_function_that_tells_us_something_else_than_others_is_named(postgres_location: Location) -> None:
    execute(
        postgres_location,
        "CREATE FUNCTION shown(who text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS "
        "$$ BEGIN RETURN who <> 'mallory' OR current_setting('application_name') = 'docker-mcp'; END $$",
        _DROP,
        made(postgres_location, lambda select: select.replace(_FINAL, f"{_FINAL} AND shown('mallory')")),
    )
    assert findings(postgres_location) == [Finding(VIEW, CHANGED)]


@pytest.mark.postgres
def test_a_view_of_tables_of_the_same_name_is_named(postgres_location: Location) -> None:
    execute(
        postgres_location,
        "CREATE SCHEMA beside",
        "CREATE TABLE beside.event (LIKE event INCLUDING ALL)",
        _DROP,
        made(postgres_location, lambda select: select.replace("FROM event e", "FROM beside.event e")),
    )
    assert findings(postgres_location) == [Finding(VIEW, CHANGED)]


@pytest.mark.postgres
def test_whoever_may_only_read_can_tell(postgres_location: Location) -> None:
    role = f"reader_{postgres_location.url.rpartition('/')[2]}"
    database = postgres_location.url.rpartition("/")[2]
    execute(
        postgres_location,
        f"CREATE ROLE {role} LOGIN",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",
        f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC",
        f"ALTER DATABASE {database} SET compute_query_id = on",  # numbers in every plan
    )
    reader = Location.parse(postgres_location.url.replace("postgres@", f"{role}@"))
    assert findings(reader) == []
    execute(postgres_location, f"REVOKE SELECT ON audit_trail FROM {role}")
    assert findings(reader) == [Finding(VIEW, CLOSED)]
    execute(postgres_location, f"DROP OWNED BY {role}", f"DROP ROLE {role}")
