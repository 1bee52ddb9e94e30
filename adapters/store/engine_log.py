"""What following the engine's events asks the log."""

from typing import Final

from sqlalchemy import Connection, select

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

    def last(self, stream: str) -> RecordedEvent | None:
        newest = select(EVENT).where(EVENT.c.stream == stream).order_by(EVENT.c.stream_version.desc()).limit(1)
        rows = self._reader.rows(newest)
        return RecordedEvent(**rows[0]._mapping) if rows else None

    def works(self, since_ms: int) -> list[Work]:
        with self._reader.snapshot() as connection:
            return [*_running(connection), *_ended(connection, since_ms)]


def _running(connection: Connection) -> list[Work]:
    begun = EVENT.join(OPEN_COMMAND, EVENT.c.stream == OPEN_COMMAND.c.command_id)
    where = (OPEN_COMMAND.c.status == Status.RUNNING, EVENT.c.status == Status.RUNNING, EVENT.c.tool.in_(CAUSES))
    rows = connection.execute(select(EVENT).select_from(begun).where(*where).limit(_MOST_WORKS))
    return [work_of(RecordedEvent(**row._mapping), None) for row in rows]


def _ended(connection: Connection, since_ms: int) -> list[Work]:
    """Return the commands that have ended since then; of very many, those that ended first."""
    columns = EVENT.c
    where = (columns.occurred_at_ms >= since_ms, columns.tool.in_(CAUSES), columns.status.in_(_ENDED))
    # By both columns of the index on time: on PostgreSQL questions must not sort.
    oldest = select(EVENT).where(*where).order_by(columns.occurred_at_ms, columns.position).limit(_MOST_WORKS)
    ended: dict[str, RecordedEvent] = {}
    for row in connection.execute(oldest):
        ended.setdefault(row.stream, RecordedEvent(**row._mapping))  # what is settled later was over before
    begun = select(EVENT).where(columns.stream.in_(ended), columns.status == Status.RUNNING)
    starts = [RecordedEvent(**row._mapping) for row in connection.execute(begun)] if ended else []
    return [work_of(start, ended[start.stream]) for start in starts]
