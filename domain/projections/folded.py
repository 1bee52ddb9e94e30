"""What a fold reads of an event: a part of the row, since a fold goes through millions of them."""

from typing import Any, NamedTuple, Protocol

import orjson


class WithData(Protocol):
    """Whatever has the data of an event."""

    @property
    def data(self) -> str: ...


class FoldedEvent(WithData, Protocol):
    """Any form of an event that has these columns; see ``domain.events.RecordedEvent``."""

    @property
    def position(self) -> int: ...
    @property
    def stream(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def principal(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def tool(self) -> str | None: ...
    @property
    def status(self) -> str | None: ...
    @property
    def event_hash(self) -> str: ...


class EventPart(NamedTuple):
    """The columns of an event that folds read, as the store hands them over."""

    position: int
    stream: str
    type: str
    principal: str
    role: str
    tool: str | None
    status: str | None
    data: str
    event_hash: str


class TracedPart(NamedTuple):
    """What an exemplar tells of an event that belongs to a trace."""

    tool: str | None
    status: str | None
    data: str
    trace_id: str
    occurred_at_ms: int


def tree_of(event: WithData) -> dict[str, Any]:
    """Return the data of an event of any type; an empty tree for data that is none: a fold goes on past a bad row."""
    try:
        tree = orjson.loads(event.data)
    except orjson.JSONDecodeError:
        return {}
    return tree if isinstance(tree, dict) else {}
