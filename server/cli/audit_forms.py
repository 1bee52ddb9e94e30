"""The forms in which ``docker-mcp audit`` prints: a table, JSON, CSV. None lets a recorded text steer a terminal."""

import csv
import io
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final

import orjson

from domain.text import printable

Entry = Mapping[str, Any]

_COLUMNS: Final = (
    ("at", "TIME", 24),
    ("principal", "PRINCIPAL", 16),
    ("role", "ROLE", 6),
    ("tool", "TOOL", 17),
    ("object", "OBJECT", 20),
    ("status", "STATUS", 8),
    ("duration_ms", "MS", 6),
    ("summary", "SUMMARY", 32),
    ("reason", "REASON", 0),
    ("command_id", "COMMAND", 36),
)
"""Key, title, and width where rows come one by one."""

_TITLES: Final = tuple((key, title) for key, title, _ in _COLUMNS)
_CSV_COLUMNS: Final = (*(key for key, _, _ in _COLUMNS[:-1]), "purpose", "correlation_id", "command_id")
_FORMULA: Final = tuple("=+-@＝＋－＠")


class Form(Enum):
    """How to print."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def page_text(page: Mapping[str, Any], form: Form) -> str:
    """Return a whole page."""
    match form:
        case Form.JSON:
            return json_text(page)
        case Form.CSV:
            return row_lines(page["entries"], form, first=True).rstrip("\n")
        case Form.TABLE:
            return table(page["entries"])


def row_lines(entries: Sequence[Entry], form: Form, *, first: bool = False) -> str:
    """Return a line for each entry; before the first ones, the titles."""
    match form:
        case Form.JSON:
            return "".join(printable(orjson.dumps(entry).decode()) + "\n" for entry in entries)
        case Form.CSV:
            return _csv_lines([_CSV_COLUMNS] if first else [], entries)
        case Form.TABLE:
            titles = [[title for _, title, _ in _COLUMNS]] if first else []
            rows = titles + [[_cell(entry, key) for key, _, _ in _COLUMNS] for entry in entries]
            return "".join(_line(row, [width for _, _, width in _COLUMNS]) + "\n" for row in rows)


def table(
    entries: Sequence[Entry],
    columns: Sequence[tuple[str, str]] = _TITLES,
    nothing: str = "no commands match",
) -> str:
    """Return entries as aligned columns (key, title); columns that are empty throughout are left out."""
    shown = [(key, title) for key, title in columns if any(entry.get(key) is not None for entry in entries)]
    rows = [[title for _, title in shown]]
    rows += [[_cell(entry, key) for key, _ in shown] for entry in entries]
    widths = [max(len(row[column]) for row in rows) for column in range(len(shown))]
    return "\n".join(_line(row, widths) for row in rows) if entries else nothing


def json_text(tree: Mapping[str, Any]) -> str:
    """Return indented JSON in which characters that could steer a terminal are escaped."""
    return "\n".join(map(printable, _indented(tree)))


def story_text(story: Mapping[str, Any]) -> str:
    """Return a command from its arrival to its latest event: its envelope, then each event with its data."""
    about = ("command_id", "principal", "role", "tool", "object", "status", "purpose", "correlation_id", "trace_id")
    lines = [f"{name:<14}  {story[name]}" for name in about if name in story]
    for event in story["events"]:
        lines += ["", f"{event['at']}  {event['type']}  (position {event['position']})"]
        lines += [f"  {name}: {_value(value)}" for name, value in event["data"].items()]
    if "plan" in story:
        lines += ["", "plan", *_indented(story["plan"])]
    return "\n".join(map(printable, lines))


def _indented(tree: Any) -> list[str]:
    return orjson.dumps(tree, option=orjson.OPT_INDENT_2).decode().split("\n")


def _value(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _cell(entry: Entry, key: str) -> str:
    value = entry.get(key)
    return "" if value is None else printable(str(value))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _csv_lines(titles: Sequence[Sequence[str]], entries: Sequence[Entry]) -> str:
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerows(titles)
    writer.writerows([_inert(_cell(entry, key)) for key in _CSV_COLUMNS] for entry in entries)
    return lines.getvalue()


def _inert(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
