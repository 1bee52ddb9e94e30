"""What following the engine's events needs from the outside, as Protocols that adapters satisfy."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from domain.engine_causes import Work
from domain.engine_events import EngineEvent
from domain.events import RecordedEvent


class EngineSign(NamedTuple):
    """Which engine answers, the time by its clock (nanoseconds since 1970 UTC), and how far that is ahead of ours."""

    engine_id: str
    now_ns: int
    ahead_ms: int = 0


class EventStream(Protocol):
    """Events as they happen. Ends when the engine ends it, or when nothing was heard for long."""

    def __iter__(self) -> Iterator[EngineEvent]: ...

    def close(self) -> None:
        """End it; any thread may."""
        ...


class EngineEvents(Protocol):
    """The engine's events. May block; each raises ``EngineError`` if the engine does not answer."""

    def sign(self) -> EngineSign:
        """Return which engine it is."""
        ...

    def told(self, since_ns: int, until_ns: int) -> list[EngineEvent]:
        """Return what the engine remembers of a time that is over, in the order in which it happened."""
        ...

    def follow(self, since_ns: int) -> EventStream:
        """Return what the engine remembers since then, and what happens from now on."""
        ...

    def container(self, container_id: str) -> EngineEvent | None:
        """Return a container's name, stack and label, as an event of it would tell them; None if there is none."""
        ...


class EngineLog(Protocol):
    """Questions to the log."""

    def newest(self, stream: str, most: int) -> list[RecordedEvent]:
        """Return the newest events of a stream, at most so many, in their order.

        Raises:
            LogUnavailableError: if the log cannot be read.
        """
        ...

    def works(self, since_ms: int) -> list[Work]:
        """Return the commands that change something and had not ended at ``since_ms``, or may have gone on since.

        Raises:
            LogUnavailableError: if the log cannot be read.
        """
        ...
