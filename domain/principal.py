"""Who acts: the authenticated identity every event is attributed to."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """The roles that need no definition; the auth file may define others, and these anew."""

    ADMIN = "admin"
    USER = "user"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated identity. ``name`` is never empty."""

    name: str
    role: str


LOCAL_PREFIX: Final = "local:"
"""How names of operating-system users begin; no user of the auth file has such a name."""

ANONYMOUS: Final = Principal("anonymous", "none")
"""A caller without credentials, or with wrong ones."""
SYSTEM: Final = Principal("system", Role.SYSTEM)
"""The server itself, for events that no caller caused."""
