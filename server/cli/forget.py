"""``docker-mcp forget``: makes the sealed values of one command unreadable for ever."""

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import typer

from adapters.store.data_keys import locked_log
from adapters.store.location import Location
from adapters.store.questions import Questions
from adapters.store.recorded_stacks import SqlRecordedStacks
from domain.chain import timestamp
from domain.errors import DockerMcpError, InvalidArgumentsError, NotFoundError
from domain.events import RecordedEvent, SecretsForgotten
from domain.objects import Kind, column_name
from domain.secrets import SECRETS_STREAM
from server.bootstrap import now_ms
from server.cli.check import check_store
from server.cli.local import local_admin, own_event, wiped
from server.settings import Settings


@dataclass(frozen=True, slots=True)
class _Found:
    """What the log holds of the command."""

    key_id: str | None
    forgotten: Sequence[RecordedEvent]
    stack: str | None
    """The stack whose latest deployment the command is."""


def forget_secrets(settings: Settings, command_id: str, *, sure: bool) -> bool:
    """Delete the data key of a command and record it; return whether no file of the database holds its bytes.

    Args:
        settings: the options; the sealing key is not needed.
        command_id: the command.
        sure: do not ask, even if a stack runs with these values.

    Raises:
        DockerMcpError: if there is nothing to forget, the person is not sure, or the log cannot be written.
    """
    principal = local_admin(settings)
    location, timeout_s = Location.parse(settings.database_url), settings.DOCKER_MCP_APPEND_TIMEOUT_S
    check_store(location, timeout_s)
    found = _look(location, timeout_s, command_id)
    if found.key_id:
        if found.stack and not sure:
            _ask(found.stack)
        event = own_event(SecretsForgotten(command_id=command_id, key_id=found.key_id), _stream(command_id), principal)
        with locked_log(location, now_ms, timeout_s) as log:
            log.forget(command_id, event)
        typer.echo(f"forgotten: nobody can read the sealed values of command {command_id} again")
    elif found.forgotten:
        last = found.forgotten[-1]
        typer.echo(f"already forgotten at {timestamp(last.occurred_at_ms)} by {last.principal}")
    else:
        raise DockerMcpError(
            f"command {command_id} has no sealed values, or their key is gone without a record", code="nothing_sealed"
        )
    return wiped(location, timeout_s)


def _look(location: Location, timeout_s: float, command_id: str) -> _Found:
    with closing(Questions(location, timeout_s)) as questions:
        events = questions.stream(command_id)
        if not events or events[0].tool is None:
            raise NotFoundError(
                f"no command {command_id}", code="command_not_found", hint="`docker-mcp audit` lists the commands"
            )
        key = questions.data_key(command_id)
        return _Found(
            key_id=key.key_id if key else None,
            forgotten=questions.stream(_stream(command_id)),
            stack=_stack_that_runs(events[-1], SqlRecordedStacks(questions)),
        )


def _stack_that_runs(last: RecordedEvent, stacks: SqlRecordedStacks) -> str | None:
    name = (last.object or "").removeprefix(column_name(Kind.STACK, ""))
    deployed = stacks.last_deployed(name) if last.tool == "deploy-compose" else None
    return name if deployed and deployed.command_id == last.stream else None


def _ask(stack: str) -> None:
    """Go on only if the person at the terminal says so."""
    warning = (
        f"this is the latest deployment of stack {stack}: with it the log loses the values that the stack runs with, "
        "for ever"
    )
    if not sys.stdin.isatty():
        raise InvalidArgumentsError(warning, hint="add --yes to forget them all the same")
    if not typer.confirm(f"{warning}. Forget them?", err=True):
        raise InvalidArgumentsError("nothing was forgotten")


def _stream(command_id: str) -> str:
    return SECRETS_STREAM + command_id
