"""Named points at which a test makes a process die, pause or fail. In the product nothing happens at any of them.

No setting switches them on: only a program that calls :func:`arm`, which nothing in the product does.
"""

from collections.abc import Callable
from enum import StrEnum


class Failpoint(StrEnum):
    """Where; what is told besides: the types of the events, the request, Compose's verb or the command's tool."""

    BEFORE_APPEND = "before-append"
    """Events were handed to the writer; the log is not locked yet."""
    IN_APPEND = "in-append"
    """The append lock is held, nothing is written."""
    AFTER_COMMIT = "after-commit"
    """The events are durable; nobody has been told."""
    BEFORE_REQUEST = "before-request"
    """The engine is about to be asked."""
    AFTER_REQUEST = "after-request"
    """The engine has answered; of a stream, that it begins."""
    BEFORE_COMPOSE = "before-compose"
    IN_COMPOSE = "in-compose"
    """The plugin runs."""
    AFTER_COMPOSE = "after-compose"
    BEFORE_SETTLING = "before-settling"
    """A command of a dead process was found, and nobody has looked yet what became of it."""
    SETTLING = "settling"
    """It was looked at; the judgement is not recorded."""


Action = Callable[[Failpoint, str], None]


def nothing(_point: Failpoint, _detail: str) -> None:
    """Do what the product does at a failpoint."""


reach: Action = nothing
"""Called as ``failpoints.reach`` wherever there is a point, since :func:`arm` replaces it."""


def arm(action: Action) -> None:
    """Have ``action`` called at every failpoint of this process from now on."""
    global reach
    reach = action
