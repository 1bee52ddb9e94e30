"""Answers to "who did what": reads the log through its view ``audit_trail``."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Integer, MetaData, Row, Table, Text, func, select

from adapters.store.reader import EVENT, Reader
from adapters.store.watch import LogWatch
from domain.canonical import JSON
from domain.catalogue.audit import AuditEntry, AuditLogs, AuditPage, CommandEvent, CommandStory, GetCommand
from domain.catalogue.tool import Run
from domain.chain import timestamp
from domain.errors import NotFoundError
from domain.events import CommandPlanned, RecordedEvent, decode
from domain.lifecycle import FINAL
from domain.plan_record import recorded_plan
from domain.secrets import hide_sealed

AUDIT_TRAIL: Final = Table(
    "audit_trail",
    MetaData(),
    Column("position", Integer),
    Column("occurred_at_ms", BigInteger),
    *(Column(name, Text) for name in ("command_id", "principal", "role", "tool", "object", "status", "purpose")),
    *(Column(name, Text) for name in ("correlation_id", "trace_id", "summary", "reason")),
    Column("duration_us", BigInteger),
)


class SqlAuditTrail:
    """Satisfies ``domain.catalogue.audit.AuditTrail``."""

    def __init__(self, reader: Reader, watch: LogWatch, closing: Callable[[], bool] = bool) -> None:
        """Take the log, what tells that it has grown, and what tells that the server stops."""
        self._reader = reader
        self._watch = watch
        self._closing = closing

    def command(self, command: GetCommand, run: Run) -> CommandStory:
        began = time.monotonic()
        while True:
            mark = self._watch.mark()
            story = self._story(command, run)
            waited = time.monotonic() - began
            if story.status in FINAL or waited >= command.wait or run.given_up() or self._closing():
                return story
            run.progress(int(waited), command.wait, f"{story.tool}: {story.status}")
            self._watch.wait(mark, command.wait - waited)

    def _story(self, command: GetCommand, run: Run) -> CommandStory:
        events = self._reader.stream(command.command_id)
        hidden = not run.sees_all_records and any(event.principal != run.principal for event in events)
        if not events or events[0].tool is None or hidden:
            raise NotFoundError(
                f"no command {command.command_id}", code="command_not_found", hint="audit-logs lists the commands"
            )
        last = events[-1]
        return CommandStory(
            command_id=last.stream,
            principal=last.principal,
            role=last.role,
            tool=last.tool or "",
            object=last.object,
            status=last.status or "authorized",
            purpose=last.purpose,
            plan=hide_sealed(_plan(events)),
            events=[_told(event) for event in events],
        )

    def query(self, command: AuditLogs, run: Run) -> AuditPage:
        view = AUDIT_TRAIL.c
        wanted = {view.principal: command.username, view.tool: command.tool_name, view.status: command.status}
        newest = select(AUDIT_TRAIL).where(*(column == value for column, value in wanted.items() if value is not None))
        own_first = select(func.min(EVENT.c.position)).where(EVENT.c.stream == run.command_id)
        with self._reader.snapshot() as connection:
            # The answer ends before the question, so that reading the trail does not feed it.
            end = connection.execute(own_first).scalar_one()
            if not run.sees_all_records:
                newest = newest.where(view.principal == run.principal)
            page = newest.where(view.position < end).order_by(view.position.desc()).limit(command.limit)
            rows = connection.execute(page).all()
        return AuditPage(entries=[_entry(row) for row in rows], log_position=end - 1)


def _plan(events: Sequence[RecordedEvent]) -> JSON:
    decoded = (decode(event.type, event.data) for event in events if event.type == CommandPlanned.type)
    return recorded_plan(event for event in decoded if isinstance(event, CommandPlanned))


def _told(event: RecordedEvent) -> CommandEvent:
    data = event.payload()
    if event.type == CommandPlanned.type:
        del data["text"]  # the whole plan is told once
    return CommandEvent(
        position=event.position, at=timestamp(event.occurred_at_ms), type=event.type, data=hide_sealed(data)
    )


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(
        command_id=row.command_id,
        at=timestamp(row.occurred_at_ms),
        principal=row.principal,
        role=row.role,
        tool=row.tool,
        object=row.object,
        status=row.status,
        summary=row.summary,
        reason=row.reason,
        duration_ms=row.duration_us // 1000 if row.duration_us is not None else None,
        purpose=row.purpose,
    )
