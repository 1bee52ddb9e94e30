"""Which command of ours caused an event of the engine, told by what the log holds about the commands of that time."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from domain.engine_events import EngineEvent
from domain.events import CommandUnknown, RecordedEvent

LATE_MS: Final = 250
"""So long after it has answered the engine may still tell what it did."""

_MOST_KILLS: Final = 1000
_STACK: Final = "stack/"

_RUNS: Final = {"container": {"start"}, "network": {"connect"}}
_ENDS: Final = {"container": {"kill", "die", "stop"}, "network": {"disconnect"}}
_BOTH: Final = {"container": {"start", "kill", "die", "stop", "restart"}, "network": {"connect", "disconnect"}}

CAUSES: Final[Mapping[str, Mapping[str, set[str]]]] = {
    "create-container": {
        "container": {"create", "start", "destroy"},
        "network": {"connect", "disconnect"},
        "volume": {"create"},
        "image": {"pull", "tag"},
    },
    "start-container": _RUNS,
    "stop-container": _ENDS,
    "restart-container": _BOTH,
    "remove-container": {
        "container": {"kill", "die", "stop", "destroy"},
        "network": {"disconnect"},
        "volume": {"destroy"},
    },
    "network-create": {"network": {"create", "destroy"}},
    "network-remove": {"network": {"destroy"}},
    "network-connect": {"network": {"connect"}},
    "network-disconnect": {"network": {"disconnect"}},
    "image-pull": {"image": {"pull", "tag"}},
    "deploy-compose": {
        "container": {"create", "start", "kill", "stop", "restart", "destroy", "rename", "update"},
        "network": {"create", "connect", "disconnect", "destroy"},
        "volume": {"create", "destroy"},
        "image": {"pull", "tag"},
    },
    "compose-start": _RUNS,
    "compose-stop": _ENDS,
    "compose-restart": _BOTH,
    "compose-down": {
        "container": {"kill", "die", "stop", "destroy"},
        "network": {"disconnect", "destroy"},
        "volume": {"destroy"},
    },
}
"""What each tool makes the engine do, by kind. Of ``die`` the ``kill`` before it tells who caused it, if there was one;
without one a program ended by itself, also while a command that only starts containers is in progress."""


class Cause(NamedTuple):
    """A command of ours, and what told it: ``label``, ``object``, ``stack`` or ``time``."""

    command_id: str
    tied_by: str


@dataclass(frozen=True, slots=True)
class Work:
    """A command while it was applied to Docker: on what, and from when until when (None: it still is)."""

    command_id: str
    tool: str
    object: str | None
    ids: frozenset[str]
    began_ms: int
    ended_ms: int | None

    def spans(self, at_ms: int, late_ms: int = 0) -> bool:
        """Return whether the command was at work at that time, give or take ``late_ms``."""
        return self.began_ms - late_ms <= at_ms and (self.ended_ms is None or at_ms <= self.ended_ms + late_ms)


def work_of(started: RecordedEvent, ended: RecordedEvent | None) -> Work:
    """Return what a command did, from its ``execution.started`` and its outcome (None while there is none).

    The engine may go on with one whose outcome nobody could tell, for as long as its ``settle_s``.
    """
    ended_ms = ended.occurred_at_ms if ended else None
    if ended and ended.type == CommandUnknown.type:
        ended_ms = ended.occurred_at_ms + 1000 * int(started.payload().get("settle_s", 0))
    objects = _objects(started, "pinned") + (_objects(ended, "touched") if ended else [])
    return Work(
        command_id=started.stream,
        tool=started.tool or "",
        object=(ended or started).object,
        ids=frozenset(each["id"] for each in objects if isinstance(each, dict) and isinstance(each.get("id"), str)),
        began_ms=started.occurred_at_ms,
        ended_ms=ended_ms,
    )


class Causes:
    """Tells the causes of the engine's events, given in their order. Remembers who killed what until it has died."""

    def __init__(self) -> None:
        self._kills: OrderedDict[str, Cause | None] = OrderedDict()

    def of(self, event: EngineEvent, works: Sequence[Work], ahead_ms: int = 0) -> Cause | None:
        """Return which of ``works`` caused ``event``; None if none did.

        ``ahead_ms`` is how far the engine's clock is ahead of the log's.
        """
        if event.kind == "container" and event.action == "die" and event.object_id in self._kills:
            return self._kills.pop(event.object_id)
        cause = _cause(event, works, event.at_ms - ahead_ms)
        if event.kind == "container" and event.action == "kill":
            self._kills[event.object_id] = cause
            if len(self._kills) > _MOST_KILLS:
                self._kills.popitem(last=False)
        return cause


def _cause(event: EngineEvent, works: Sequence[Work], at_ms: int) -> Cause | None:
    able = [work for work in works if event.action in CAUSES.get(work.tool, {}).get(event.kind, ())]
    for late_ms in (0, LATE_MS):  # whoever was at work at that very moment goes before who has just ended
        near = [work for work in able if work.spans(at_ms, late_ms)]
        for tied_by, fits in _TIES.items():
            if found := _latest(work for work in near if fits(event, work)):
                return Cause(found.command_id, tied_by)
    # Nothing in events of these kinds leads to a command: it is told by being the only one at work.
    only = [work for work in able if work.spans(at_ms)] if event.kind in ("volume", "image") else []
    return Cause(only[0].command_id, "time") if len(only) == 1 else None


def _latest(works: Iterable[Work]) -> Work | None:
    return max(works, key=lambda work: work.began_ms, default=None)


def _by_label(event: EngineEvent, work: Work) -> bool:
    return event.label == work.command_id


def _by_object(event: EngineEvent, work: Work) -> bool:
    return event.object_id in work.ids or event.container in work.ids or work.object == f"{event.kind}/{event.name}"


def _by_stack(event: EngineEvent, work: Work) -> bool:
    if not work.object or not work.object.startswith(_STACK):
        return False
    stack = work.object.removeprefix(_STACK)
    name = event.object_id if event.kind == "volume" else event.name
    return event.stack == stack or (event.kind in ("network", "volume") and (name or "").startswith(f"{stack}_"))


_TIES: Final = {"label": _by_label, "object": _by_object, "stack": _by_stack}


def _objects(event: RecordedEvent, field: str) -> list[Any]:
    found = event.payload().get(field)
    return found if isinstance(found, list) else []
