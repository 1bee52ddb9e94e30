"""The prompt ``incident-review``: bounded, recorded, and no more than the audit shows."""

import orjson
import pytest

from adapters.store.location import Location
from domain.catalogue.replay import MOST_FACT_BYTES
from domain.catalogue.tool import Surface
from domain.principal import Principal, Role
from server.bootstrap import Application
from tests.benchmarks.made_log import generate
from tests.conftest import ADMIN, READER, Serve, caller
from tests.contract.rows import execute

pytestmark = pytest.mark.anyio

BEGIN = "2026-04-01"
EVENTS = 3_000


@pytest.fixture
def made(sqlite_location: Location) -> Location:
    generate(sqlite_location, EVENTS)
    execute(sqlite_location, "PRAGMA journal_mode = WAL")  # as every server sets it
    return sqlite_location


async def review(application: Application, principal: Principal = ADMIN, **question: str) -> dict[str, object]:
    given = caller(application, principal=principal)
    answer = await application.dispatcher.dispatch("incident-review", question, given, Surface.PROMPT)
    assert answer.error is None, answer.error.describe()
    return answer.content()


@pytest.mark.promise("P9")
async def test_the_facts_of_a_long_time_stay_within_the_limit(serve: Serve, made: Location) -> None:
    async with serve(made, DOCKER_HOST="unix:///nowhere.sock") as application:
        facts = await review(application, since=BEGIN)
    rows = {name: value for name, value in facts.items() if isinstance(value, list)}
    assert len(orjson.dumps(rows)) < MOST_FACT_BYTES + 1024
    assert all(rows[name] for name in ("failures", "after", "timeline", "differences"))
    counts, left_out = facts["counts"], facts["left_out"]
    assert isinstance(counts, dict)
    assert isinstance(left_out, dict)
    bad = counts["failed"] + counts["denied"] + counts["rejected"] + counts["unknown"]
    assert len(rows["failures"]) + left_out["failures"] == bad
    assert all("command_id" in row for row in rows["failures"])
    assert "engine" in str(facts["drift_problem"])


@pytest.mark.promise("P2", "P7")
async def test_a_user_reviews_its_own_commands_alone_and_is_recorded(serve: Serve, made: Location) -> None:
    async with serve(made, DOCKER_HOST="unix:///nowhere.sock") as application:
        await review(application, READER, since=BEGIN)
        facts = await review(application, READER, since=BEGIN)
        recorded = [event for event in application.store.read(EVENTS) if event.tool == "incident-review"]
    assert facts["counts"] == {
        "commands": 1, "engine_events": 0, "external_changes": 0, "principals": 1,
        "failed": 0, "unknown": 0, "denied": 0, "rejected": 0,
    }  # fmt: skip
    assert facts["after"] == []
    assert {event.principal for event in recorded} == {READER.name}
    assert [event.status for event in recorded].count("success") == 2


async def test_a_conversation_is_reviewed_by_itself(serve: Serve, made: Location) -> None:
    async with serve(made, DOCKER_HOST="unix:///nowhere.sock") as application:
        some = next(event for event in application.store.read(100) if event.correlation_id)
        facts = await review(application, since=BEGIN, correlation_id=str(some.correlation_id))
        talk = [event for event in application.store.read(0, EVENTS) if event.correlation_id == some.correlation_id]
    counts = facts["counts"]
    assert isinstance(counts, dict)
    assert counts["commands"] == len({event.stream for event in talk})
    assert counts["principals"] == 1


async def test_times_that_leave_nothing_are_refused(serve: Serve, made: Location) -> None:
    async with serve(made) as application:
        question = {"since": "today", "until": "yesterday"}
        given = caller(application, principal=Principal("x", Role.ADMIN))
        answer = await application.dispatcher.dispatch("incident-review", question, given, Surface.PROMPT)
    assert answer.error
    assert "since is not before until" in answer.error.describe()
