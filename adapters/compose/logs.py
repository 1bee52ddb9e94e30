"""The newest lines of several containers in one order: that of time."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from adapters.docker.containers import seconds_of
from adapters.docker.describe import name_of
from adapters.docker.engine import Engine
from adapters.docker.errors import explained
from adapters.docker.logs import ENTRY_BYTES, NewestLines, shown
from domain.catalogue.stack_results import StackLogs
from domain.catalogue.stacks import ComposeLogs
from domain.objects import Kind

_ENTRIES_SEARCHED: Final = 20_000
"""How many of the newest log entries of each container a search looks through."""
_STAMP_BYTES: Final = len("2026-01-31T12:00:00.000000000Z ")
"""The engine writes all nine digits, so that the stamps sort as text."""
_SEPARATOR: Final = " | "


def read_logs(engine: Engine, command: ComposeLogs, project: str, entries: Sequence[Mapping[str, Any]]) -> StackLogs:
    """Return the newest lines of the containers ``entries``, each cut to what ``command`` asks for."""
    asked = _ENTRIES_SEARCHED if command.grep else command.tail + command.max_bytes // ENTRY_BYTES + 2
    wanted = command.grep.encode() if command.grep else b""
    found: list[tuple[bytes, str, str]] = []
    matched, cut, all_searched = 0, False, True
    now_ms = time.time_ns() // 1_000_000
    for entry in entries:
        newest = NewestLines(command.tail, command.max_bytes, wanted, stamp_bytes=_STAMP_BYTES)
        with explained(Kind.CONTAINER):
            newest.read(
                engine.log_chunks(
                    entry["Id"],
                    timestamps=True,
                    tail=asked,
                    since=seconds_of(command.since, now_ms),
                    until=seconds_of(command.until, now_ms),
                )
            )
        head = name_of(entry).removeprefix(f"{project}-") + _SEPARATOR
        found += ((stamp, head, text) for stamp, text in newest.stamped_lines())
        matched, cut = matched + newest.matched, cut or newest.cut
        all_searched = all_searched and newest.entries < asked
    found.sort(key=lambda line: line[0])
    told = [(f"{stamp.decode()}{head}" if command.timestamps else head, text) for stamp, head, text in found]
    lines, masked, left_out = shown(told[-command.tail :], command.max_bytes)
    truncated = matched > len(lines) or cut or left_out
    return StackLogs(
        lines=lines,
        shown=len(lines),
        matched=matched if command.grep or not truncated else None,
        masked=masked,
        truncated=truncated,
        narrow=_narrower(command, truncated=truncated, all_searched=all_searched),
    )


def _narrower(command: ComposeLogs, *, truncated: bool, all_searched: bool) -> str | None:
    if command.grep and not all_searched:
        return f"only the newest {_ENTRIES_SEARCHED} lines of each container were searched; use since, until, service"
    if truncated:
        return "older lines were left out; use service, grep, since, until, or raise tail and max_bytes"
    return None
