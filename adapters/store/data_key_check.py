"""Are the keys to what is sealed in the log still beside it, or is it recorded that they were forgotten?

Without a key nobody reads the values again, and all records stay right. A log that was made of segments never has them,
so what is missing is told and is no finding.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import orjson

from adapters.store.session import marks
from adapters.store.snapshot import Snapshot
from domain.events import CommandPlanned, CommandReceived, RecordedEvent
from domain.secrets import SEALED_KEY, SECRETS_STREAM

_AT_ONCE: Final = 500
_MARK: Final = f'"{SEALED_KEY}":{{"c":'
"""Begins a sealed value in canonical JSON. No text of a caller does: its quotes are escaped."""


class DataKeyCheck:
    """Looks up the keys of the commands that pass by, a few hundred at a time."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._waiting: dict[str, None] = {}
        self._lost = 0
        self._first: str | None = None

    def observe(self, events: Sequence[RecordedEvent]) -> None:
        """Take note of the next records, whatever is in them."""
        for event in events:
            if _is_sealed(event) and (command := str(event.stream)).isascii():  # else a finding of its own
                self._waiting[command] = None
        if len(self._waiting) >= _AT_ONCE:
            self._look()

    def notes(self) -> Iterator[str]:
        """Yield what is to be said at the end."""
        self._look()
        if self._lost:
            yield (
                f"the sealed values of {self._lost} commands cannot be read: their keys are gone, and no record says "
                f"that they were forgotten; first command {self._first}. A log made of archived segments has no keys; "
                "from any other somebody has deleted them"
            )

    def _look(self) -> None:
        waiting, self._waiting = list(self._waiting), {}
        for begin in range(0, len(waiting), _AT_ONCE):
            commands = waiting[begin : begin + _AT_ONCE]
            there = self._there("SELECT command_id FROM data_key WHERE command_id", commands)
            told = {SECRETS_STREAM + command: command for command in commands if command not in there}
            forgotten = self._there("SELECT stream FROM event WHERE stream_version = 1 AND stream", list(told))
            lost = [command for stream, command in told.items() if stream not in forgotten]
            self._lost += len(lost)
            self._first = self._first or next(iter(lost), None)

    def _there(self, sql: str, values: Sequence[str]) -> set[str]:
        if not values:
            return set()
        return {value for (value,) in self._snapshot.query(f"{sql} IN ({marks(values)})", *values)}


def _is_sealed(event: RecordedEvent) -> bool:
    """Return whether a record holds sealed values, whatever is in it."""
    if event.type == CommandReceived.type:
        return _MARK in str(event.data)
    if event.type != CommandPlanned.type:
        return False
    try:
        return _MARK in orjson.loads(event.data)["text"]
    except (KeyError, TypeError, ValueError):
        return False
