"""The lines of ``docker-mcp tail``. None lets a recorded text steer a terminal."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
import typer

from domain.chain import timestamp
from domain.events import EngineObserved, RecordedEvent
from domain.exported import json_row, shown_data
from domain.lifecycle import Status
from domain.text import printable

_GOOD: Final = "green"
_BAD: Final = "red"
_OPEN: Final = "yellow"
_ENGINE: Final = "cyan"
_COLOURS: Final[Mapping[str, str]] = {
    Status.SUCCESS: _GOOD,
    Status.FAILED: _BAD,
    Status.REJECTED: _BAD,
    Status.DENIED: _BAD,
    Status.REFUSED: _BAD,
    Status.UNKNOWN: _OPEN,
    Status.DEFERRED: _OPEN,
    Status.EXPIRED: _OPEN,
    Status.CANCELLED: _OPEN,
    "authentication.failed": _BAD,
    "calls.suppressed": _BAD,
    "chain.broken": _BAD,
    "engine.gap": _OPEN,
    "engine.suppressed": _OPEN,
    "oom": _BAD,
    "die": _OPEN,
    "unhealthy": _BAD,
    "healthy": _GOOD,
}
_WIDTHS: Final = (12, 18, 9, 24)
"""Of who, what, how it ended, and on what; longer ones push the rest to the right."""

_TOLD_APART: Final = ("exit_code", "signal", "old_name", "stack", "command_id")
_NOT_TOLD: Final = frozenset({"engine", "engine_time", "newest"})
_MOST_TEXT: Final = 200


def command_line(entry: Mapping[str, Any], *, colours: bool) -> str:
    """Return a command as one line: when, who, what, how it ended, on what, and why or what it was about."""
    took = f"{entry['duration_ms']} ms" if entry.get("duration_ms") is not None else ""
    about = entry.get("reason") or entry.get("summary") or ""
    purpose = f"({entry['purpose']})" if entry.get("purpose") else ""
    text = "  ".join(filter(None, (str(about), took, purpose)))
    cells = (entry["principal"], entry["tool"], entry["status"], entry.get("object") or "-")
    return _line(entry["at"], cells, text, _COLOURS.get(entry["status"]) if colours else None)


def event_line(event: RecordedEvent, *, colours: bool) -> str:
    """Return an event that belongs to no command as one line."""
    data = shown_data(event)
    data = data if isinstance(data, dict) else {}
    at_ms = event.occurred_at_ms
    if event.type == EngineObserved.type:
        at_ms = data["occurred_at_ms"]  # when it happened; it may have been recorded later
        what, how = str(data.get("action")), str(data.get("health") or ("external" if data.get("external") else "ours"))
        text = _facts({name: data[name] for name in _TOLD_APART if name in data})
        if other := data.get("container_name") or data.get("container"):
            text = f"container/{other} {text}".rstrip()
        cells = ("engine", what, how, event.object or f"{data.get('kind')}/{data.get('name', '-')}")
        colour: str | None = _COLOURS.get(how) or _COLOURS.get(what) or _ENGINE
    else:
        cells, text = (event.principal, event.type, "", event.object or "-"), _facts(data)
        colour = _COLOURS.get(event.type)
    return _line(timestamp(at_ms), cells, text, colour if colours else None)


def json_line(entry: Mapping[str, Any], event: RecordedEvent | None) -> str:
    """Return a command or an event as one line of JSON; ``type`` is ``command`` or that of the event."""
    line = json_row(event) if event else orjson.dumps({"type": "command", **entry})
    return printable(line.decode().rstrip("\n"))


def _line(at: str, cells: tuple[str, str, str, str], text: str, colour: str | None) -> str:
    padded = [printable(cell).ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True)]
    if colour:
        padded[1:3] = [typer.style(cell, fg=colour) for cell in padded[1:3]]
    return "  ".join((at, *padded, printable(text[:_MOST_TEXT]))).rstrip()


def _facts(data: Mapping[str, Any]) -> str:
    told = {name: value for name, value in data.items() if name not in _NOT_TOLD}
    return " ".join(_fact(name, value) for name, value in told.items())


def _fact(name: str, value: object) -> str:
    if name.endswith("_ms") and isinstance(value, int):
        return f"{name.removesuffix('_ms')}={timestamp(value)}"
    if name.endswith("_at_s") and isinstance(value, int):
        return f"{name.removesuffix('_at_s')}={timestamp(value * 1000)}"
    return f"{name}={value if isinstance(value, str) else _json(value)}"


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
