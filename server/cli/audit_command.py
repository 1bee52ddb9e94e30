"""The options of ``docker-mcp audit``."""

import asyncio
from contextlib import suppress
from typing import Annotated

import typer

from domain.errors import InvalidArgumentsError
from server.cli import audit_filters as filters
from server.settings import load_settings

app = typer.Typer(
    help="Show who did what, newest first. Reading the log is recorded in the log.", invoke_without_command=True
)


@app.callback()
def audit(
    context: typer.Context,
    username: filters.Username = None,
    tool: filters.Tool = None,
    status: filters.Status = None,
    object_name: filters.ObjectName = None,
    effect: filters.Effect = None,
    role: filters.Role = None,
    correlation_id: filters.CorrelationId = None,
    since: Annotated[
        str | None, typer.Option(help="From this time on: 2h or 3d (ago), today, yesterday, or ISO 8601 (UTC).")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Before this time.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many of the newest.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Go on where the page before has ended.")] = None,
    show: Annotated[str | None, typer.Option(help="Tell the whole story of one command, by its id.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what ends from now on.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; one line each with --follow.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Show who did what, newest first. Reading the log is recorded in the log."""
    if context.invoked_subcommand:
        return
    from server.cli.audit import follow_audit, show_audit, show_command
    from server.cli.audit_forms import Form

    wanted = filters.given(username, tool, status, object_name, effect, role, correlation_id)
    wanted |= {name: value for name, value in (("since", since), ("until", until), ("cursor", cursor)) if value}
    _refuse_contradictions(
        (as_json and as_csv, "--json and --csv exclude each other"),
        (bool(show) and (bool(wanted) or follow or as_csv), "--show takes one command's id and at most --json"),
        (follow and bool(until or cursor), "--follow goes on from now; leave out --until and --cursor"),
    )
    form = Form.JSON if as_json else Form.CSV if as_csv else Form.TABLE
    settings = load_settings()
    if show:
        asyncio.run(show_command(settings, show, form))
    elif follow:
        with suppress(KeyboardInterrupt):
            asyncio.run(follow_audit(settings, wanted | {"limit": limit}, form))
    else:
        asyncio.run(show_audit(settings, wanted | {"limit": limit}, form))


def _refuse_contradictions(*contradictions: tuple[bool, str]) -> None:
    for given, problem in contradictions:
        if given:
            raise InvalidArgumentsError(problem, hint="`docker-mcp audit --help` lists the options")
