"""What the log holds of commands that wait for approval, as objects that other commands decide about."""

from collections.abc import Callable, Sequence

from domain.errors import NotFoundError
from domain.events import CommandApproved, CommandDeferred, CommandRefused, RecordedEvent, decode
from domain.objects import Kind, ObjectState

ReadStream = Callable[[str], Sequence[RecordedEvent]]


def command_state(read_stream: ReadStream, command_id: str) -> ObjectState:
    """Return a command as the rules about approvals see it: its status, who asked, who may decide, who has decided.

    Raises:
        NotFoundError: there is no such command.
    """
    events = read_stream(command_id)
    if not events or events[0].tool is None:
        raise NotFoundError(
            f"no command {command_id}", code="command_not_found", hint="approvals-list shows what waits for approval"
        )
    facts: dict[str, object] = {"status": events[-1].status or "authorized"}
    for event in events:
        match decode(event.type, event.data):
            case CommandDeferred() as deferred:
                facts |= {"principal": event.principal, "approvers": list(deferred.approvers)}
            case CommandApproved(decision=decision) | CommandRefused(decision=decision):
                facts |= {"decision": decision}
            case _:
                pass
    return ObjectState(kind=Kind.COMMAND, id=command_id, name=command_id, facts=facts)
