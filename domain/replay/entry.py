"""One thing that happened, what a question wants to hear of, and how long an object was in one state."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from domain.events import RecordedEvent
from domain.objects import column_names
from domain.projections.folded import tree_of
from domain.replay.world import Key, Transition

_SHORTEST_ID: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a timeline is about; None: no matter. All that are given have to fit."""

    object: str | None = None
    stack: str | None = None
    principal: str | None = None
    correlation_id: str | None = None


EVERYTHING: Final = Wanted()


@dataclass(slots=True, kw_only=True)
class Entry:
    """A command from its arrival to its outcome, what the engine showed besides, or a note about the log itself.

    ``kind`` is ``command``, ``engine`` or ``note``. ``until_ms`` is when a command ended, None while it had not.
    ``touched`` are the objects that it was about or that it changed, ``names`` how the log's columns name them.
    """

    kind: str
    position: int
    at_ms: int
    what: str
    principal: str
    role: str = ""
    until_ms: int | None = None
    object: str | None = None
    status: str | None = None
    summary: str = ""
    reason: str | None = None
    purpose: str | None = None
    correlation_id: str | None = None
    command_id: str | None = None
    rule: str | None = None
    policy_digest: str | None = None
    external: bool = False
    touched: dict[Key, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    changes: list[Transition] = field(default_factory=list)
    events: list[RecordedEvent] = field(default_factory=list)

    @property
    def is_bad(self) -> bool:
        """Whether it is what an investigation looks for first: refused, failed, of unknown outcome, killed, unwell."""
        if self.kind == "command":
            return self.status in _BAD
        tree = tree_of(self.events[-1]) if self.events else {}
        ended_badly = self.external and bool(tree.get("exit_code"))
        return ended_badly or tree.get("health") == "unhealthy" or tree.get("action") == "oom"


_BAD: Final = frozenset({"failed", "unknown", "denied", "rejected", "refused", "expired"})


@dataclass(slots=True)
class Span:
    """One object in one state, from ``since_ms`` to ``until_ms`` (None: to the end)."""

    since_ms: int
    until_ms: int | None
    told: str
    position: int


def is_about(wanted: str, names: Iterable[str], touched: Mapping[Key, str]) -> bool:
    """Return whether ``wanted`` (``container/web``, ``web``, or the first digits of an id) is among these objects."""
    if not set(column_names(wanted)).isdisjoint(names):
        return True
    return len(wanted) >= _SHORTEST_ID and any(object_id.startswith(wanted) for _, object_id in touched)


def happened_ms(tree: Mapping[str, Any], event: RecordedEvent) -> int:
    """Return when the engine says that it happened, by its own clock."""
    at_ms = tree.get("occurred_at_ms")
    return at_ms if isinstance(at_ms, int) else event.occurred_at_ms
