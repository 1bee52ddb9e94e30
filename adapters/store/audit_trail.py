"""Answers to "who did what": finds commands by walking an index, and reads what the view ``audit_trail`` selects."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from adapters.store.audit_walk import Asked, Filters, Walk, Window, asked, first_at, unsettled
from adapters.store.event_store import SqlEventStore
from adapters.store.questions import Ask
from adapters.store.session import marks
from domain.canonical import JSON
from domain.catalogue.audit import (
    MOST_ENTRIES_SCANNED,
    MOST_PAGE_BYTES,
    AuditEntry,
    AuditPage,
    AuditQuery,
    CommandEvent,
    CommandStory,
    GetCommand,
    cursor_of,
    position_of,
)
from domain.catalogue.tool import Effect, Run
from domain.catalogue.values import parse_moment_ms
from domain.chain import timestamp
from domain.errors import InvalidArgumentsError, NotFoundError
from domain.events import CommandPlanned, RecordedEvent, decode
from domain.exported import shown_data
from domain.lifecycle import FINAL, Status
from domain.objects import column_names
from domain.plan_record import recorded_plan
from domain.secrets import hide_sealed
from domain.text import column_text
from migrations.audit_view import POSTGRES_AUDIT_TRAIL, SQLITE_AUDIT_TRAIL


class _Row(NamedTuple):
    """What an entry takes of a row of what the view ``audit_trail`` selects."""

    position: int
    occurred_at_ms: int
    command_id: str
    principal: str
    role: str
    tool: str
    object: str | None
    status: str
    purpose: str | None
    correlation_id: str | None
    summary: str | None
    reason: str | None
    duration_us: int | None


NEWS_WINDOW: Final = 500
"""Log positions that one look for news covers: no more commands than fit on a page."""

_TIME_SQL: Final = "SELECT occurred_at_ms FROM event WHERE position = ?"
_IN_PROGRESS: Final = frozenset({"authorized", Status.RUNNING})


def rows_sql(positions: Sequence[int], *, is_sqlite: bool) -> str:
    """Return the statement for the rows at so many positions, which are its values.

    The view itself is not asked: whoever owns the database could change it.
    """
    trail = SQLITE_AUDIT_TRAIL if is_sqlite else POSTGRES_AUDIT_TRAIL
    columns = ", ".join(_Row._fields)
    return f"SELECT {columns} FROM ({trail}) AS audit_trail WHERE position IN ({marks(positions)})"  # noqa: S608 (fixed names)


ToolsWith = Callable[[Effect], frozenset[str]]


@dataclass(frozen=True, slots=True)
class _Found:
    """Positions of commands that fit, newest first: all there are down to ``floor``."""

    positions: Sequence[int]
    floor: int


class SqlAuditTrail:
    """Satisfies ``domain.catalogue.audit.AuditTrail``."""

    def __init__(
        self,
        store: SqlEventStore,
        tools_with: ToolsWith,
        closing: Callable[[], bool] = lambda: False,
        scan: int = MOST_ENTRIES_SCANNED,
    ) -> None:
        """Prepare to answer.

        Args:
            store: the log.
            tools_with: names the tools and prompts of which some call has an effect.
            closing: tells that nobody shall wait any longer since the server stops.
            scan: most index entries that one answer looks at for filters that no index serves together.
        """
        self._read_stream = store.read_stream
        self._questions = store.questions
        self._is_sqlite = store.location.is_sqlite
        self._watch = store.watch
        self._tools_with = tools_with
        self._closing = closing
        self._scan = scan

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
        events = self._read_stream(command.command_id)
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
            correlation_id=last.correlation_id,
            trace_id=events[0].trace_id,
            plan=hide_sealed(_plan(events)),
            events=[_told(event) for event in events],
        )

    def query(self, command: AuditQuery, run: Run) -> AuditPage:
        filters = self._filters(command, run)
        with self._questions.snapshot() as ask:
            question = asked(ask, run.command_id)
            window = _window(ask, command, question)
            found = self._find(ask, filters, window, question.position, command.limit + 1)
            entries = self._entries(ask, found.positions[: command.limit])
            kept = _within_bytes(entries)
            more = len(found.positions) > len(kept)
            scanned_to = None
            if not more and found.floor > window.low:
                [(moment_ms,)] = ask(_TIME_SQL, found.floor)
                scanned_to = timestamp(moment_ms)
        ends_at = found.positions[len(kept) - 1] if more else found.floor
        return AuditPage(
            entries=kept,
            log_position=question.head,
            next_cursor=cursor_of(ends_at) if more or scanned_to else None,
            scanned_to=scanned_to,
        )

    def news(self, command: AuditQuery, run: Run, after: int) -> tuple[list[AuditEntry], int]:
        """Return what has ended, or come to a stop, since log position ``after``, and the position it has looked to.

        Oldest first, without the command of ``run`` itself. Looks at a few hundred positions at a time: whoever is
        behind asks again. Times, cursor and limit of ``command`` do not matter.
        """
        filters = self._filters(command, run)
        with self._questions.snapshot() as ask:
            head = asked(ask, run.command_id).head
            window = Window(after + 1, min(head, after + NEWS_WINDOW) + 1)
            found = self._find(ask, filters, window, window.high, NEWS_WINDOW)
            entries = self._entries(ask, found.positions)
        shown = [entry for entry in reversed(entries) if entry.command_id != run.command_id]
        if command.status is None:
            shown = [entry for entry in shown if entry.status not in _IN_PROGRESS]
        return shown, window.high - 1

    def _filters(self, command: AuditQuery, run: Run) -> Filters | None:
        """Return what the columns have to hold; None if nothing can fit."""
        asked_for: dict[str, str | None] = {
            "principal": command.username,
            "tool": command.tool_name,
            "status": command.status,
            "role": command.principal_role,
            "correlation_id": command.correlation_id,
        }
        filters: dict[str, tuple[str, ...]] = {
            name: (column_text(value),) for name, value in asked_for.items() if value is not None
        }
        if command.object:
            filters["object"] = tuple(map(column_text, column_names(command.object)))
        if command.effect:
            tools = self._tools_with(Effect(command.effect))
            filters["tool"] = tuple(sorted(tools & set(filters.get("tool", tools))))
        if not run.sees_all_records:
            filters["principal"] = tuple({column_text(run.principal)} & set(filters.get("principal", (run.principal,))))
        return filters if all(filters.values()) else None

    def _find(self, ask: Ask, filters: Filters | None, window: Window, asked_at: int, most: int) -> _Found:
        if filters is None or window.low >= window.high:
            return _Found((), window.low)
        positions = [position for (position,) in unsettled(filters, window, asked_at, most).rows(ask)]
        floor = window.low
        if set(filters.get("status", FINAL)) & FINAL:
            settled = Window(window.low, min(window.high, asked_at))
            ended, floor = _walked(ask, Walk(filters, settled, most, self._scan, rows=not self._is_sqlite))
            positions += ended
        return _Found(sorted((each for each in positions if each >= floor), reverse=True)[:most], floor)

    def _entries(self, ask: Ask, positions: Sequence[int]) -> list[AuditEntry]:
        """Return the commands whose latest events stand at ``positions``, in this order."""
        if not positions:
            return []
        rows = map(_Row._make, ask(rows_sql(positions, is_sqlite=self._is_sqlite), *positions))
        told = {row.position: row for row in rows}
        return [_entry(told[position]) for position in positions]


def _walked(ask: Ask, walk: Walk) -> tuple[list[int], int]:
    """Return the positions that were found, and the position down to which that is all there are."""
    found: dict[int, list[int]] = {number: [] for number in range(len(walk.branches))}
    for branch, position in walk.found().rows(ask):
        found[branch].append(position)
    full = [positions for positions in found.values() if len(positions) == walk.most]
    floors = [walk.window.low, *(min(positions) for positions in full)]
    ran_dry = [branch for branch, positions in found.items() if len(positions) < walk.most]
    if walk.is_bounded and ran_dry:
        floors += [position for (position,) in walk.reached(ran_dry).rows(ask)]
    return [position for positions in found.values() for position in positions], max(floors)


def _window(ask: Ask, command: AuditQuery, question: Asked) -> Window:
    """Return the positions that the question is about.

    Raises:
        InvalidArgumentsError: if its times leave none.
    """
    now_ms = question.occurred_at_ms
    since = parse_moment_ms(command.since, now_ms) if command.since else None
    until = parse_moment_ms(command.until, now_ms) if command.until else None
    if since is not None and until is not None and since >= until:
        raise InvalidArgumentsError("since is not before until", hint="since=yesterday until=today is all of yesterday")
    low, high = 1, question.head + 1
    if since is not None:
        low = first_at(ask, since) or high
    if until is not None:
        high = first_at(ask, until) or high
    if command.cursor:
        high = min(high, position_of(command.cursor))
    return Window(low, high)


def _within_bytes(entries: Sequence[AuditEntry]) -> list[AuditEntry]:
    """Return as many of the first ``entries`` as an answer may hold, at least one."""
    kept: list[AuditEntry] = []
    size = 0
    for entry in entries:
        size += len(entry.model_dump_json(exclude_none=True).encode())
        if kept and size > MOST_PAGE_BYTES:
            break
        kept.append(entry)
    return kept


def _plan(events: Sequence[RecordedEvent]) -> JSON:
    decoded = (decode(event.type, event.data) for event in events if event.type == CommandPlanned.type)
    return recorded_plan(event for event in decoded if isinstance(event, CommandPlanned))


def _told(event: RecordedEvent) -> CommandEvent:
    return CommandEvent(
        position=event.position, at=timestamp(event.occurred_at_ms), type=event.type, data=shown_data(event)
    )


def _entry(row: _Row) -> AuditEntry:
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
        correlation_id=row.correlation_id,
    )
