"""What following the engine's events asks the log."""

from collections.abc import Callable, Collection
from typing import Final

from adapters.store.questions import OF_OPEN_COMMANDS, Questions
from adapters.store.session import EVENT_SQL
from domain.engine_causes import CAUSES, Work, work_of
from domain.events import RecordedEvent
from domain.lifecycle import FINAL, Status

_MOST_WORKS: Final = 1000
_AskForEvents = Callable[..., list[RecordedEvent]]
_TOOLS: Final = tuple(sorted(CAUSES))
_ENDED: Final = (*sorted(FINAL), Status.UNKNOWN)


def _one_of(values: Collection[object]) -> str:
    return f"IN ({', '.join('?' * len(values))})"


_BEGUN: Final = f"{EVENT_SQL} WHERE status = ? AND stream "
_OPEN_BEGUN: Final = (
    f"{OF_OPEN_COMMANDS} ON e.stream = o.command_id "
    f"WHERE o.status IN (?, ?) AND e.tool {_one_of(_TOOLS)} AND e.status = ? LIMIT ?"
)
_OPEN_UNKNOWN: Final = f"{OF_OPEN_COMMANDS} ON e.position = o.position WHERE o.status = ? LIMIT ?"
# By both columns of the index on time: on PostgreSQL questions must not sort.
_OLDEST_ENDED: Final = (
    f"{EVENT_SQL} WHERE occurred_at_ms >= ? AND tool {_one_of(_TOOLS)} AND status {_one_of(_ENDED)} "
    "ORDER BY occurred_at_ms, position LIMIT ?"
)


class SqlEngineLog:
    """Satisfies ``domain.engine_ports.EngineLog``."""

    def __init__(self, questions: Questions) -> None:
        self._questions = questions

    def newest(self, stream: str, most: int) -> list[RecordedEvent]:
        return self._questions.newest(stream, most)

    def works(self, since_ms: int) -> list[Work]:
        with self._questions.snapshot() as ask:

            def events(sql: str, *values: object) -> list[RecordedEvent]:
                return list(map(RecordedEvent._make, ask(sql, *values)))

            found = [*_open(events), *_ended(events, since_ms)]
        return list({work.command_id: work for work in found}.values())


def _open(ask: _AskForEvents) -> list[Work]:
    """Return the commands that run, and those of which nobody knows what became of them."""
    starts = ask(_OPEN_BEGUN, Status.RUNNING, Status.UNKNOWN, *_TOOLS, Status.RUNNING, _MOST_WORKS)
    ended = {event.stream: event for event in ask(_OPEN_UNKNOWN, Status.UNKNOWN, _MOST_WORKS)}
    return [work_of(start, ended.get(start.stream)) for start in starts]


def _ended(ask: _AskForEvents, since_ms: int) -> list[Work]:
    """Return the commands that have ended since then; of very many, those that ended first."""
    ended: dict[str, RecordedEvent] = {}
    for event in ask(_OLDEST_ENDED, since_ms, *_TOOLS, *_ENDED, _MOST_WORKS):
        ended.setdefault(event.stream, event)  # what is settled later was over before
    begun = ask(_BEGUN + _one_of(ended), Status.RUNNING, *ended) if ended else []
    return [work_of(start, ended[start.stream]) for start in begun]
