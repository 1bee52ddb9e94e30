"""Events as people and their programs read them: as rows of JSON or of a table. Sealed values show as «sealed»."""

from typing import Any, Final

import orjson

from domain.canonical import JSON
from domain.chain import audit_record, timestamp
from domain.events import CommandPlanned, RecordedEvent
from domain.secrets import hide_sealed

CSV_COLUMNS: Final = (
    "position",
    "at",
    "type",
    "stream",
    "principal",
    "role",
    "tool",
    "object",
    "status",
    "purpose",
    "correlation_id",
    "summary",
    "reason",
    "duration_us",
    "data",
    "event_hash",
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def shown_data(event: RecordedEvent) -> JSON:
    """Return the data of an event for people: without sealed values and without the parts of a plan's text."""
    data = event.payload()
    if event.type == CommandPlanned.type:
        del data["text"]
    return hide_sealed(data)


def json_row(event: RecordedEvent) -> bytes:
    """Return an event as one line of JSON: all its columns, the time in words, the data for people."""
    columns = event._asdict()
    milliseconds = columns.pop("occurred_at_ms")
    columns = {"position": columns.pop("position"), "at": timestamp(milliseconds)} | columns
    return orjson.dumps(columns | {"data": _data(event)}) + b"\n"


def csv_row(event: RecordedEvent) -> list[str]:
    """Return an event as the cells of ``CSV_COLUMNS``. No cell is a formula to a spreadsheet."""
    data = _data(event)
    told = data if isinstance(data, dict) else {}
    cells: dict[str, Any] = event._asdict() | {
        "at": timestamp(event.occurred_at_ms),
        "summary": told.get("summary"),
        "reason": told.get("reason", told.get("message")),
        "duration_us": told.get("duration_us"),
        "data": orjson.dumps(data).decode(),
    }
    return [_harmless(cells[name]) for name in CSV_COLUMNS]


def record_row(event: RecordedEvent) -> bytes:
    """Return an event as one line of the public form: its protected fields and their hash."""
    record = audit_record(event) | {"event_hash": event.event_hash}
    return orjson.dumps(record, option=orjson.OPT_SORT_KEYS) + b"\n"


def _data(event: RecordedEvent) -> JSON:
    """Return what of the data can be shown; None for data that is no JSON: one bad row must not hide the others."""
    try:
        return shown_data(event)
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        return None


def _harmless(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
