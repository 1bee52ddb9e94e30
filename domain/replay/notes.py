"""What a timeline tells besides commands and what the engine did: notes about the log itself."""

from collections.abc import Mapping
from typing import Any, Final

from domain.chain import timestamp
from domain.events import (
    AuthenticationFailed,
    CallsSuppressed,
    ChainBroken,
    EngineGap,
    EngineSuppressed,
    LogContinued,
    PolicyLoaded,
    RecordedEvent,
    ServerStarted,
    ServerStopped,
    TokenIssued,
    UserAdded,
    UserKeyRotated,
    UserRemoved,
)
from domain.projections.folded import tree_of
from domain.replay.entry import Entry

NOTES: Final = frozenset(
    event.type
    for event in (
        AuthenticationFailed,
        CallsSuppressed,
        ChainBroken,
        EngineGap,
        EngineSuppressed,
        LogContinued,
        PolicyLoaded,
        ServerStarted,
        ServerStopped,
        TokenIssued,
        UserAdded,
        UserKeyRotated,
        UserRemoved,
    )
)
"""Their event types."""
_TOLD_AS_REASON: Final = frozenset({EngineGap.type, EngineSuppressed.type, CallsSuppressed.type})
_DULL: Final = frozenset({"settings_digest", "metrics", "world", "engine_time", "newest", "engine"})


def note(event: RecordedEvent) -> Entry:
    """Return the entry of a note."""
    tree = tree_of(event)
    told = ", ".join(_told(name, tree[name]) for name in _fields(tree))
    return Entry(
        kind="note",
        position=event.position,
        at_ms=event.occurred_at_ms,
        what=event.type,
        principal=event.principal,
        role=event.role,
        summary=f"{event.type}: {told}" if told else event.type,
        reason=reason_of(tree) or (told if event.type in _TOLD_AS_REASON else None),
        policy_digest=tree.get("policy_digest"),
    )


def _fields(tree: Mapping[str, Any]) -> list[str]:
    """Return the fields of a note that say something to people."""
    return [name for name, value in tree.items() if name not in _DULL and not isinstance(value, list)]


def _told(name: str, value: object) -> str:
    if name.endswith("_ms") and isinstance(value, int):
        return f"{name.removesuffix('_ms')} {timestamp(value)}"
    return f"{name} {value}"


def reason_of(tree: Mapping[str, Any]) -> str | None:
    """Return why a command did not come to its end, or why a note was made."""
    if "code" in tree:
        return f"{tree['code']}: {tree.get('message', '')}"
    return tree.get("reason") or tree.get("problem")
