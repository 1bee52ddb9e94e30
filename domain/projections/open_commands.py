"""The commands without a final status, as a fold of the log."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from domain.lifecycle import FINAL
from domain.ports import OpenCommand
from domain.projections.folded import FoldedEvent, tree_of

NOBODY = ""
"""The executor of a command whose events name none: no process answers for it."""


class Standing(NamedTuple):
    """Where a command stands after some of its events. ``executor`` is the last one they name, None if they do not."""

    position: int
    status: str | None
    executor: str | None


def standings(events: Iterable[FoldedEvent]) -> dict[str, Standing | None]:
    """Return where each command of ``events`` stands after them, by id; None for one that has ended."""
    latest: dict[str, FoldedEvent | None] = {}
    naming: dict[str, list[FoldedEvent]] = {}
    for event in events:
        if not event.tool:
            continue
        stream = event.stream
        if event.status in FINAL:
            latest[stream] = None
            continue
        latest[stream] = event
        if '"executor"' in event.data:  # whether it is what it looks like matters only if the command stays open
            naming.setdefault(stream, []).append(event)
    return {
        stream: Standing(event.position, event.status, _last_executor(naming.get(stream, ()))) if event else None
        for stream, event in latest.items()
    }


def _last_executor(events: Sequence[FoldedEvent]) -> str | None:
    """Return the process that answers for a command after ``events``: the last one that they name."""
    named = (tree_of(event).get("executor") for event in reversed(events))
    return next((executor for executor in named if isinstance(executor, str)), None)


class OpenCommands:
    """Folds events into the open commands. Memory grows with these alone."""

    def __init__(self) -> None:
        self._open: dict[str, OpenCommand] = {}

    def fold(self, events: Iterable[FoldedEvent]) -> None:
        """Take in the next events of the log, in its order."""
        for command_id, standing in standings(events).items():
            if standing is None:
                self._open.pop(command_id, None)
            else:
                position, status, executor = standing
                before = self._open.get(command_id)
                executor = executor or (before.executor if before else NOBODY)
                self._open[command_id] = OpenCommand(command_id, position, status, executor)

    def commands(self) -> list[OpenCommand]:
        """Return the open commands, oldest event first."""
        return sorted(self._open.values(), key=lambda command: command.position)
