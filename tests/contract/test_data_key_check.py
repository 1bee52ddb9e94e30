"""``verify`` tells of sealed values whose key is gone without a record that they were forgotten."""

import json

import pytest

from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.verification import verify_log
from domain.canonical import JSON
from domain.events import CommandPlanned, Event, SecretsForgotten, event_of
from domain.findings import Report
from domain.principal import Principal
from domain.secrets import SECRETS_STREAM
from server.bootstrap import new_id
from tests.cli.keys import sealer
from tests.contract.events import AUTHORIZED, LIFE, RECEIVED, STARTED, SUCCEEDED, life, stream
from tests.contract.rows import execute

pytestmark = pytest.mark.promise("P6")


def record(store: SqlEventStore, *, planned: bool = False) -> str:
    """Record a command with a value sealed, in its arguments or in its plan; return its id."""
    of = stream()
    envelope = sealer().envelope(of.context.command_id)
    sealed: dict[str, JSON] = {"environment": [["TOKEN", envelope.seal("/environment/TOKEN", "hidden")]]}
    begin: list[Event] = [RECEIVED.model_copy(update={"arguments": {} if planned else sealed})]
    if planned:
        text = json.dumps(sealed, separators=(",", ":"), sort_keys=True)
        begin.append(CommandPlanned(summary="deploy", part=1, parts=1, text=text, plan_sha256="0" * 64))
    store.append(life(*begin, AUTHORIZED, STARTED, SUCCEEDED, of=of), envelope.data_key).result(30)
    return of.context.command_id


def lose(location: Location, command_id: str) -> None:
    execute(location, f"DELETE FROM data_key WHERE command_id = '{command_id}'")


def verified(location: Location) -> Report:
    report = verify_log(location, 30, {})
    assert report.findings == []
    return report


@pytest.mark.parametrize("planned", [False, True], ids=["arguments", "plan"])
def test_a_key_that_is_gone_without_a_record_is_told(location: Location, store: SqlEventStore, planned: bool) -> None:
    commands = [record(store, planned=planned) for _ in range(3)]
    assert verified(location).notes == []
    for command_id in commands[1:]:
        lose(location, command_id)
    (note,) = verified(location).notes
    assert "of 2 commands cannot be read" in note
    assert f"first command {commands[1]}" in note


def test_what_was_forgotten_by_a_command_is_not_told(location: Location, store: SqlEventStore) -> None:
    command_id = record(store)
    lose(location, command_id)
    told = SecretsForgotten(command_id=command_id, key_id="k")
    store.append([event_of(Principal("bob", "admin"), told, SECRETS_STREAM + command_id, new_id())]).result(30)
    assert verified(location).notes == []


def test_more_commands_than_are_looked_up_at_once(location: Location, store: SqlEventStore) -> None:
    commands = [record(store) for _ in range(502)]
    lose(location, commands[0])
    lose(location, commands[-1])
    (note,) = verified(location).notes
    assert "of 2 commands" in note


def test_no_text_of_a_caller_passes_for_a_sealed_value(location: Location, store: SqlEventStore) -> None:
    text = json.dumps({"$sealed": {"c": "x"}}, separators=(",", ":"))
    said: dict[str, JSON] = {"command": [text, json.dumps(text)], "labels": [["$sealed", text]]}
    received = RECEIVED.model_copy(update={"arguments": said, "summary": text})
    planned = CommandPlanned(summary=text, part=1, parts=1, text=json.dumps(said), plan_sha256="0" * 64)
    store.append(life(received, planned, *LIFE[1:])).result(30)
    assert verified(location).notes == []
