"""Checks the streams of a log event by event: no version missing or doubled, and a legal life for every command."""

from collections.abc import Callable
from typing import Final, NamedTuple, cast

from domain.events import RecordedEvent
from domain.lifecycle import FINAL, TRANSITIONS

_MOST_REMEMBERED: Final = 10_000
_ENDED: Final[frozenset[str]] = frozenset()


class Last(NamedTuple):
    """The latest event of a stream."""

    position: int
    version: int
    type: str
    status: str | None


Earlier = Callable[[str, int, int], Last | None]
"""Looks up the event of a stream with a version, if it stands before a position."""


class StreamCheck:
    """Follows the streams of a log.

    It keeps the commands that are open, and of other streams the 10,000 used last. Whatever else an event continues is
    looked up, so memory does not grow with the log.
    """

    def __init__(self, earlier: Earlier) -> None:
        self.open: Final[dict[str, Last]] = {}
        """The commands without a final status, by id."""
        self._others: dict[str, Last] = {}
        self._earlier = earlier

    def problem(self, event: RecordedEvent) -> str | None:
        """Return what is wrong with the place of ``event`` in its stream; events are given in log order."""
        stream, version = event.stream, cast(object, event.stream_version)  # whatever the database holds
        last = self.open.get(stream) or self._others.get(stream)
        if last is None and version != 1:
            last = self._earlier(stream, version - 1, event.position) if isinstance(version, int) else None
        problem = _problem(last, event)
        self._remember(event, version if isinstance(version, int) else last.version + 1 if last else 1)
        return problem

    def _remember(self, event: RecordedEvent, version: int) -> None:
        last = Last(event.position, version, event.type, event.status)
        if not event.tool:
            self._others.pop(event.stream, None)  # so that the order is that of the last use
            self._others[event.stream] = last
            if len(self._others) > _MOST_REMEMBERED:
                del self._others[next(iter(self._others))]
        elif event.status in FINAL:
            self.open.pop(event.stream, None)
        else:
            self.open[event.stream] = last


def _problem(last: Last | None, event: RecordedEvent) -> str | None:
    expected = last.version + 1 if last else 1
    if event.stream_version != expected:
        return f"has version {event.stream_version} in its stream, where {expected} is due"
    if event.tool and event.type not in TRANSITIONS.get(last.type if last else None, _ENDED):
        return f"{event.type} cannot follow {last.type if last else 'an empty stream'}"
    return None
