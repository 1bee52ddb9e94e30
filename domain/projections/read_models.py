"""The read models as the database holds them, beside those that the log yields: do they agree?"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from domain.ports import OpenCommand
from domain.projections.folded import FoldedEvent
from domain.projections.idempotency_keys import Claim, IdempotencyKeys
from domain.projections.metric_series import MetricSeries, SeriesKey
from domain.projections.open_commands import OpenCommands


class Difference(NamedTuple):
    """An entry of a read model that is not what the log yields; None: there is no such entry."""

    model: str
    entry: str
    stored: str | None
    folded: str | None

    def describe(self) -> str:
        """Return it as one line."""
        stored, folded = (value if value is not None else "nothing" for value in (self.stored, self.folded))
        return f"{self.model} {self.entry}: holds {stored}, the log yields {folded}"


@dataclass(frozen=True, slots=True)
class StoredModels:
    """The read models of a database at one moment.

    Attributes:
        head: the position of the newest event then; open commands and idempotency keys are as of it.
        folded_to: the position that the series are as of.
        folded_hash: the hash of the record there, None at position 0.
    """

    head: int
    open_commands: tuple[OpenCommand, ...]
    idempotency_keys: tuple[Claim, ...]
    series: Mapping[SeriesKey, int]
    folded_to: int
    folded_hash: str | None


class ReadModelCheck:
    """Folds the log from its first event to the head of ``stored`` and tells what is different there.

    For whoever reads the whole log anyway: hand all events to :meth:`fold`, then ask :meth:`differences`.
    """

    def __init__(self, stored: StoredModels) -> None:
        self._stored = stored
        self._open = OpenCommands()
        self._keys = IdempotencyKeys()
        self._series = MetricSeries()
        self._hash_there: str | None = None

    def fold(self, events: Iterable[FoldedEvent]) -> None:
        """Take in the next events, in log order; those beyond what was stored are left out."""
        stored = self._stored
        events = [event for event in events if event.position <= stored.head]
        self._open.fold(events)
        self._keys.fold(events)
        counted = [event for event in events if event.position <= stored.folded_to]
        self._series.fold(counted)
        if counted:
            self._hash_there = counted[-1].event_hash

    def differences(self) -> list[Difference]:
        """Return what is different, the open commands first; nothing if the models are what the log yields."""
        stored = self._stored
        found = open_command_differences(stored.open_commands, self._open.commands())
        found += idempotency_key_differences(stored.idempotency_keys, self._keys.claims())
        there = (self._series.position, self._hash_there)
        if (stored.folded_to, stored.folded_hash) != there:
            found.append(
                Difference("metric_series", "checkpoint", _place(stored.folded_to, stored.folded_hash), _place(*there))
            )
        return found + series_differences(stored.series, self._series.values)


def open_command_differences(stored: Iterable[OpenCommand], folded: Iterable[OpenCommand]) -> list[Difference]:
    """Return the open commands that are not what the log yields, by id."""
    return _differences("open_command", *({each.command_id: _told(each) for each in side} for side in (stored, folded)))


def idempotency_key_differences(stored: Iterable[Claim], folded: Iterable[Claim]) -> list[Difference]:
    """Return the idempotency keys that are not with the command that the log yields, by principal and key."""
    sides = ({f"{each.principal} {each.key}": each.command_id for each in side} for side in (stored, folded))
    return _differences("idempotency_key", *sides)


def series_differences(stored: Mapping[SeriesKey, int], folded: Mapping[SeriesKey, int]) -> list[Difference]:
    """Return the series that are not what the log yields, by name and labels. A series of 0 is as none."""
    sides = ({_series_name(key): str(value) for key, value in side.items() if value} for side in (stored, folded))
    return _differences("metric_series", *sides)


def _differences(model: str, stored: Mapping[str, str], folded: Mapping[str, str]) -> list[Difference]:
    return [
        Difference(model, entry, stored.get(entry), folded.get(entry))
        for entry in sorted({*stored, *folded})
        if stored.get(entry) != folded.get(entry)
    ]


def _place(position: int, event_hash: str | None) -> str:
    return f"position {position}, hash {event_hash or 'none'}"


def _told(command: OpenCommand) -> str:
    return f"position {command.position}, status {command.status or 'none'}, executor {command.executor or 'none'}"


def _series_name(key: SeriesKey) -> str:
    return f"{key.metric}{{{', '.join((*key.labels, *filter(None, [key.part])))}}}"
