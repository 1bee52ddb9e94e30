"""Which events an export holds, and those events, in batches."""

from collections.abc import Iterator
from typing import Final

from adapters.store.audit_walk import asked, first_at
from adapters.store.questions import Questions
from adapters.store.session import EVENT_SQL
from domain.catalogue.audit_export import FILTERS, AuditExport, ExportFormat, ExportRange
from domain.catalogue.tool import Run
from domain.catalogue.values import parse_moment_ms
from domain.errors import DeniedError
from domain.events import RecordedEvent

_EVENTS_IN_A_BATCH: Final = 256
_POSITIONS_IN_A_STEP: Final = 20_000
"""One question looks at no more of the log than this, whatever the filters leave."""


class SqlLogExport:
    """Satisfies ``domain.catalogue.audit_export.LogExport``."""

    def __init__(self, questions: Questions) -> None:
        self._questions = questions

    def export(self, command: AuditExport, run: Run) -> ExportRange:
        if command.format == ExportFormat.AUDIT_RECORD and not run.sees_all_records:
            raise DeniedError(
                "audit-record is the chain of all records, and this role sees its own alone",
                hint="export as jsonl or csv, or as a role with audit set to all",
            )
        with self._questions.snapshot() as ask:
            question = asked(ask, run.command_id)
            # The export ends before the question, so that it is the same however often it is asked for.
            first, last = command.from_position or 1, question.position - 1
            if command.to_position is not None:
                last = min(last, command.to_position)
            if command.since is not None:
                since_ms = parse_moment_ms(command.since, question.occurred_at_ms)
                first = max(first, first_at(ask, since_ms) or last + 1)
            if command.until is not None:
                end = first_at(ask, parse_moment_ms(command.until, question.occurred_at_ms))
                last = min(last, end - 1) if end else last
        return ExportRange(first=first, last=last, principal=None if run.sees_all_records else run.principal)

    def events(self, command: AuditExport, found: ExportRange) -> Iterator[RecordedEvent]:
        """Yield the events that the export holds, oldest first. Memory does not grow with their number."""
        wanted = [(name, value) for name in FILTERS if (value := getattr(command, name)) is not None]
        if found.principal is not None:
            wanted.append(("principal", found.principal))
        for start in range(found.first - 1, found.last, _POSITIONS_IN_A_STEP):
            yield from self._step(wanted, start, min(start + _POSITIONS_IN_A_STEP, found.last))

    def _step(self, wanted: list[tuple[str, str]], after: int, end: int) -> Iterator[RecordedEvent]:
        narrowed = "".join(f"{name} = ? AND " for name, _ in wanted)
        sql = f"{EVENT_SQL} WHERE {narrowed}position > ? AND position <= ? ORDER BY position LIMIT ?"
        values = [value for _, value in wanted]
        while True:
            events = self._questions.events(sql, *values, after, end, _EVENTS_IN_A_BATCH)
            yield from events
            if len(events) < _EVENTS_IN_A_BATCH:
                return
            after = events[-1].position
