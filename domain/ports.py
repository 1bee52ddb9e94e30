"""What the rules need from the outside, as Protocols that adapters satisfy."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from domain.events import NewEvent, RecordedEvent
from domain.objects import Kind, ObjectRef, ObjectState
from domain.secrets import DataKey

Clock = Callable[[], int]
"""Milliseconds since 1970 UTC."""

NewId = Callable[[], str]
"""A fresh UUIDv7 (RFC 9562): unique, and sorted by time."""


@dataclass(frozen=True, slots=True)
class OpenCommand:
    """A command without a final status, and the executor that answers for it."""

    command_id: str
    position: int
    status: str | None
    executor: str


class EventStore(Protocol):
    """The append-only log."""

    def append(self, events: Sequence[NewEvent], data_key: DataKey | None = None) -> Future[tuple[RecordedEvent, ...]]:
        """Record ``events`` together or not at all; the future ends when they are durable.

        Cancelling the future before it runs withdraws the events.

        Raises (in the future):
            LogUnavailableError: the log cannot be written; nothing was recorded.
            ConcurrentAppendError: a stream version is taken; nothing was recorded.
        """
        ...

    def read_stream(self, stream: str) -> list[RecordedEvent]:
        """Return the events of one stream in order; an empty list if there is none."""
        ...

    def read(self, after: int = 0, limit: int = 1000) -> list[RecordedEvent]:
        """Return up to ``limit`` events with a position beyond ``after``, in order."""
        ...

    def open_commands(self) -> list[OpenCommand]:
        """Return the commands without a final status, oldest first."""
        ...

    def running(self) -> list[RecordedEvent]:
        """Return the ``execution.started`` of each command that has started and has no outcome, in no order."""
        ...

    def command_of_key(self, principal: str, key: str) -> str | None:
        """Return the id of the command that a principal's idempotency key belongs to, None if it belongs to none."""
        ...

    def data_key(self, command_id: str) -> DataKey | None:
        """Return the wrapped data key of a command; None if nothing of it is sealed, or it was forgotten."""
        ...


Held = Callable[[], None]
"""Frees what is held."""


class HeldLocks(Protocol):
    """Locks that this process has taken."""

    def __call__(self) -> None:
        """Free them."""
        ...

    def check(self) -> None:
        """Raise ``TurnLostError`` if another process may have taken one of them since, for a connection broke."""
        ...


class SharedLocks(Protocol):
    """Locks on objects that all processes of a log share. A process that dies holds none any more."""

    def try_hold(self, keys: Sequence[str]) -> HeldLocks | None:
        """Take the locks of all ``keys`` or none; return None if another process has one of them.

        Raises:
            LogUnavailableError: if they cannot be had now.
        """
        ...

    def close(self) -> None:
        """Free every lock."""
        ...


class Executors(Protocol):
    """Which server processes are alive. A process holds its executor id for life."""

    seems_dead_s: float
    """Seconds for which a living process may seem dead: it takes a lock that it lost again within them."""

    def fence(self) -> Held:
        """Return what raises ``TakenOverError`` once this process may have been taken for dead since now."""
        ...

    def seems_lost(self) -> bool:
        """Return whether the lock of this process may be lost, without waiting for anybody's answer."""
        ...

    def hold_on(self) -> None:
        """Take the lock of this process again if it was lost, for example when the database was restarted.

        Raises:
            LogUnavailableError: if it cannot be taken now.
        """
        ...

    def is_alive(self, executor: str) -> bool:
        """Return whether the process that holds ``executor`` still runs, stopped or not."""
        ...


class Envelope(Protocol):
    """Seals the secrets of one command."""

    def seal(self, place: str, value: str) -> dict[str, object]:
        """Return the sealed form of ``value``, bound to the command and to ``place``."""
        ...

    def digest(self, value: str) -> dict[str, object]:
        """Return a keyed digest of ``value`` in the sealed form: it is recognised again, but not read."""
        ...

    @property
    def data_key(self) -> DataKey | None:
        """The wrapped key to store with the command; None if nothing was sealed."""
        ...


class Sealer(Protocol):
    """Holds the sealing key."""

    def envelope(self, command_id: str) -> Envelope:
        """Return an envelope with a fresh data key for one command."""
        ...

    def open(self, data_key: DataKey, place: str, sealed: Mapping[str, Any]) -> str:
        """Return the value whose sealed form stands at ``place`` in the record of the key's command.

        Raises:
            UnsealError: if key, command, place or value do not belong together.
        """
        ...

    def mac(self, data: bytes) -> str:
        """Return a keyed digest of ``data``: equal data is recognised, nothing is revealed without the key."""
        ...


class Observer(Protocol):
    """Looks at Docker objects without changing anything. May block."""

    def pin(self, kind: Kind, name: str) -> ObjectState:
        """Return the object that ``name`` (a name, an id or a unique id prefix) means now.

        Raises:
            NotFoundError: if there is none.
        """
        ...

    def observe(self, ref: ObjectRef) -> ObjectState | None:
        """Return the object as it is now, by its id (an image, a stack: by its name); None if it does not exist."""
        ...

    def made_by(self, kind: Kind, command_id: str) -> list[ObjectState]:
        """Return the objects that carry the label of this command."""
        ...

    def engine_id(self) -> str | None:
        """Return the engine's own id, None while it cannot be reached."""
        ...
