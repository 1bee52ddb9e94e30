"""The engine's event stream as the log takes it in: which events, which parts of them, and how one is recognised."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from domain.canonical import sha256_hex
from domain.catalogue.fields import COMMAND_LABEL
from domain.events import EngineObserved
from domain.text import column_text, optional_column_text

RECORDED: Final[Mapping[str, frozenset[str]]] = {
    "container": frozenset(
        {
            "commit",
            "create",
            "destroy",
            "die",
            "extract-to-dir",
            "health_status",
            "kill",
            "oom",
            "pause",
            "rename",
            "restart",
            "start",
            "stop",
            "unpause",
            "update",
        }
    ),
    "network": frozenset({"connect", "create", "destroy", "disconnect", "remove", "update"}),
    "volume": frozenset({"create", "destroy"}),
    "image": frozenset({"delete", "import", "load", "pull", "tag", "untag"}),
    "daemon": frozenset({"reload"}),
}
"""What is recorded, by kind. The rest says nothing about the state of objects, and some of it would flood the log:
each health check is three ``exec_`` events, with its command line in the action."""

HEALTH: Final = "health_status"
_HEALTH_WORDS: Final = frozenset({"healthy", "unhealthy", "starting", "none"})
_PROJECT_LABEL: Final = "com.docker.compose.project"
_WORD_LIMIT: Final = 64
NS_PER_MS: Final = 1_000_000
_NS_PER_S: Final = 1_000_000_000
_DIGEST_DIGITS: Final = 32


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """One event of the engine: what the log may keep of it, made safe for columns, and what tells its cause."""

    kind: str
    action: str
    object_id: str
    time_ns: int
    name: str | None = None
    health: str | None = None
    exit_code: int | None = None
    signal: str | None = None
    image: str | None = None
    container: str | None = None
    old_name: str | None = None
    stack: str | None = None
    label: str | None = None
    """The command that made the container, as the container's label says."""
    container_name: str | None = None

    @property
    def is_recorded(self) -> bool:
        """Whether the log takes events of this kind and action."""
        return self.action in RECORDED.get(self.kind, ())

    @property
    def at_ms(self) -> int:
        return self.time_ns // NS_PER_MS

    @property
    def digest(self) -> str:
        """What the event is recognised by when the engine tells it again."""
        return digest_of(engine_time(self.time_ns), self.kind, self.action, self.object_id)


def engine_event(told: Mapping[str, Any]) -> EngineEvent:
    """Return what the log may keep of an event as the engine tells it. Whatever is not of the known form is left out.

    A container's attributes are mixed with its labels: none but the fields named here is looked at.
    """
    actor = _mapping(told.get("Actor"))
    attributes = _mapping(actor.get("Attributes"))
    kind, (action, _, rest) = _word(told.get("Type")), str(told.get("Action", "")).partition(":")
    action, time_ns = _word(action), told.get("timeNano")
    is_container = kind == "container"
    health = rest.strip()
    return EngineEvent(
        kind=kind,
        action=action,
        object_id=column_text(str(actor.get("ID", ""))),
        time_ns=time_ns if type(time_ns) is int and time_ns > 0 else 0,
        name=_text(attributes, "name"),
        health=health if action == HEALTH and health in _HEALTH_WORDS else None,
        exit_code=_number(attributes.get("exitCode")) if action == "die" else None,
        signal=_text(attributes, "signal", _WORD_LIMIT) if action == "kill" else None,
        image=_text(attributes, "image") if is_container else None,
        container=_text(attributes, "container") if kind == "network" else None,
        old_name=(_text(attributes, "oldName") or "").removeprefix("/") or None if action == "rename" else None,
        stack=_text(attributes, _PROJECT_LABEL) if is_container else None,
        label=_text(attributes, COMMAND_LABEL) if is_container else None,
    )


def observed(engine: str, event: EngineEvent, command_id: str | None, tied_by: str | None) -> EngineObserved:
    """Return what the log keeps of an event of ``engine``, tied to the command that caused it, if there is one."""
    return EngineObserved(
        engine=engine,
        kind=event.kind,
        action=event.action,
        object_id=event.object_id,
        name=event.name,
        occurred_at_ms=event.at_ms,
        engine_time=engine_time(event.time_ns),
        health=event.health,
        exit_code=event.exit_code,
        signal=event.signal,
        image=event.image,
        container=event.container,
        container_name=event.container_name,
        old_name=event.old_name,
        stack=event.stack,
        command_id=command_id,
        tied_by=tied_by,
        external=command_id is None,
    )


def engine_time(time_ns: int) -> str:
    """Return a time in nanoseconds since 1970 UTC as the engine's API takes it: ``seconds.nanoseconds``."""
    seconds, rest = divmod(time_ns, _NS_PER_S)
    return f"{seconds}.{rest:09d}"


def time_ns_of(time: str) -> int:
    """Return the nanoseconds since 1970 UTC of a time as :func:`engine_time` writes it."""
    seconds, _, rest = time.partition(".")
    return int(seconds) * _NS_PER_S + int(rest)


def digest_of(*parts: str) -> str:
    """Return what an event is recognised by, from its time, kind, action and object, as its record has them."""
    return sha256_hex("\n".join(parts).encode("utf-8", "replace"))[:_DIGEST_DIGITS]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _word(value: object) -> str:
    return column_text(str(value or ""), _WORD_LIMIT)


def _text(attributes: Mapping[str, Any], key: str, limit: int = 256) -> str | None:
    value = attributes.get(key)
    return optional_column_text(value, limit) if isinstance(value, str) else None


def _number(value: object) -> int | None:
    try:
        number = int(str(value))
    except ValueError:
        return None
    return number if abs(number) < 2**31 else None
