"""Questions to the log, answered from its view."""

import pytest

from adapters.store.audit_trail import SqlAuditTrail
from adapters.store.event_store import SqlEventStore
from domain.catalogue import CATALOGUE
from domain.catalogue.audit import AuditLogs, AuditPage, GetCommand
from domain.catalogue.tool import Run
from domain.errors import NotFoundError
from tests.contract.events import AUTHORIZED, DENIED, LIFE, RECEIVED, STARTED, SUCCEEDED, UNKNOWN, life, stream


def ask(store: SqlEventStore, **asked: object) -> AuditPage:
    """Put a question as the server does: it is recorded before it is answered."""
    question = stream(principal="auditor", tool="audit-logs", target="")
    store.append(life(RECEIVED, AUTHORIZED, STARTED, of=question)).result(30)
    command = AuditLogs.model_validate(asked)
    return SqlAuditTrail(store, CATALOGUE.with_effect).query(
        command, Run(command_id=question.context.command_id, principal="auditor")
    )


@pytest.fixture
def trail(store: SqlEventStore) -> SqlEventStore:
    """Five commands of two principals, one of them still running, one unknown, one denied."""
    store.append(life(*LIFE, of=stream(principal="alice", tool="stop-container"))).result(30)
    store.append(life(*LIFE, of=stream(principal="bob", tool="remove-container"))).result(30)
    store.append(life(RECEIVED, DENIED, of=stream(principal="bob", tool="stop-container"))).result(30)
    store.append(life(RECEIVED, AUTHORIZED, STARTED, of=stream(principal="alice", tool="restart-container"))).result(30)
    unknown = life(RECEIVED, AUTHORIZED, STARTED, UNKNOWN, of=stream(principal="alice", tool="stop-container"))
    store.append(unknown).result(30)
    return store


def told(page: AuditPage) -> list[tuple[str, str, str]]:
    return [(entry.principal, entry.tool, entry.status) for entry in page.entries]


def test_each_command_is_one_entry_with_its_latest_status_newest_first(trail: SqlEventStore) -> None:
    assert told(ask(trail)) == [
        ("alice", "stop-container", "unknown"),
        ("alice", "restart-container", "running"),
        ("bob", "stop-container", "denied"),
        ("bob", "remove-container", "success"),
        ("alice", "stop-container", "success"),
    ]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"username": "bob"}, [("bob", "stop-container", "denied"), ("bob", "remove-container", "success")]),
        ({"tool_name": "remove-container"}, [("bob", "remove-container", "success")]),
        ({"status": "success"}, [("bob", "remove-container", "success"), ("alice", "stop-container", "success")]),
        ({"status": "succeeded", "username": "alice"}, [("alice", "stop-container", "success")]),
        ({"status": "unknown"}, [("alice", "stop-container", "unknown")]),
        ({"status": "running"}, [("alice", "restart-container", "running")]),
        ({"status": "denied", "tool_name": "stop-container"}, [("bob", "stop-container", "denied")]),
        ({"limit": "1"}, [("alice", "stop-container", "unknown")]),
        ({"username": "nobody"}, []),
        ({"username": "bob' OR '1'='1"}, []),
    ],
)
def test_filters_narrow_the_answer(
    trail: SqlEventStore, asked: dict[str, object], expected: list[tuple[str, str, str]]
) -> None:
    assert told(ask(trail, **asked)) == expected


def test_an_answer_ends_before_its_own_question(trail: SqlEventStore) -> None:
    first = ask(trail)
    assert first.log_position == 20
    assert "auditor" not in {entry.principal for entry in first.entries}
    assert ("auditor", "audit-logs", "running") in told(ask(trail))


def test_a_settled_command_changes_from_unknown_to_its_final_status(store: SqlEventStore) -> None:
    command = stream()
    store.append(life(RECEIVED, AUTHORIZED, STARTED, UNKNOWN, of=command)).result(30)
    store.append([command.add(SUCCEEDED)]).result(30)
    assert told(ask(store)) == [("alice", "stop-container", "success")]


def test_an_entry_says_who_what_when_why_and_how_long(store: SqlEventStore) -> None:
    events = life()
    recorded = store.append(events).result(30)
    (entry,) = ask(store).entries
    assert entry.model_dump(exclude_none=True) == {
        "command_id": events[0].stream,
        "at": entry.at,
        "principal": "alice",
        "role": "admin",
        "tool": "stop-container",
        "object": "container/web",
        "status": "success",
        "summary": "stop container web",
        "duration_ms": 1,
        "purpose": "test",
        "correlation_id": "talk-1",
    }
    assert recorded[-1].occurred_at_ms % 1000 == int(entry.at[-4:-1])


def test_the_reason_of_a_denial_and_of_a_failure_is_in_the_entry(trail: SqlEventStore) -> None:
    reasons = {entry.status: entry.reason for entry in ask(trail).entries}
    assert reasons["denied"] == "role user may not mutate"
    assert reasons["unknown"] == "no answer"


def test_a_command_is_told_from_its_first_to_its_last_event(store: SqlEventStore) -> None:
    events = life()
    store.append(events).result(30)
    run = Run(command_id="x", principal="x")
    story = SqlAuditTrail(store, CATALOGUE.with_effect).command(GetCommand(command_id=events[0].stream), run)
    assert [event.type for event in story.events] == [event.type for event in events]
    assert story.status == "success"
    with pytest.raises(NotFoundError, match="no command"):
        SqlAuditTrail(store, CATALOGUE.with_effect).command(
            GetCommand(command_id="0" * 8 + "-0000" * 3 + "-" + "0" * 12), run
        )
