"""Tools and prompts that read the log: what became of a command, and who did what."""

from typing import Annotated, Final, Literal, Protocol

from pydantic import AfterValidator, Field, StringConstraints

from domain.canonical import JSON
from domain.catalogue.fields import Moment, Page
from domain.catalogue.tool import Command, Effect, PromptCommand, Result, Run, Surface, Tool
from domain.lifecycle import Status

MOST_ENTRIES_SCANNED: Final = 20_000
"""Most index entries that one answer looks at for filters that no index serves together."""

MOST_PAGE_BYTES: Final = 256 * 1024
"""Most bytes of entries in one answer; the rest is on the next page."""

_STATUS_ALIASES: Final = {"succeeded": Status.SUCCESS.value}
_CURSOR_MARK: Final = "p"
_LONGEST_POSITION: Final = 18


def _known_status(text: str) -> str:
    status = _STATUS_ALIASES.get(text.lower(), text.lower())
    if status not in set(Status):
        raise ValueError(f"a status is one of {', '.join(Status)}")
    return status


MOST_WAIT_S: Final = 600
"""Seconds that a caller may wait for an outcome."""


def cursor_of(position: int) -> str:
    """Return the cursor of the page that begins below ``position``."""
    return f"{_CURSOR_MARK}{position}"


def position_of(cursor: str) -> int:
    """Return the log position below which a page begins.

    Raises:
        ValueError: if ``cursor`` is none of ours.
    """
    digits = cursor.removeprefix(_CURSOR_MARK)
    if digits == cursor or len(digits) > _LONGEST_POSITION or not (digits.isascii() and digits.isdecimal()):
        raise ValueError("not made by this server; pass next_cursor of the page before, unchanged")
    return int(digits)


def _own_cursor(cursor: str) -> str:
    position_of(cursor)
    return cursor


CommandId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
ColumnText = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class GetCommand(Command):
    """Show what became of a command: status, outcome and events. Use it after a timeout or lost answer.

    `wait` seconds for its outcome if it has none yet.
    """

    command_id: CommandId
    wait: Annotated[int, Field(ge=0, le=MOST_WAIT_S)] = 0


KnownStatus = Annotated[str, AfterValidator(_known_status)]
AuditCursor = Annotated[str, AfterValidator(_own_cursor)]
EffectName = Literal["read", "create", "mutate", "destroy"]


class AuditQuery(Command):
    """Show who did what, when, with what result, newest first."""

    username: ColumnText | None = None
    tool_name: ColumnText | None = None
    status: Annotated[KnownStatus | None, Field(description="failed, denied")] = None
    limit: Page = 50
    since: Annotated[Moment | None, Field(description="2h, today, ISO 8601")] = None
    until: Moment | None = None
    object: Annotated[ColumnText | None, Field(description="container/web, web")] = None
    effect: EffectName | None = None
    principal_role: ColumnText | None = None
    correlation_id: ColumnText | None = None
    cursor: AuditCursor | None = None


class AuditLogs(AuditQuery, PromptCommand):
    """Show who did what in the audit log, when, and with what result, newest first."""

    # Prompts show words, not types.
    username: Annotated[ColumnText | None, Field(description="only this principal")] = None
    tool_name: Annotated[ColumnText | None, Field(description="only this tool")] = None
    status: Annotated[KnownStatus | None, Field(description=f"one of {', '.join(Status)}")] = None
    limit: Annotated[Page, Field(description="how many, at most 500, 50 if left out")] = 50
    since: Annotated[Moment | None, Field(description="from this time on: 2h, 3d, today, yesterday, ISO 8601")] = None
    until: Annotated[Moment | None, Field(description="before this time")] = None
    object: Annotated[ColumnText | None, Field(description="container/web, or web of any kind")] = None
    effect: Annotated[EffectName | None, Field(description="tools that read, create, mutate or destroy")] = None
    principal_role: Annotated[ColumnText | None, Field(description="only this role")] = None
    correlation_id: Annotated[ColumnText | None, Field(description="only this conversation")] = None
    cursor: Annotated[AuditCursor | None, Field(description="next_cursor of the page before")] = None


class CommandEvent(Result):
    """One event of a command; sealed values show as «sealed»."""

    position: int
    at: str
    type: str
    data: JSON


class CommandStory(Result):
    """A command from its arrival to its latest event. ``plan`` is what it was to do, if worked out first."""

    command_id: str
    principal: str
    role: str
    tool: str
    object: str | None
    status: str
    purpose: str | None = None
    correlation_id: str | None = None
    trace_id: str | None = None
    plan: JSON = None
    events: list[CommandEvent]


class AuditEntry(Result):
    """One command in the audit trail, as its latest event tells it. ``reason`` is that of a denial or of an error."""

    command_id: str
    at: str
    principal: str
    role: str
    tool: str
    object: str | None = None
    status: str
    summary: str | None = None
    reason: str | None = None
    duration_ms: int | None = None
    purpose: str | None = None
    correlation_id: str | None = None


class AuditPage(Result):
    """Matching commands that began before the question, newest first, as they stood at log position ``log_position``.

    ``next_cursor`` is there when there may be more. ``scanned_to`` is there when the search ended early: down to this
    time, these entries are all there are.
    """

    entries: list[AuditEntry]
    log_position: int
    next_cursor: str | None = None
    scanned_to: str | None = None


class AuditTrail(Protocol):
    """Answers questions about the log. May block; raises ``LogUnavailableError``."""

    def command(self, command: GetCommand, run: Run) -> CommandStory: ...
    def query(self, command: AuditQuery, run: Run) -> AuditPage: ...


TOOLS = (
    Tool(
        name="get-command",
        title="Get command",
        command=GetCommand,
        port=AuditTrail,
        apply=AuditTrail.command,
        effect=Effect.READ,
        idempotent=True,
        summary="look up command {command_id}",
    ),
    Tool(
        name="audit-query",
        title="Audit",
        command=AuditQuery,
        port=AuditTrail,
        apply=AuditTrail.query,
        effect=Effect.READ,
        idempotent=True,
        summary="read the audit log",
    ),
    Tool(
        name="audit-logs",
        title="Audit log",
        command=AuditLogs,
        port=AuditTrail,
        apply=AuditTrail.query,
        effect=Effect.READ,
        idempotent=True,
        summary="read the audit log",
        surface=Surface.PROMPT,
    ),
)
