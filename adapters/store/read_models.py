"""All read models of a log: are they what it yields, and if not, built anew beside the old ones and swapped."""

from collections.abc import Sequence
from typing import Final

from adapters.store.beside import Beside
from adapters.store.location import Location
from adapters.store.metric_series import (
    MODEL,
    Asked,
    MetricSeriesStore,
    Progress,
    StoredSeries,
    follow,
    load,
    no_progress,
    series_rows,
)
from domain.errors import ReadModelError
from domain.ports import OpenCommand
from domain.projections.folded import EventPart
from domain.projections.idempotency_keys import Claim, IdempotencyKeys
from domain.projections.metric_series import MetricSeries
from domain.projections.open_commands import OpenCommands
from domain.projections.read_models import (
    Difference,
    ReadModelCheck,
    StoredModels,
    idempotency_key_differences,
    open_command_differences,
    series_differences,
)

_OPEN: Final = "SELECT command_id, position, status, executor FROM open_command ORDER BY position"
_INSERT_OPEN: Final = "INSERT INTO open_command (command_id, position, status, executor) VALUES (?, ?, ?, ?)"
_KEYS: Final = "SELECT principal, key, command_id FROM idempotency_key"
_INSERT_KEY: Final = "INSERT INTO idempotency_key (principal, key, command_id) VALUES (?, ?, ?)"
_INSERT_SERIES: Final = "INSERT INTO metric_series (metric, labels, part, value) VALUES (?, ?, ?, ?)"
_LOCK_CHECKPOINT: Final = "UPDATE read_model_checkpoint SET position = position WHERE name = ?"
_INSERT_CHECKPOINT: Final = "INSERT INTO read_model_checkpoint (name, position, event_hash) VALUES (?, ?, ?)"


_FEW: Final = 500
"""Events that may be left to fold while appends wait."""


def stored_models(location: Location, timeout_s: float) -> StoredModels:
    """Return the read models as they are at this moment; appends go on meanwhile.

    Raises:
        LogUnavailableError: if the database does not answer.
        ReadModelError: if there is no checkpoint.
    """
    with Beside(location, timeout_s) as beside, beside.snapshot():
        return models_in(beside)


def models_in(log: Asked) -> StoredModels:
    """Return the read models as a connection sees them now.

    Raises:
        ReadModelError: if there is no checkpoint.
    """
    stored = load(log)
    return StoredModels(
        head=int(log.query("SELECT coalesce(max(position), 0) FROM event")[0][0]),
        open_commands=tuple(_open_commands(log)),
        idempotency_keys=tuple(_idempotency_keys(log)),
        series=stored.series.values,
        folded_to=stored.series.position,
        folded_hash=stored.event_hash,
    )


def check_read_models(location: Location, timeout_s: float, progress: Progress = no_progress) -> list[Difference]:
    """Read the whole log and return what is different in the read models; nothing if they equal a rebuild.

    Nothing is changed and nobody waits. Whoever reads the whole log anyway hands its events to a
    ``domain.projections.read_models.ReadModelCheck`` of :func:`stored_models` instead.

    Raises:
        LogUnavailableError: if the database does not answer.
        ReadModelError: if there is no checkpoint.
    """
    check = ReadModelCheck(stored := stored_models(location, timeout_s))
    with Beside(location, timeout_s) as beside:
        for batch in beside.batches(0, stored.head):
            check.fold(batch)
            progress(batch[-1].position, stored.head)
    return check.differences()


def rebuild(location: Location, timeout_s: float, progress: Progress = no_progress) -> list[Difference]:
    """Fold the log into new read models, put them in the place of the old ones, and return what was different.

    Appends go on until the new ones are complete but for the newest events; then they wait for one short transaction.

    Raises:
        LogUnavailableError: if the database does not answer; the old models are still there.
    """
    with Beside(location, timeout_s) as beside:
        new = _NewModels()
        while (head := beside.head()) > new.series.position + _FEW:
            for batch in beside.batches(new.series.position, head):
                new.fold(batch)
                progress(batch[-1].position, head)
        _catch_up_the_old(location, timeout_s)
        with beside.changes(appends_wait=True):
            beside.change(_LOCK_CHECKPOINT, MODEL)
            head = beside.head()
            for batch in beside.batches(new.series.position, head):
                new.fold(batch)
            found = open_command_differences(_open_commands(beside), new.open.commands())
            found += idempotency_key_differences(_idempotency_keys(beside), new.keys.claims())
            found += _series_found(beside, new.series, head)
            _swap(beside, new)
    return found


class _NewModels:
    """Read models in the making."""

    def __init__(self) -> None:
        self.open = OpenCommands()
        self.keys = IdempotencyKeys()
        self.series = MetricSeries()
        self.event_hash: str | None = None

    def fold(self, events: Sequence[EventPart]) -> None:
        self.open.fold(events)
        self.keys.fold(events)
        self.series.fold(events)
        self.event_hash = events[-1].event_hash


def _open_commands(log: Asked) -> list[OpenCommand]:
    return [OpenCommand(*row) for row in log.query(_OPEN)]


def _idempotency_keys(log: Asked) -> list[Claim]:
    return [Claim(*row) for row in log.query(_KEYS)]


def _catch_up_the_old(location: Location, timeout_s: float) -> None:
    """Let the old series count what they miss, so that they differ only if they are wrong."""
    try:
        MetricSeriesStore(location, timeout_s).catch_up()
    except ReadModelError:
        return  # they are told as wrong, and replaced


def _series_found(beside: Beside, new: MetricSeries, head: int) -> list[Difference]:
    try:
        stored = load(beside)
        _fold_the_rest(beside, stored, head)
    except ReadModelError as error:
        return [Difference(MODEL, "checkpoint", error.message, f"position {new.position}")]
    return series_differences(stored.series.values, new.values)


def _fold_the_rest(beside: Beside, stored: StoredSeries, head: int) -> None:
    position = stored.series.position
    if position:
        follow(beside.parts(position - 1, position), stored)
    for batch in beside.batches(position, head):
        stored.series.fold(batch)


def _swap(beside: Beside, new: _NewModels) -> None:
    beside.change("DELETE FROM open_command")
    beside.change_many(
        _INSERT_OPEN, [(each.command_id, each.position, each.status, each.executor) for each in new.open.commands()]
    )
    beside.change("DELETE FROM idempotency_key")
    beside.change_many(_INSERT_KEY, new.keys.claims())
    beside.change("DELETE FROM metric_series")
    beside.change_many(_INSERT_SERIES, series_rows({key: value for key, value in new.series.values.items() if value}))
    beside.change("DELETE FROM read_model_checkpoint WHERE name = ?", MODEL)
    beside.change(_INSERT_CHECKPOINT, MODEL, new.series.position, new.event_hash)
