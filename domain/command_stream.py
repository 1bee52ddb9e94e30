"""The stream of one command: puts its events into legal order and into the envelope."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Self

from domain.events import CommandReceived, Event, NewEvent, RecordedEvent, decode
from domain.lifecycle import check_life, step
from domain.ports import NewId


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandContext:
    """What every event of a command repeats: whose command it is, on what, and in which conversation."""

    command_id: str
    principal: str
    role: str
    tool: str
    object: str | None
    purpose: str | None
    correlation_id: str | None
    trace_id: str | None = None
    span_id: str | None = None


def received_of(events: Sequence[RecordedEvent]) -> CommandReceived:
    """Return how the command of a recorded stream (not empty) arrived."""
    received = decode(events[0].type, events[0].data)
    assert isinstance(received, CommandReceived)  # noqa: S101 (the lifecycle begins no other way)
    return received


class CommandStream:
    """Builds the events of one command; each is checked against the lifecycle and versioned."""

    def __init__(self, context: CommandContext, new_id: NewId) -> None:
        self.context = context
        self._new_id = new_id
        self._version = 0
        self._last_type: str | None = None
        self._last_id: str | None = None
        self._object = context.object

    @classmethod
    def resume(cls, events: Sequence[RecordedEvent], new_id: NewId) -> Self:
        """Continue a recorded stream (not empty).

        Raises:
            IllegalTransitionError: if the recorded events are no legal life.
        """
        last = events[-1]
        stream = cls(
            CommandContext(
                command_id=last.stream,
                principal=last.principal,
                role=last.role,
                tool=last.tool or "",
                object=last.object,
                purpose=last.purpose,
                correlation_id=last.correlation_id,
                trace_id=last.trace_id,
                span_id=last.span_id,
            ),
            new_id,
        )
        stream._last_type = check_life(event.type for event in events)
        stream._version = last.stream_version
        stream._last_id = last.event_id
        return stream

    def copy(self) -> "CommandStream":
        """Return the stream as it stands, to go on in another way."""
        return copy(self)

    @property
    def last_type(self) -> str | None:
        """The type of the latest event, None while there is none."""
        return self._last_type

    def add(self, event: Event, *, object_name: str | None = None) -> NewEvent:
        """Return ``event`` in its envelope; ``object_name`` replaces the context's from this event on.

        Raises:
            IllegalTransitionError: if the event cannot follow the last one.
            NotCanonicalError: if its data has no canonical form.

        A refused event leaves the stream as it was.
        """
        following = step(self._last_type, event.type)
        object_name = object_name or self._object
        context = self.context
        recorded = NewEvent(
            event_id=self._new_id(),
            stream=context.command_id,
            stream_version=self._version + 1,
            type=following,
            schema_version=event.schema_version,
            principal=context.principal,
            role=context.role,
            tool=context.tool,
            object=object_name,
            status=event.status,
            purpose=context.purpose,
            correlation_id=context.correlation_id,
            causation_id=self._last_id,
            trace_id=context.trace_id,
            span_id=context.span_id,
            data=event.encode(),
        )
        self._version += 1
        self._last_type, self._last_id, self._object = following, recorded.event_id, object_name
        return recorded
