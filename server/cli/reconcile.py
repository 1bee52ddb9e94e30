"""``docker-mcp reconcile``: settles commands that nobody works on any more, by a look at the engine or by a person."""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import orjson
import typer

from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from domain.command_stream import CommandStream
from domain.errors import ConcurrentAppendError, DockerMcpError, InvalidArgumentsError, NotFoundError
from domain.events import (
    CommandApproved,
    CommandFailed,
    CommandSucceeded,
    CommandUnknown,
    Event,
    RecordedEvent,
    decode,
)
from domain.lifecycle import FINAL, Status
from domain.ports import OpenCommand
from domain.text import column_text
from server.bootstrap import Application, new_id, now_ms
from server.cli.asking import sealer_of_a_reader
from server.cli.audit_forms import table
from server.cli.check import check_store
from server.cli.local import local_admin
from server.settings import Settings

_COLUMNS: Final = (
    ("command_id", "COMMAND"),
    ("tool", "TOOL"),
    ("object", "OBJECT"),
    ("was", "WAS"),
    ("status", "NOW"),
    ("found", "FOUND"),
)
_MOST_COMMENT: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found of one command and decided about it. ``observed``: the objects as the engine shows them."""

    command_id: str
    tool: str
    object: str | None
    summary: str
    was: str
    status: str
    found: str
    observed: list[dict[str, Any]] = field(default_factory=list)


class Reconciliation:
    """Looks once, and has no patience with an engine or a log that does not answer."""

    def __init__(self, application: Application) -> None:
        self._store = application.store
        self._settler = application.settler

    def all(self) -> list[Finding]:
        """Settle what dead processes left open and what is unknown."""
        return self._settle(self._store.open_commands(), self._abandoned(self._store.open_commands()))

    def one(self, command_id: str) -> list[Finding]:
        """Settle one command.

        Raises:
            DockerMcpError: there is no such command, it is settled, or it is not to be settled by a look.
        """
        events = _events(self._store, command_id)
        if events[-1].status in FINAL:
            raise DockerMcpError(f"command {command_id} is settled: {events[-1].status}", code="settled")
        wanted = [each for each in self._store.open_commands() if each.command_id == command_id]
        abandoned = self._abandoned(wanted)
        if not abandoned:
            raise DockerMcpError(
                f"command {command_id} is in the hands of a server that runs, or waits for approval",
                code="still_running",
                hint="get-command tells what becomes of it",
            )
        return self._settle(wanted, abandoned)

    def _abandoned(self, commands: Sequence[OpenCommand]) -> set[str]:
        """Return the ids of the unknown ones, and of those whose process is dead."""
        seen = [each for each in commands if each.status not in (Status.DEFERRED, Status.UNKNOWN)]
        dead = {each.executor for each in seen if not self._store.executors.is_alive(each.executor)}
        if dead:
            time.sleep(self._store.executors.seems_dead_s)
            dead = {executor for executor in dead if not self._store.executors.is_alive(executor)}
        unknown = {each.command_id for each in commands if each.status == Status.UNKNOWN}
        return unknown | {each.command_id for each in seen if each.executor in dead}

    def _settle(self, commands: Sequence[OpenCommand], abandoned: set[str]) -> list[Finding]:
        lives = [self._store.read_stream(each.command_id) for each in commands if each.command_id in abandoned]
        wait_s = max((self._settler.wait_s(events) for events in lives), default=0)
        if wait_s > 1:
            typer.echo(f"docker-mcp: waiting {wait_s:.0f} s until the engine has finished what it was asked", err=True)
        time.sleep(wait_s)
        return [self._settle_one(events) for events in lives]

    def _settle_one(self, events: Sequence[RecordedEvent]) -> Finding:
        if events[-1].type == CommandApproved.type:
            return _finding(events, "approved", "approved and not begun: the next server that starts carries it out")
        ending, found = self._settler.settle(events)
        if ending.type == events[-1].type:
            return _finding(events, Status.UNKNOWN, found, ending)
        try:
            _append(self._store, events, ending)
        except ConcurrentAppendError:
            last = self._store.read_stream(events[0].stream)[-1]
            return _finding(events, last.status or last.type, "settled by another process at this moment")
        return _finding(events, str(ending.status), found, ending)


async def reconcile(settings: Settings, command_id: str | None, *, as_json: bool) -> bool:
    """Settle by observation and print what was found; return whether nothing is left unknown.

    Raises:
        DockerMcpError: this user may only read, log or engine do not answer, or the command is not to be settled.
    """
    local_admin(settings)
    application = Application(settings, "cli", sealer=sealer_of_a_reader(settings))
    try:
        application.open()
        reconciliation = Reconciliation(application)
        findings = reconciliation.one(command_id) if command_id else reconciliation.all()
    finally:
        await application.stop("done")
    rows = [asdict(finding) for finding in findings]
    typer.echo(_json(rows) if as_json else table(rows, _COLUMNS, "nothing is open that a look could settle"))
    return all(finding.status != Status.UNKNOWN for finding in findings)


def settle_as(settings: Settings, command_id: str, status: str, comment: str | None, *, as_json: bool) -> None:
    """Record what a person says became of an unknown command, and who says it; print it.

    Raises:
        DockerMcpError: this user may only read, the command is not unknown, or the log cannot be written.
    """
    principal = local_admin(settings)
    if status not in ("succeeded", "failed"):
        raise InvalidArgumentsError("--as is succeeded or failed")
    if not (comment or "").strip():
        raise InvalidArgumentsError("--comment is missing", hint="say how you know what became of the command")
    location, timeout_s = Location.parse(settings.database_url), settings.DOCKER_MCP_APPEND_TIMEOUT_S
    check_store(location, timeout_s)
    with closing(SqlEventStore(location, now_ms, new_id(), timeout_s)) as store:
        events = _events(store, command_id)
        last = decode(events[-1].type, events[-1].data)
        if not isinstance(last, CommandUnknown):
            raise DockerMcpError(
                f"command {command_id} is not unknown but {events[-1].status or events[-1].type}",
                code="not_unknown",
                hint="a person can only settle what observation cannot tell",
            )
        ending = _as_told(last, principal.name, status, column_text(comment or "", _MOST_COMMENT))
        _append(store, events, ending)
    by = f"settled by {principal.name}"
    finding = _finding(events, str(ending.status), by, ending)
    typer.echo(_json([asdict(finding)]) if as_json else f"{command_id}: {ending.status}, {by}")


def _json(rows: list[dict[str, Any]]) -> str:
    return orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode()


def _as_told(unknown: CommandUnknown, name: str, status: str, comment: str) -> Event:
    if status == "succeeded":
        return CommandSucceeded(summary=unknown.summary, reconciled=True, settled_by=name, comment=comment)
    return CommandFailed(
        summary=unknown.summary,
        code=unknown.code,
        message=f"{name} says that it was not carried out",
        retryable=True,
        applied="none",
        reconciled=True,
        settled_by=name,
        comment=comment,
    )


def _events(store: SqlEventStore, command_id: str) -> list[RecordedEvent]:
    events = store.read_stream(command_id)
    if not events or events[0].tool is None:
        raise NotFoundError(
            f"no command {command_id}", code="command_not_found", hint="`docker-mcp audit --status unknown` lists them"
        )
    return events


def _append(store: SqlEventStore, events: Sequence[RecordedEvent], ending: Event) -> None:
    store.append([CommandStream.resume(events, new_id).add(ending)]).result()


def _finding(events: Sequence[RecordedEvent], status: str, found: str, ending: Event | None = None) -> Finding:
    first, last = events[0], events[-1]
    states = getattr(ending, "state_after", ()) or getattr(ending, "observed", ())
    return Finding(
        command_id=first.stream,
        tool=first.tool or "",
        object=last.object,
        summary=str(first.payload()["summary"]),
        was=last.status or last.type.removeprefix("command."),
        status=status,
        found=found,
        observed=[state.model_dump(mode="json") for state in states],
    )
