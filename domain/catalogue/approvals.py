"""Tools for commands that wait until somebody else approves them."""

from collections.abc import Sequence
from typing import Annotated, Protocol

from pydantic import StringConstraints

from domain.catalogue import recognise
from domain.catalogue.audit import CommandId
from domain.catalogue.fields import Page
from domain.catalogue.tool import Command, Effect, Result, Run, Target, Tool
from domain.lifecycle import Status
from domain.objects import Kind, ObjectState
from domain.principal import Principal

Comment = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class ListApprovals(Command):
    """List the commands that wait for approval and that you may decide or have asked for, oldest first."""

    limit: Page = 50


class Approve(Command):
    """Approve a waiting command of somebody else: it is carried out once, exactly as recorded."""

    command_id: CommandId
    comment: Comment | None = None


class Refuse(Command):
    """Refuse a waiting command of somebody else: it is never carried out."""

    command_id: CommandId
    comment: Comment | None = None


class Deferred(Result):
    """The command waits until somebody else approves it; nothing was done."""

    status: str = Status.DEFERRED.value
    command_id: str
    approvers: list[str]
    expires_at: str
    hint: str = "get-command with wait tells the outcome; calling again would make a second request"


class Waiting(Result):
    """A command that waits for approval. ``yours`` tells that you asked for it, so that others must decide."""

    command_id: str
    at: str
    principal: str
    role: str
    tool: str
    object: str | None = None
    summary: str
    purpose: str | None = None
    approvers: list[str]
    expires_at: str
    yours: bool


class WaitingList(Result):
    """Commands that wait for approval; ``total`` tells whether the list is complete."""

    waiting: list[Waiting]
    total: int


class Decided(Result):
    """What the command is now. An approved command runs by itself: get-command with wait tells its outcome."""

    command_id: str
    status: str


class Approvals(Protocol):
    """Decides about deferred commands. May block; raises ``LogUnavailableError``, and ``ConflictError`` too late."""

    def waiting(self, command: ListApprovals, run: Run) -> WaitingList: ...
    def approve(self, command: Approve, run: Run) -> Decided: ...
    def refuse(self, command: Refuse, run: Run) -> Decided: ...


def may_decide(principal: Principal, states: Sequence[ObjectState]) -> str | None:
    """Return why ``principal`` may not decide about a deferred command, None if it may."""
    facts = states[0].facts if states else {}
    approvers = facts.get("approvers")
    if approvers is None:
        return None  # it does not wait, and the answer will say so
    if facts["principal"] == principal.name:
        return "who asks for a command cannot decide about it"
    if principal.role not in approvers:
        return f"role {principal.role} may not decide about this command"
    return None


_COMMAND = (Target("command_id", Kind.COMMAND),)

TOOLS = (
    Tool(
        name="approvals-list",
        title="List approvals",
        command=ListApprovals,
        port=Approvals,
        apply=Approvals.waiting,
        effect=Effect.READ,
        idempotent=True,
        summary="list commands that wait for approval",
    ),
    Tool(
        name="approvals-approve",
        title="Approve command",
        command=Approve,
        port=Approvals,
        apply=Approvals.approve,
        effect=Effect.MUTATE,
        idempotent=False,
        summary="approve command {command_id}",
        targets=_COMMAND,
        judge=may_decide,
        deferrable=False,
        recognise=recognise.decided,
        open_world=True,
    ),
    Tool(
        name="approvals-refuse",
        title="Refuse command",
        command=Refuse,
        port=Approvals,
        apply=Approvals.refuse,
        effect=Effect.MUTATE,
        idempotent=False,
        summary="refuse command {command_id}",
        targets=_COMMAND,
        judge=may_decide,
        deferrable=False,
        recognise=recognise.decided,
    ),
)
