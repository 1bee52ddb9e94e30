"""The rows of the log as the database file holds them, read past all of our own code."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.waiting import wait_for

SETTLED = {"success", "failed", "rejected", "denied", "cancelled"}


@dataclass(frozen=True)
class Row:
    """One event."""

    position: int
    stream: str
    type: str
    principal: str
    role: str
    tool: str | None
    object: str | None
    status: str | None
    purpose: str | None
    correlation_id: str | None
    trace_id: str | None
    span_id: str | None
    data: dict[str, Any]


class Records:
    """A SQLite log."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self, after: int = 0) -> list[Row]:
        """All events but checkpoints, which the server signs in its own time."""
        return [row for row in self._select("position > ?", after) if row.type != "checkpoint.signed"]

    def of(self, command_id: str) -> list[Row]:
        return self._select("stream = ?", command_id)

    def head(self) -> int:
        return max((row.position for row in self._select("position = (SELECT max(position) FROM event)")), default=0)

    def _select(self, condition: str, *values: object) -> list[Row]:
        columns = [name for name in Row.__annotations__ if name != "data"]
        sql = f"SELECT {', '.join(columns)}, data FROM event WHERE {condition} ORDER BY position"
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=10)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'audit_trail'").fetchone():
                return []  # the server has only begun to make it
            found = connection.execute(sql, values).fetchall()
        return [
            Row(**dict(zip([*columns, "data"], [*values, json.loads(data)], strict=True))) for *values, data in found
        ]

    def types(self, command_id: str) -> list[str]:
        return [row.type for row in self.of(command_id)]

    def commands(self, tool: str | None = None, after: int = 0) -> list[str]:
        """The ids of the commands that arrived, oldest first."""
        arrived = [row for row in self.rows(after) if row.type == "command.received"]
        return [row.stream for row in arrived if tool in (None, row.tool)]

    def the_command(self, tool: str, after: int = 0) -> str:
        """The id of the one command of ``tool`` since position ``after``, waited for."""
        wait_for(lambda: self.path.exists() and self.commands(tool, after), what=f"the record of {tool}")
        (command_id,) = self.commands(tool, after)
        return command_id

    def outcome(self, command_id: str, timeout_s: float = 15) -> Row:
        """The last event of a command, once it has ended."""
        wait_for(lambda: self.of(command_id)[-1].status in SETTLED, timeout_s, f"the outcome of {command_id}")
        return self.of(command_id)[-1]

    def text(self) -> bytes:
        """Everything in the database file and its journal."""
        files = [self.path, self.path.with_name(self.path.name + "-wal")]
        return b"".join(file.read_bytes() for file in files if file.exists())
