"""``docker-mcp audit``: asks as any caller does, and prints the answer."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import typer

from domain.catalogue.audit import AuditQuery
from domain.catalogue.tool import Run, Surface
from domain.events import RecordedEvent
from server.cli.asking import ask, reading
from server.cli.audit_forms import Form, json_text, page_text, row_lines, story_text
from server.settings import Settings

_PROMPT: Final = "audit-logs"
_POLL_S: Final = 1.0
_FOLLOWING: Final = "docker-mcp audit --follow"


async def show_audit(settings: Settings, arguments: Mapping[str, Any], form: Form) -> None:
    """Print the newest commands that fit. The question is a command like any other.

    Raises:
        DockerMcpError: if the log cannot be asked, or the question is wrong.
    """
    async with reading(settings) as application:
        page = (await ask(application, _PROMPT, arguments)).content()
    typer.echo(page_text(page, form))
    if form is Form.JSON:
        return
    if "scanned_to" in page:
        typer.echo(f"docker-mcp: searched back to {page['scanned_to']}; nothing more found so far", err=True)
    if "next_cursor" in page:
        typer.echo(f"docker-mcp: for more: --cursor {page['next_cursor']}", err=True)


async def show_command(settings: Settings, command_id: str, form: Form) -> None:
    """Print a command with all its events.

    Raises:
        DockerMcpError: if the log cannot be asked, or holds no such command for this user.
    """
    async with reading(settings) as application:
        story = (await ask(application, "get-command", {"command_id": command_id}, Surface.TOOL)).content()
    typer.echo(json_text(story) if form is Form.JSON else story_text(story))


async def follow_audit(settings: Settings, arguments: Mapping[str, Any], form: Form) -> None:
    """Print the newest commands that fit, oldest first, and then each that ends, until interrupted.

    All of it is one recorded command, which declares its purpose; it is not shown itself.

    Raises:
        DockerMcpError: if the log cannot be asked, or the question is wrong.
    """
    first = True
    async for news in followed(settings, arguments, _FOLLOWING):
        typer.echo(row_lines(news.entries, form, first=first), nl=False)
        first = False


@dataclass(frozen=True, slots=True)
class News:
    """What has ended between two positions of the log, oldest first, and what a follower may see there besides.

    Attributes:
        entries: the commands that fit.
        after: the position it begins after.
        until: the last position it covers.
        sees_all: whether the follower may see the records of others, too.
        read: reads events of the log: after a position, so many.
    """

    entries: Sequence[Mapping[str, Any]]
    after: int
    until: int
    sees_all: bool
    read: Callable[[int, int], Sequence[RecordedEvent]]


async def followed(settings: Settings, arguments: Mapping[str, Any], purpose: str) -> AsyncIterator[News]:
    """Yield the newest commands that fit (from position 0), and then what ends, as it ends.

    Raises:
        DockerMcpError: if the log cannot be asked, or the question is wrong.
    """
    async with reading(settings) as application:
        answer = await ask(application, _PROMPT, arguments, purpose=purpose)
        page = answer.content()
        seen, read = page["log_position"], application.store.read
        sees_all = application.policy().sees_all_records(application.principal)
        yield News(page["entries"][::-1], 0, seen, sees_all, read)
        question = AuditQuery.model_validate({name: arguments[name] for name in arguments if name != "since"})
        while True:
            mark = application.store.watch.mark()
            sees_all = application.policy().sees_all_records(application.principal)
            run = Run(command_id=answer.command_id, principal=application.principal.name, sees_all_records=sees_all)
            entries, looked_to = await asyncio.to_thread(application.audit_trail.news, question, run, seen)
            if looked_to == seen:
                await asyncio.to_thread(application.store.watch.wait, mark, _POLL_S)
                continue
            yield News([entry.content for entry in entries], seen, looked_to, sees_all, read)
            seen = looked_to
