"""Argument types that several tools share."""

from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, StringConstraints

from domain.catalogue.values import parse_moment_ms
from domain.host_safety.asks import COMPOSE_LABELS

LABEL_PREFIX: Final = "docker-mcp."
COMMAND_LABEL: Final = "docker-mcp.command"
PRINCIPAL_LABEL: Final = "docker-mcp.principal"

PULL_LIMIT_S: Final = 1800
"""Seconds after which a pull is given up."""

_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
_MOST_LABELS: Final = 128


def checked(parse: Callable[[Any], object]) -> AfterValidator:
    """Return a validator that refuses what ``parse`` refuses and keeps the value as the caller wrote it."""

    def check(value: Any) -> Any:
        parse(value)
        return value

    return AfterValidator(check)


def _own_labels(labels: dict[str, str]) -> dict[str, str]:
    if any(key.lower().startswith(LABEL_PREFIX) for key in labels):
        raise ValueError(f"labels that start with {LABEL_PREFIX} are set by the server; leave them out")
    if any(key.lower().startswith(COMPOSE_LABELS) for key in labels):
        raise ValueError(f"labels that start with {COMPOSE_LABELS} are set by Compose; leave them out")
    if "" in labels:
        raise ValueError("a label needs a name")
    return labels


NewName = Annotated[str, StringConstraints(pattern=_NAME, min_length=2, max_length=128)]
"""The name of an object to be made, as Docker restricts it."""

Reference = Annotated[str, StringConstraints(pattern=_NAME, min_length=1, max_length=128)]
"""The name or id of an existing object."""

ImageReference = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@-]*(/[A-Za-z0-9][A-Za-z0-9_.:@-]*)*$", min_length=1, max_length=384
    ),
]
"""An image, for example ``nginx:1.27`` or ``registry.example/app@sha256:…``."""

Labels = Annotated[dict[str, str], Field(max_length=_MOST_LABELS), AfterValidator(_own_labels)]

Moment = Annotated[str, StringConstraints(max_length=64), checked(lambda text: parse_moment_ms(text, now_ms=0))]
"""A time: ``10m`` for ten minutes ago, or ISO 8601."""

Tail = Annotated[int, Field(ge=1, le=10_000)]
"""How many of the newest log lines."""

Grep = Annotated[str, StringConstraints(min_length=1, max_length=256)]
"""Text that a log line contains."""

LogBytes = Annotated[int, Field(ge=256, le=262_144)]
"""How many bytes of log lines an answer may hold."""

Page = Annotated[int, Field(ge=1, le=500)]
"""How many entries an answer may hold."""

Cursor = Annotated[str, StringConstraints(max_length=128)]
"""Where the next page starts, as the previous page said."""
