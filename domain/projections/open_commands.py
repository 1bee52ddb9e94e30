"""The commands without a final status, as a fold of the log."""

from collections.abc import Iterable
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
    latest: dict[str, Standing | None] = {}
    for event in events:
        if not event.tool:
            continue
        if event.status in FINAL:
            latest[event.stream] = None
        else:
            before = latest.get(event.stream)
            executor = executor_of(event) or (before.executor if before else None)
            latest[event.stream] = Standing(event.position, event.status, executor)
    return latest


def executor_of(event: FoldedEvent) -> str | None:
    """Return the process that answers for the command from this event on, if the event names one."""
    if '"executor"' not in event.data:
        return None
    executor = tree_of(event).get("executor")
    return executor if isinstance(executor, str) else None


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
