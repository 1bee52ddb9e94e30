"""Who acts: the authenticated identity every event is attributed to."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What a principal may do, in one word."""

    ADMIN = "admin"
    USER = "user"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated identity. ``name`` is never empty."""

    name: str
    role: Role


SYSTEM: Final = Principal("system", Role.SYSTEM)
"""The server itself, for events that no caller caused."""
