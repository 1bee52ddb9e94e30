"""The life of a command: its status is a fold of its events, and only the listed steps are legal."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from domain.errors import IllegalTransitionError


class Status(StrEnum):
    """The value of an event's ``status`` column; the latest one of a stream is the command's status."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    UNKNOWN = "unknown"
    REJECTED = "rejected"
    DENIED = "denied"
    DEFERRED = "deferred"
    REFUSED = "refused"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


FINAL: Final = frozenset(
    {
        Status.SUCCESS,
        Status.FAILED,
        Status.REJECTED,
        Status.DENIED,
        Status.REFUSED,
        Status.EXPIRED,
        Status.CANCELLED,
    }
)
"""Statuses after which a command's stream takes no further event. ``unknown`` is provisional."""

_ENDED: Final[frozenset[str]] = frozenset()
_DECISIONS: Final = frozenset({"command.authorized", "command.denied", "command.cancelled"})

TRANSITIONS: Final[Mapping[str | None, frozenset[str]]] = {
    None: frozenset({"command.received"}),
    "command.received": frozenset({"command.planned", "command.rejected", *_DECISIONS, "command.deferred"}),
    "command.planned": frozenset({"command.planned", *_DECISIONS, "command.deferred"}),
    "command.deferred": frozenset({"command.approved", "command.refused", "command.expired", "command.cancelled"}),
    "command.approved": _DECISIONS,
    "command.authorized": frozenset({"execution.started", "command.cancelled"}),
    "execution.started": frozenset({"command.succeeded", "command.failed", "command.unknown"}),
    "command.unknown": frozenset({"command.succeeded", "command.failed"}),
    "command.rejected": _ENDED,
    "command.denied": _ENDED,
    "command.refused": _ENDED,
    "command.expired": _ENDED,
    "command.cancelled": _ENDED,
    "command.succeeded": _ENDED,
    "command.failed": _ENDED,
}
"""From the type of a stream's last event to the types that may follow it."""


def step(last: str | None, following: str) -> str:
    """Return ``following`` if it may come after an event of type ``last`` (None: the stream is empty).

    Raises:
        IllegalTransitionError: if it may not.
    """
    if following not in TRANSITIONS.get(last, _ENDED):
        raise IllegalTransitionError(f"{following} cannot follow {last or 'an empty stream'}")
    return following


def check_life(types: Iterable[str]) -> str | None:
    """Return the last type of a whole stream after checking every step of it.

    Raises:
        IllegalTransitionError: at the first illegal step.
    """
    last: str | None = None
    for following in types:
        last = step(last, following)
    return last
