"""Docker objects as the log names and describes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from domain.canonical import JSON


class Kind(StrEnum):
    """What sort of object."""

    CONTAINER = "container"
    NETWORK = "network"
    IMAGE = "image"
    STACK = "stack"
    VOLUME = "volume"
    COMMAND = "command"
    """An earlier command, where a later one decides about it."""


class ObjectRef(BaseModel):
    """One object: its kind, its full id and the name it had when it was touched."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Touched:
    """An object that a command touches or makes, as rules see it: ``container/web``, its labels, its parts.

    A stack has parts: its containers, networks and volumes.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    parts: tuple["Touched", ...] = ()


class ObjectState(ObjectRef):
    """An object with the facts that tell one state from another, for example when it was last started.

    ``facts`` holds no secret: environment values never enter it.
    """

    facts: dict[str, JSON] = {}
    labels: Annotated[dict[str, str], Field(exclude=True)] = {}
    """For the policy; not recorded, since it may be long and its owner can read it from the object."""
    parts: Annotated[tuple["Touched", ...], Field(exclude=True)] = ()
    """For the policy, of a stack: all that stands of it; not recorded."""

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef(kind=self.kind, id=self.id, name=self.name)


def touched(state: ObjectState) -> Touched:
    """Return an object as rules see it."""
    return Touched(column_name(state.kind, state.name), state.labels, state.parts)


def column_name(kind: Kind, name: str) -> str:
    """Return how an event's ``object`` column names an object, for example ``container/web``."""
    return f"{kind}/{name}"


def column_names(object_name: str) -> tuple[str, ...]:
    """Return what the ``object`` column may hold for ``container/web``, or for ``web`` of any kind."""
    kind, slash, _ = object_name.partition("/")
    if slash and kind in set(Kind):
        return (object_name,)
    return tuple(column_name(kind, object_name) for kind in Kind)
