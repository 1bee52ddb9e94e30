"""Which command each principal's idempotency key belongs to, as a fold of the log."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from domain.events import CommandReceived
from domain.projections.folded import FoldedEvent, tree_of

_RECEIVED: Final = CommandReceived.type
_HAS_KEY: Final = '"idempotency_key":'


class Claim(NamedTuple):
    """A principal's key and the command that it belongs to."""

    principal: str
    key: str
    command_id: str


def claims(events: Iterable[FoldedEvent]) -> list[Claim]:
    """Return the claims that ``events`` make."""
    return [
        claim for event in events if event.type == _RECEIVED and _HAS_KEY in event.data and (claim := _claim(event))
    ]


def _claim(event: FoldedEvent) -> Claim | None:
    key = tree_of(event).get("idempotency_key")
    return Claim(event.principal, key, event.stream) if isinstance(key, str) else None


class IdempotencyKeys:
    """Folds events into the keys. Memory grows with the number of keys that were ever used."""

    def __init__(self) -> None:
        self._commands: dict[tuple[str, str], str] = {}

    def fold(self, events: Iterable[FoldedEvent]) -> None:
        """Take in the next events of the log, in its order. A key stays with the first command that claims it."""
        for claim in claims(events):
            self._commands.setdefault((claim.principal, claim.key), claim.command_id)

    def claims(self) -> list[Claim]:
        """Return the keys with their commands, sorted."""
        return sorted(Claim(*of, command_id) for of, command_id in self._commands.items())
