"""The audit query finds what a look at every event finds, page by page, whatever is asked and whatever goes on."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.store.audit_trail import SqlAuditTrail
from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from domain.catalogue import CATALOGUE
from domain.catalogue.audit import MOST_PAGE_BYTES, AuditEntry, AuditPage, AuditQuery
from domain.catalogue.tool import Effect, Run
from domain.chain import timestamp
from domain.errors import InvalidArgumentsError
from domain.events import RecordedEvent
from domain.lifecycle import FINAL, Status
from domain.objects import Kind
from server.bootstrap import new_id, now_ms
from tests.benchmarks.made_commands import PRINCIPALS, RARE_PRINCIPAL
from tests.benchmarks.made_log import generate
from tests.contract.events import AUTHORIZED, LIFE, RECEIVED, STARTED, SUCCEEDED, UNKNOWN, life, stream

EVENTS = 4000
AUDITOR = "auditor"

Kept = dict[str, list[RecordedEvent]]


class Log:
    """A made log with a question at its end, and every command of it in memory."""

    def __init__(self, location: Location) -> None:
        self.store = SqlEventStore(location, now_ms, new_id())
        self.store.check()
        self.question = ask(self.store)
        self.commands: Kept = {}
        for event in self.store.read(limit=10 * EVENTS):
            if event.tool:
                self.commands.setdefault(event.stream, []).append(event)

    def all_that_fit(self, asked: AuditQuery, principal: str | None) -> list[str]:
        """Return the ids of the commands that fit, newest first: by a look at each."""
        last = {command_id: events[-1] for command_id, events in self.commands.items() if command_id != self.question}
        fitting = [event for event in last.values() if fits(event, asked) and principal in (None, event.principal)]
        return [event.stream for event in sorted(fitting, key=lambda event: -event.position)]


def fits(event: RecordedEvent, asked: AuditQuery) -> bool:
    tool = CATALOGUE.by_name(event.tool)
    wanted = {
        "principal": asked.username,
        "tool": asked.tool_name,
        "status": asked.status,
        "role": asked.principal_role,
        "correlation_id": asked.correlation_id,
    }
    return (
        all(value is None or getattr(event, name) == value for name, value in wanted.items())
        and (asked.object is None or asked.object in (event.object, (event.object or "").partition("/")[2]))
        and (asked.effect is None or (tool is not None and Effect(asked.effect) in tool.effects))
        and (asked.since is None or timestamp(event.occurred_at_ms) >= asked.since)
        and (asked.until is None or timestamp(event.occurred_at_ms) < asked.until)
    )


def ask(store: SqlEventStore, principal: str = AUDITOR) -> str:
    """Record a question, as the server does before it is answered; return its id."""
    question = stream(principal=principal, tool="audit-query", target="")
    store.append(life(RECEIVED, AUTHORIZED, STARTED, of=question)).result(30)
    return question.context.command_id


def pages(trail: SqlAuditTrail, asked: AuditQuery, run: Run) -> Iterator[AuditPage]:
    """Every page of an answer, as a client follows ``next_cursor``."""
    page = trail.query(asked, run)
    yield page
    while page.next_cursor:
        page = trail.query(asked.model_copy(update={"cursor": page.next_cursor}), run)
        yield page


def ids(entries: list[AuditEntry]) -> list[str]:
    return [entry.command_id for entry in entries]


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def log(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    if request.param == "sqlite":
        location = Location(path=tmp_path_factory.mktemp("log") / "ledger.db")
    else:
        postgres = request.getfixturevalue("postgres")
        location = Location.parse(postgres.url(postgres.create_database()))
    generate(location, EVENTS)
    log = Log(location)
    yield log
    log.store.close()


@st.composite
def questions(draw: st.DrawFn) -> dict[str, Any]:
    """Filters that often fit something; with more than two of them most answers are empty."""
    filters = {
        "username": st.sampled_from([*PRINCIPALS[:4], RARE_PRINCIPAL, "nobody"]),
        "tool_name": st.sampled_from(["list-containers", "get-logs", "compose-down", "_unknown", "no-such-tool"]),
        "status": st.sampled_from(list(Status)),
        "object": st.sampled_from(["container/web", "web", "stack/db", "db", "cache-1", "nothing"]),
        "effect": st.sampled_from(list(Effect)).map(str),
        "principal_role": st.sampled_from(["admin", "user"]),
        "since": st.sampled_from(["2026-04-10T00:00:00.000Z", "2026-05-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z"]),
        "until": st.sampled_from(["2026-05-10T00:00:00.000Z", "2026-05-31T00:00:00.000Z", "2028-01-01T00:00:00.000Z"]),
    }
    chosen = draw(st.lists(st.sampled_from(sorted(filters)), unique=True, max_size=3))
    return {name: draw(filters[name]) for name in chosen}


@pytest.mark.promise("P8", "P9")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=questions(), limit=st.sampled_from([40, 100, 500]), scan=st.sampled_from([60, 20_000]), own=st.booleans())
def test_pages_hold_all_that_fits_newest_first(
    log: Log, asked: dict[str, Any], limit: int, scan: int, own: bool
) -> None:
    if asked.get("since", "") >= asked.get("until", "9"):
        del asked["since"]
    query = AuditQuery(limit=limit, **asked)
    trail = SqlAuditTrail(log.store, CATALOGUE.with_effect, scan=scan)
    principal = PRINCIPALS[0] if own else AUDITOR
    run = Run(command_id=log.question, principal=principal, sees_all_records=not own)
    found = list(pages(trail, query, run))
    assert [each for page in found for each in ids(page.entries)] == log.all_that_fit(query, principal if own else None)
    assert all(len(page.entries) <= limit for page in found)


def trail_of(store: SqlEventStore, scan: int = 20_000) -> SqlAuditTrail:
    return SqlAuditTrail(store, CATALOGUE.with_effect, scan=scan)


@pytest.mark.parametrize("status", list(Status))
def test_every_status_can_be_asked_for(log: Log, status: Status) -> None:
    query = AuditQuery(status=status, limit=500)
    found = trail_of(log.store).query(query, Run(command_id=log.question, principal=AUDITOR)).entries
    assert ids(found) == log.all_that_fit(query, None)[:500]


def test_a_conversation_can_be_asked_for(log: Log) -> None:
    conversation = next(events[0].correlation_id for events in log.commands.values())
    query = AuditQuery(correlation_id=conversation, limit=500)
    found = trail_of(log.store).query(query, Run(command_id=log.question, principal=AUDITOR)).entries
    assert found
    assert ids(found) == log.all_that_fit(query, None)
    assert {entry.correlation_id for entry in found} == {conversation}


@pytest.mark.promise("P9")
def test_a_search_that_no_index_serves_ends_early_and_says_how_far_it_came(log: Log) -> None:
    run = Run(command_id=log.question, principal=AUDITOR)
    query = AuditQuery(principal_role="nobody-has-it")
    page = trail_of(log.store, scan=100).query(query, run)
    assert page.entries == []
    assert page.next_cursor
    looked_at = [events[-1] for events in log.commands.values() if events[-1].status in FINAL]
    last = sorted(looked_at, key=lambda event: -event.position)[99]
    assert page.scanned_to == timestamp(last.occurred_at_ms)
    following = trail_of(log.store, scan=100).query(query.model_copy(update={"cursor": page.next_cursor}), run)
    assert following.scanned_to
    assert following.scanned_to < page.scanned_to


def test_pages_stay_what_they_are_while_the_log_grows(store: SqlEventStore) -> None:
    running = stream(principal="alice")
    store.append(life(RECEIVED, AUTHORIZED, STARTED, of=running)).result(30)
    old = [life(*LIFE) for _ in range(7)]
    for command in old:
        store.append(command).result(30)
    query, seen = AuditQuery(limit=2), []
    run = Run(command_id=ask(store), principal=AUDITOR)
    page = trail_of(store).query(query, run)
    while True:
        seen += ids(page.entries)
        if not page.next_cursor:
            break
        store.append(life(*LIFE)).result(30)
        run = Run(command_id=ask(store), principal=AUDITOR)
        page = trail_of(store).query(query.model_copy(update={"cursor": page.next_cursor}), run)
    assert seen == [command[0].stream for command in reversed(old)] + [running.context.command_id]


def test_a_command_that_ends_between_question_and_answer_is_in_the_answer(store: SqlEventStore) -> None:
    running, unknown = stream(), stream()
    store.append(life(RECEIVED, AUTHORIZED, STARTED, of=running)).result(30)
    store.append(life(RECEIVED, AUTHORIZED, STARTED, UNKNOWN, of=unknown)).result(30)
    question = ask(store)
    store.append([running.add(SUCCEEDED)]).result(30)
    store.append(life(*LIFE)).result(30)
    entries = trail_of(store).query(AuditQuery(), Run(command_id=question, principal=AUDITOR)).entries
    assert [(entry.command_id, entry.status) for entry in entries] == [
        (running.context.command_id, "success"),
        (unknown.context.command_id, "unknown"),
    ]


@pytest.mark.promise("P9")
def test_an_answer_has_a_size_at_which_the_next_page_begins(store: SqlEventStore) -> None:
    purposes = 'p"' * 128
    for number in range(300):
        command = stream(target=f"container/{number:04}" + "x" * 230)
        command.context = command.context.__class__(
            **{
                **{name: getattr(command.context, name) for name in command.context.__slots__},
                "purpose": purposes,
                "correlation_id": "é" * 256,
            }
        )
        store.append(life(*LIFE, of=command))
    store.append([]).result(30)
    run = Run(command_id=ask(store), principal=AUDITOR)
    found = list(pages(trail_of(store), AuditQuery(limit=500), run))
    assert len(found) > 1
    assert all(len(page.text) < MOST_PAGE_BYTES + 1000 for page in found)
    assert sum(len(page.entries) for page in found) == 300


@pytest.mark.promise("P7")
@pytest.mark.parametrize("filters", [{}, {"username": "bob"}, {"username": "alice"}, {"status": "success"}])
def test_who_sees_only_own_records_sees_no_others_whatever_is_asked(
    store: SqlEventStore, filters: dict[str, Any]
) -> None:
    store.append(life(*LIFE, of=stream(principal="alice"))).result(30)
    store.append(life(*LIFE, of=stream(principal="bob"))).result(30)
    store.append(life(RECEIVED, AUTHORIZED, STARTED, of=stream(principal="alice"))).result(30)
    run = Run(command_id=ask(store, "bob"), principal="bob", sees_all_records=False)
    page = trail_of(store).query(AuditQuery(**filters), run)
    assert {entry.principal for entry in page.entries} <= {"bob"}
    assert len(page.entries) == (0 if filters.get("username") == "alice" else 1)


@pytest.mark.parametrize(
    ("since", "until"), [("today", "yesterday"), ("2026-01-02", "2026-01-01"), ("now", "now"), ("1h", "2h")]
)
def test_times_that_leave_nothing_are_explained(store: SqlEventStore, since: str, until: str) -> None:
    run = Run(command_id=ask(store), principal=AUDITOR)
    with pytest.raises(InvalidArgumentsError, match="since is not before until"):
        trail_of(store).query(AuditQuery(since=since, until=until), run)


def test_relative_times_count_from_the_question(location: Location) -> None:
    at = iter([2_000_000, 5_000_000, 5_000_000 + 3_600_000])
    store = SqlEventStore(location, lambda: next(at), new_id())
    old, new = life(*LIFE), life(*LIFE)
    store.append(old).result(30)
    store.append(new).result(30)
    run = Run(command_id=ask(store), principal=AUDITOR)

    def found(**times: str) -> list[str]:
        return ids(trail_of(store).query(AuditQuery.model_validate(times), run).entries)

    assert found(since="1h") == [new[0].stream]
    assert found(until="1h") == [old[0].stream]
    assert found(since="2h") == [new[0].stream, old[0].stream]
    assert found(since="59m") == []
    assert found(since="1970-01-01T01:00:00") == [new[0].stream]
    store.close()


@pytest.mark.parametrize("kind", list(Kind))
def test_a_bare_name_finds_objects_of_every_kind(store: SqlEventStore, kind: Kind) -> None:
    wanted = life(*LIFE, of=stream(target=f"{kind}/web"))
    store.append(wanted).result(30)
    store.append(life(*LIFE, of=stream(target=f"{kind}/web-1"))).result(30)
    run = Run(command_id=ask(store), principal=AUDITOR)
    for name in ("web", f"{kind}/web"):
        assert ids(trail_of(store).query(AuditQuery(object=name), run).entries) == [wanted[0].stream]


def test_news_is_what_ended_since_oldest_first_without_the_question(store: SqlEventStore) -> None:
    store.append(life(*LIFE)).result(30)
    question = ask(store)
    run = Run(command_id=question, principal=AUDITOR)
    trail = trail_of(store)
    after = trail.query(AuditQuery(), run).log_position
    ended, going_on, stuck = stream(), stream(), stream()
    store.append(life(*LIFE, of=ended)).result(30)
    store.append(life(RECEIVED, AUTHORIZED, STARTED, of=going_on)).result(30)
    store.append(life(RECEIVED, AUTHORIZED, STARTED, UNKNOWN, of=stuck)).result(30)
    news, after = trail.news(AuditQuery(), run, after)
    assert [entry.command_id for entry in news] == [ended.context.command_id, stuck.context.command_id]
    store.append([going_on.add(SUCCEEDED), stuck.add(SUCCEEDED)]).result(30)
    news, after = trail.news(AuditQuery(), run, after)
    assert [(entry.command_id, entry.status) for entry in news] == [
        (going_on.context.command_id, "success"),
        (stuck.context.command_id, "success"),
    ]
    assert trail.news(AuditQuery(), run, after) == ([], after)


def test_news_of_a_long_absence_comes_in_parts(log: Log) -> None:
    run, after, seen = Run(command_id=log.question, principal=AUDITOR), 0, []
    head = max(events[-1].position for events in log.commands.values())
    while after < head:
        news, after = trail_of(log.store).news(AuditQuery(status="failed"), run, after)
        seen += ids(news)
    assert seen == log.all_that_fit(AuditQuery(status="failed"), None)[::-1]
