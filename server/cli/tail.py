"""``docker-mcp tail``: the log as it grows, a line for each command that ends and for whatever else happens."""

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from domain.chain import timestamp
from domain.events import RecordedEvent
from domain.objects import column_names
from server.cli.audit import News, followed
from server.cli.tail_lines import command_line, event_line, json_line
from server.settings import Settings

_PURPOSE = "docker-mcp tail"
_LOOK_BACK = 500
"""Positions before the beginning in which other events than commands are looked for."""

_OF_COMMANDS = frozenset({"tool_name", "status", "effect", "correlation_id"})
"""Filters that only commands can fit."""

_OF_NO_NEWS = frozenset({"checkpoint.signed", "engine.followed"})


async def tail_log(settings: Settings, filters: Mapping[str, str], lines: int, *, as_json: bool, colours: bool) -> None:
    """Print the last lines of the log and then each that comes, until interrupted.

    Raises:
        DockerMcpError: if the log cannot be asked, or the question is wrong.
    """
    first = True
    async for news in followed(settings, {**filters, "limit": max(1, lines)}, _PURPOSE):
        rows = _rows(news, filters)
        shown = rows[len(rows) - min(lines, len(rows)) :] if first else rows
        first = False
        for entry, event in shown:
            if as_json:
                line = json_line(entry, event)
            else:
                line = event_line(event, colours=colours) if event else command_line(entry, colours=colours)
            typer.echo(line, color=colours)


_Row = tuple[Mapping[str, Any], RecordedEvent | None]


def _rows(news: News, filters: Mapping[str, str]) -> list[_Row]:
    """Return what there is to tell in the order of time: commands, and with them other events."""
    after = news.after or max(0, news.until - _LOOK_BACK)
    events = _others(news.read(after, news.until - after), filters) if news.sees_all else []
    rows: list[_Row] = [(entry, None) for entry in news.entries]
    rows += [({"at": timestamp(event.occurred_at_ms)}, event) for event in events]
    return sorted(rows, key=lambda row: str(row[0]["at"]))


def _others(events: Sequence[RecordedEvent], filters: Mapping[str, str]) -> list[RecordedEvent]:
    """Return the events that belong to no command and fit."""
    if filters.keys() & _OF_COMMANDS:
        return []
    objects = column_names(filters["object"]) if "object" in filters else None
    return [
        event
        for event in events
        if event.tool is None
        and event.type not in _OF_NO_NEWS
        and filters.get("username") in (None, event.principal)
        and filters.get("principal_role") in (None, event.role)
        and (objects is None or event.object in objects)
    ]
