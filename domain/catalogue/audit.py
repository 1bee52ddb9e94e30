"""Tools and prompts that read the log: what became of a command, and who did what."""

from typing import Annotated, Final, Protocol

from pydantic import AfterValidator, Field, StringConstraints

from domain.canonical import JSON
from domain.catalogue.tool import Command, Effect, PromptCommand, Result, Run, Surface, Tool
from domain.lifecycle import Status

_STATUS_ALIASES = {"succeeded": Status.SUCCESS.value}


def _known_status(text: str) -> str:
    status = _STATUS_ALIASES.get(text.lower(), text.lower())
    if status not in set(Status):
        raise ValueError(f"a status is one of {', '.join(Status)}")
    return status


MOST_WAIT_S: Final = 600
"""Seconds that a caller may wait for an outcome."""

CommandId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
ColumnText = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class GetCommand(Command):
    """Show what became of a command: status, outcome and events. Use it after a timeout or lost answer.

    `wait` seconds for its outcome if it has none yet.
    """

    command_id: CommandId
    wait: Annotated[int, Field(ge=0, le=MOST_WAIT_S)] = 0


class AuditLogs(PromptCommand):
    """Show the newest commands in the audit log: who did what, when, and with what result."""

    username: Annotated[ColumnText | None, Field(description="only this principal")] = None
    tool_name: Annotated[ColumnText | None, Field(description="only this tool")] = None
    status: Annotated[
        Annotated[str, AfterValidator(_known_status)] | None,
        Field(description=f"one of {', '.join(Status)}"),
    ] = None
    limit: Annotated[int, Field(ge=1, le=500, description="how many, 50 if left out")] = 50


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
    plan: JSON = None
    events: list[CommandEvent]


class AuditEntry(Result):
    """One command in the audit trail."""

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


class AuditPage(Result):
    """The newest matching commands, newest first, as of log position ``log_position``."""

    entries: list[AuditEntry]
    log_position: int


class AuditTrail(Protocol):
    """Answers questions about the log. May block; raises ``LogUnavailableError``."""

    def command(self, command: GetCommand, run: Run) -> CommandStory: ...
    def query(self, command: AuditLogs, run: Run) -> AuditPage: ...


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
