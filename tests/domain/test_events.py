"""What an event holds comes back from its text, also from texts that were written long ago."""

import json
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.canonical import NotCanonicalError
from domain.chain import verify
from domain.events import EVENT_TYPES, CommandSucceeded, Event, RecordedEvent, ServerStopped, decode
from domain.objects import ObjectState
from tests.domain.strategies import ANY_TEXT, EVENTS

GOLDEN = Path(__file__).parent / "golden"
# These files are texts of schema version 1 as they were first recorded. They are never made anew: a log out there
# holds such texts, and no later version may lose the ability to read and verify them.
STORED: list[dict[str, str]] = json.loads((GOLDEN / "events_v1.json").read_text())
ROWS: list[dict[str, Any]] = json.loads((GOLDEN / "rows_v1.json").read_text())


def subclasses(of: type[Event]) -> set[type[Event]]:
    return {of for each in of.__subclasses__() for of in {each} | subclasses(each)}


def test_every_event_class_is_a_known_type() -> None:
    ours = {each for each in subclasses(Event) if each.__module__ == "domain.events"}

    assert set(EVENT_TYPES.values()) == ours
    assert len(EVENT_TYPES) == len(ours)
    assert all(name == event.type for name, event in EVENT_TYPES.items())


def test_every_type_has_made_up_events() -> None:
    assert set(EVENTS) == set(EVENT_TYPES)


@pytest.mark.parametrize("event_type", sorted(EVENT_TYPES))
@settings(max_examples=30)  # of each type
@given(data=st.data())
def test_an_event_comes_back_from_its_text(event_type: str, data: st.DataObject) -> None:
    event = data.draw(EVENTS[event_type])
    text = event.encode()

    decoded = decode(event_type, text)

    assert type(decoded) is EVENT_TYPES[event_type]
    assert decoded == event
    assert decoded.encode() == text
    assert rfc8785.dumps(json.loads(text)).decode() == text


@given(ANY_TEXT)
def test_text_that_no_database_stores_is_replaced_once_and_for_all(text: str) -> None:
    event = ServerStopped(reason=text)

    assert decode("server.stopped", event.encode()).encode() == event.encode()


@pytest.mark.parametrize("facts", [{"share": 0.5}, {"two words": 1}, {"size": 2**53}])
def test_data_without_one_form_is_refused(facts: dict[str, Any]) -> None:
    state = ObjectState.model_validate({"kind": "container", "id": "1", "name": "web", "facts": facts})
    with pytest.raises(NotCanonicalError):
        CommandSucceeded(summary="s", state_after=(state,)).encode()


@pytest.mark.parametrize("event_type", ["command.exploded", "", "CommandReceived", "domain.events.CommandReceived"])
def test_a_type_of_another_version_is_not_guessed(event_type: str) -> None:
    with pytest.raises(KeyError):
        decode(event_type, "{}")


@pytest.mark.parametrize(
    "data",
    ["", "null", "[]", "{", '{"reason":1}', '{"reason":"x","more":1}', "{}", '{"reason":null}'],
)
def test_data_that_does_not_fit_the_type_is_refused(data: str) -> None:
    with pytest.raises(ValidationError):
        decode("server.stopped", data)


def test_an_event_cannot_be_changed() -> None:
    event = decode("server.stopped", '{"reason":"x"}')
    with pytest.raises(ValidationError):
        event.reason = "y"  # type: ignore[attr-defined]


@pytest.mark.parametrize("stored", STORED, ids=lambda stored: f"{stored['type']}-{stored['form']}")
def test_stored_events_stay_readable(stored: dict[str, str]) -> None:
    event = decode(stored["type"], stored["data"])

    assert event.schema_version == 1
    assert event.status == stored["status"]
    assert json.loads(event.encode()) == json.loads(stored["data"])
    assert event.encode() == stored["data"]


@pytest.mark.parametrize("event_type", sorted(EVENT_TYPES))
def test_the_stored_events_show_every_field_and_leave_out_what_may_be_left_out(event_type: str) -> None:
    """A field that is added gets a new stored event; the shortest ones show that it may be missing."""
    texts = {each["form"]: json.loads(each["data"]) for each in STORED if each["type"] == event_type}
    fields = EVENT_TYPES[event_type].model_fields

    assert {name for text in texts.values() for name in text} == set(fields)
    required = {name for name, field in fields.items() if field.is_required()}
    assert required <= set(texts["short"]) <= required | {"attempt"}


@pytest.mark.promise("P4")
def test_a_stored_chain_stays_verifiable() -> None:
    rows = [RecordedEvent(**row) for row in ROWS]

    assert {row.type for row in rows} == set(EVENT_TYPES)
    assert list(verify(rows)) == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["position"]))
def test_the_payload_of_a_row_is_its_data_as_a_tree(row: dict[str, Any]) -> None:
    assert RecordedEvent(**row).payload() == json.loads(row["data"])


def test_the_payload_of_an_unknown_type_can_be_read() -> None:
    row = RecordedEvent(**{**ROWS[0], "type": "command.of.tomorrow", "data": '{"a":[1,null]}'})

    assert row.payload() == {"a": [1, None]}
