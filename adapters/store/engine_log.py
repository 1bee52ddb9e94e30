"""What following the engine's events asks the log."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection, Executable, select

from adapters.store.reader import EVENT, OPEN_COMMAND, Reader
from domain.engine_causes import CAUSES, Work, work_of
from domain.events import RecordedEvent
from domain.lifecycle import FINAL, Status

_MOST_WORKS: Final = 1000
_ENDED: Final = (*sorted(FINAL), Status.UNKNOWN)


class SqlEngineLog:
    """Satisfies ``domain.engine_ports.EngineLog``."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def newest(self, stream: str, most: int) -> list[RecordedEvent]:
        newest = select(EVENT).where(EVENT.c.stream == stream).order_by(EVENT.c.stream_version.desc()).limit(most)
        return [RecordedEvent(**row._mapping) for row in reversed(self._reader.rows(newest))]

    def works(self, since_ms: int) -> list[Work]:
        with self._reader.snapshot() as connection:
            found = [*_open(connection), *_ended(connection, since_ms)]
        return list({work.command_id: work for work in found}.values())


def _open(connection: Connection) -> list[Work]:
    """Return the commands that run, and those of which nobody knows what became of them."""
    opened, columns = OPEN_COMMAND.c, EVENT.c
    begun = EVENT.join(OPEN_COMMAND, columns.stream == opened.command_id)
    where = (opened.status.in_((Status.RUNNING, Status.UNKNOWN)), columns.tool.in_(CAUSES))
    starts = select(EVENT).select_from(begun).where(*where, columns.status == Status.RUNNING).limit(_MOST_WORKS)
    latest = EVENT.join(OPEN_COMMAND, columns.position == opened.position)
    unknown = select(EVENT).select_from(latest).where(opened.status == Status.UNKNOWN).limit(_MOST_WORKS)
    ended = {event.stream: event for event in _events(connection, unknown)}
    return [work_of(start, ended.get(start.stream)) for start in _events(connection, starts)]


def _ended(connection: Connection, since_ms: int) -> list[Work]:
    """Return the commands that have ended since then; of very many, those that ended first."""
    columns = EVENT.c
    where = (columns.occurred_at_ms >= since_ms, columns.tool.in_(CAUSES), columns.status.in_(_ENDED))
    # By both columns of the index on time: on PostgreSQL questions must not sort.
    oldest = select(EVENT).where(*where).order_by(columns.occurred_at_ms, columns.position).limit(_MOST_WORKS)
    ended: dict[str, RecordedEvent] = {}
    for event in _events(connection, oldest):
        ended.setdefault(event.stream, event)  # what is settled later was over before
    begun = select(EVENT).where(columns.stream.in_(ended), columns.status == Status.RUNNING)
    return [work_of(start, ended[start.stream]) for start in (_events(connection, begun) if ended else ())]


def _events(connection: Connection, question: Executable) -> Iterator[RecordedEvent]:
    return (RecordedEvent(**row._mapping) for row in connection.execute(question))
