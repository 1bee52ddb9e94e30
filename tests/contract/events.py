"""Events of made-up commands, for tests that need a log with something in it."""

import uuid

from domain.command_stream import CommandContext, CommandStream
from domain.events import (
    CommandAuthorized,
    CommandDenied,
    CommandReceived,
    CommandSucceeded,
    CommandUnknown,
    Event,
    ExecutionStarted,
    NewEvent,
)
from server.bootstrap import new_id

RECEIVED = CommandReceived(summary="stop container web", arguments={}, transport="test", executor="someone")
AUTHORIZED = CommandAuthorized(rule="role-admin", policy_digest="0123456789abcdef")
DENIED = CommandDenied(
    summary="stop container web", rule="role-user", policy_digest="0123456789abcdef", reason="role user may not mutate"
)
STARTED = ExecutionStarted(executor="someone", not_after_ms=1, settle_s=1)
SUCCEEDED = CommandSucceeded(summary="stop container web", duration_us=1500)
UNKNOWN = CommandUnknown(summary="stop container web", code="engine_interrupted", message="no answer")
LIFE: tuple[Event, ...] = (RECEIVED, AUTHORIZED, STARTED, SUCCEEDED)


def stream(
    *, principal: str = "alice", tool: str = "stop-container", target: str = "container/web", role: str = "admin"
) -> CommandStream:
    context = CommandContext(
        command_id=str(uuid.uuid4()),
        principal=principal,
        role=role,
        tool=tool,
        object=target,
        purpose="test",
        correlation_id="talk-1",
    )
    return CommandStream(context, new_id)


def life(*events: Event, of: CommandStream | None = None) -> list[NewEvent]:
    """The envelopes of ``events``, by default a whole successful life."""
    target = of or stream()
    return [target.add(event) for event in events or LIFE]
