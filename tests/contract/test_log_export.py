"""Which events an export holds: a range, narrowed, and never the events of the export itself."""

from typing import Any

import pytest

from adapters.store.event_store import SqlEventStore
from adapters.store.log_export import SqlLogExport
from domain.catalogue import CATALOGUE
from domain.catalogue.audit_export import AuditExport
from domain.catalogue.tool import Run, Surface
from domain.chain import timestamp
from domain.errors import DeniedError, InvalidArgumentsError, UnknownToolError
from tests.contract.events import DENIED, RECEIVED, life, stream


@pytest.fixture
def asked(store: SqlEventStore) -> Run:
    """Two commands of alice and a denied one of bob: ten events. Then one that asks for an export."""
    denied = life(RECEIVED, DENIED, of=stream(principal="bob", tool="remove-container", target="container/db"))
    store.append([*life(), *life(of=stream(target="container/other")), *denied]).result(30)
    asking = stream(tool="audit-export")
    store.append(life(RECEIVED, of=asking)).result(30)
    return Run(command_id=asking.context.command_id, principal="bob")


def command(**arguments: Any) -> AuditExport:
    parsed: AuditExport = CATALOGUE.find("audit-export", Surface.COMMAND_LINE).parse({"format": "jsonl", **arguments})
    return parsed


def exported(store: SqlEventStore, run: Run, **arguments: Any) -> list[int]:
    export, asked = SqlLogExport(store.questions), command(**arguments)
    return [event.position for event in export.events(asked, export.export(asked, run))]


@pytest.mark.parametrize(
    ("arguments", "positions"),
    [
        ({}, range(1, 11)),
        ({"principal": "bob"}, [9, 10]),
        ({"tool": "remove-container"}, [9, 10]),
        ({"object": "container/web"}, range(1, 5)),
        ({"status": "succeeded"}, [4, 8]),
        ({"status": "success", "from_position": 5}, [8]),
        ({"principal": "alice", "status": "denied"}, []),
        ({"from_position": 3, "to_position": 5}, [3, 4, 5]),
        ({"to_position": 900}, range(1, 11)),
        ({"from_position": 900}, []),
        ({"since": "2020-01-01"}, range(1, 11)),
        ({"until": "2020-01-01"}, []),
        ({"since": "1h"}, range(1, 11)),
        ({"until": "1h"}, []),
        ({"since": "2999-01-01T00:00:00Z"}, []),
        ({"until": "2999-01-01T00:00:00Z"}, range(1, 11)),
        ({"format": "audit-record", "from_position": 9}, [9, 10]),
    ],
    ids=str,
)
def test_range_and_filters_narrow_an_export(
    store: SqlEventStore, asked: Run, arguments: dict[str, Any], positions: Any
) -> None:
    assert exported(store, asked, **arguments) == list(positions)


def test_times_are_those_of_the_events(store: SqlEventStore, asked: Run) -> None:
    at = timestamp(store.read()[0].occurred_at_ms)
    assert exported(store, asked, since=at) == list(range(1, 11))
    assert exported(store, asked, until=at) == []


def test_an_export_in_many_steps_leaves_nothing_out(
    store: SqlEventStore, asked: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.store.log_export._POSITIONS_IN_A_STEP", 4)
    monkeypatch.setattr("adapters.store.log_export._EVENTS_IN_A_BATCH", 3)
    assert exported(store, asked) == list(range(1, 11))
    assert exported(store, asked, from_position=2, status="success") == [4, 8]


@pytest.mark.promise("P7")
def test_who_sees_own_records_exports_these_and_no_chain(store: SqlEventStore, asked: Run) -> None:
    own = Run(command_id=asked.command_id, principal="bob", sees_all_records=False)
    assert exported(store, own) == [9, 10]
    assert exported(store, own, principal="alice") == []
    with pytest.raises(DeniedError, match="sees its own alone"):
        exported(store, own, format="audit-record")


@pytest.mark.promise("P7")
@pytest.mark.parametrize("surface", [Surface.TOOL, Surface.PROMPT])
def test_clients_cannot_export(surface: Surface) -> None:
    with pytest.raises(UnknownToolError):
        CATALOGUE.find("audit-export", surface)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"format": "xml"}, "a format is one of jsonl, csv, audit-record"),
        ({"since": "last week"}, "a time is written like"),
        ({"status": "finished"}, "a status is one of"),
        ({"from_position": 0}, "greater than or equal to 1"),
        ({"format": "audit-record", "tool": "x"}, "without gaps"),
    ],
    ids=str,
)
def test_a_wrong_question_is_explained(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidArgumentsError, match=problem):
        command(**arguments)
