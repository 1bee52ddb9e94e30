"""Do the read models say what the log says? Each has a check here; verification runs them all in one snapshot."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

import orjson

from adapters.store.read_models import models_in
from adapters.store.snapshot import Snapshot, last_of
from adapters.store.world_check import WorldSnapshotCheck
from domain.errors import ReadModelError
from domain.events import RecordedEvent
from domain.lifecycle import FINAL
from domain.projections.read_models import ReadModelCheck as FoldedModels
from domain.stream_check import Last


class ReadModelCheck(Protocol):
    """Compares one read model with the log."""

    name: str
    needs_whole: bool
    """Whether the check has to observe the log from its first record; else it is left out."""

    def observe(self, events: Sequence[RecordedEvent]) -> None:
        """Take note of the next records."""
        ...

    def problems(self, open_commands: dict[str, Last]) -> Iterator[str]:
        """Yield what does not agree with the log; ``open_commands`` are those without a final status, as observed."""
        ...


class OpenCommandCheck:
    """The table ``open_command``: exactly the commands without a final status, each with its latest event."""

    name = "open_command"
    needs_whole = False

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def observe(self, events: Sequence[RecordedEvent]) -> None:
        """Nothing to note: the open commands are followed anyway."""

    def problems(self, open_commands: dict[str, Last]) -> Iterator[str]:
        snapshot, missing = self._snapshot, dict(open_commands)
        for command_id, position, status, executor in snapshot.query(
            "SELECT command_id, position, status, executor FROM open_command ORDER BY position"
        ):
            missing.pop(command_id, None)
            last = last_of(snapshot, command_id)
            if last is None or last.status in FINAL:
                yield f"lists command {command_id}, which the log says is not open"
            elif (position, status) != (last.position, last.status):
                yield f"says another position or status of command {command_id} than the log"
            elif not _is_known(snapshot, command_id, executor):
                yield f"says of command {command_id} that a process carries it out which the log does not know"
        for command_id in missing:
            yield f"lacks command {command_id}, which is open"


class FoldedModelsCheck:
    """The read models that take the whole log to check: metric series and idempotency keys."""

    name = "folds"
    needs_whole = True

    def __init__(self, snapshot: Snapshot) -> None:
        self._problem: str | None = None
        try:
            self._check = FoldedModels(models_in(snapshot))
        except ReadModelError as error:
            self._problem = error.message

    def observe(self, events: Sequence[RecordedEvent]) -> None:
        """Fold the next records."""
        if self._problem is None:
            try:
                self._check.fold(events)
            except (AttributeError, TypeError, ValueError):
                self._problem = "cannot be checked: records before do not have the form of records"

    def problems(self, _open_commands: dict[str, Last]) -> Iterator[str]:
        if self._problem:
            yield self._problem
            return
        for difference in self._check.differences():
            if difference.model != OpenCommandCheck.name:  # they have a check of their own
                yield difference.describe()


READ_MODEL_CHECKS: Final[tuple[Callable[[Snapshot], ReadModelCheck], ...]] = (
    OpenCommandCheck,
    FoldedModelsCheck,
    WorldSnapshotCheck,
)
"""Makes a fresh check of each read model."""


def _is_known(snapshot: Snapshot, command_id: str, executor: str) -> bool:
    """Return whether the log knows the process: by its start, or because a command of its own names it."""
    if snapshot.query("SELECT 1 FROM event WHERE stream = ? LIMIT 1", f"server/{executor}"):
        return True
    for (data,) in snapshot.query("SELECT data FROM event WHERE stream = ?", command_id):
        try:
            payload = orjson.loads(data)
        except (TypeError, orjson.JSONDecodeError):
            continue
        if isinstance(payload, dict) and payload.get("executor") == executor:
            return True
    return False
