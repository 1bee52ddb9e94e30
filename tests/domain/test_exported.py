"""Events as people read them: nothing sealed, no formulas, and no row that hides the others."""

import json
from typing import Any

import pytest
from hypothesis import given

from domain.events import CommandPlanned, CommandReceived, RecordedEvent
from domain.exported import CSV_COLUMNS, csv_row, json_row
from domain.secrets import SEALED_MARK
from tests.contract.events import life
from tests.domain.legal_logs import recorded
from tests.domain.strategies import chains

SEALED = {"$sealed": {"a": "1", "c": "ciphertext", "f": "digest", "k": "key", "n": 0}}


def row(received: CommandReceived | CommandPlanned | None = None, **columns: Any) -> RecordedEvent:
    (event,) = recorded(life(CommandReceived(summary="s", transport="t", executor="e"))[:1])
    if received is not None:
        event = event._replace(type=received.type, data=received.encode())
    return event._replace(**columns)


@pytest.mark.promise("P6")
def test_sealed_values_show_as_sealed() -> None:
    received = CommandReceived(summary="s", arguments={"environment": [["TOKEN", SEALED]]}, transport="t", executor="e")
    planned = CommandPlanned(summary="s", part=1, parts=1, text=json.dumps({"a": SEALED}), plan_sha256="d")
    for event in (row(received), row(planned)):
        told = json_row(event).decode() + ",".join(csv_row(event))
        assert "ciphertext" not in told
        assert "digest" not in told
    assert json.loads(json_row(row(received)))["data"]["arguments"]["environment"] == [["TOKEN", SEALED_MARK]]
    assert json.loads(json_row(row(planned)))["data"]["plan_sha256"] == "d"


@given(chains(most=3))
def test_a_row_holds_every_column(rows: list[RecordedEvent]) -> None:
    for event in rows:
        told = json.loads(json_row(event))
        assert set(told) == {*RecordedEvent._fields, "at"} - {"occurred_at_ms"}
        assert json_row(event).count(b"\n") == 1
        assert len(csv_row(event)) == len(CSV_COLUMNS)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula(start: str) -> None:
    cells = csv_row(row(principal=f"{start}cmd|' /C calc'!A0", purpose=f"{start}1"))
    assert not [cell for cell in cells if cell.startswith(start)]


@pytest.mark.parametrize("data", ["", "[]", "{", '"text"', "null"])
def test_a_row_with_broken_data_is_told_without_it(data: str) -> None:
    for kind in (CommandReceived.type, CommandPlanned.type, "moon.landed"):
        event = row(type=kind, data=data)
        assert json.loads(json_row(event))["position"] == 1
        assert csv_row(event)[0] == "1"
