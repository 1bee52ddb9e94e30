"""The options of ``docker-mcp replay``."""

from enum import Enum
from typing import Annotated

import typer

from domain.errors import InvalidArgumentsError
from server.cli.output import AsJson
from server.settings import load_settings


class Format(Enum):
    """How to print."""

    TABLE = "table"
    JSON = "json"
    HTML = "html"


_WHEN = "a time (10m, 3d ago, today, 2026-01-31T03:12Z) or a position of the log"


def replay(
    at: Annotated[str | None, typer.Option(help=f"The moment: {_WHEN}; default now.")] = None,
    begin: Annotated[
        str | None, typer.Option("--from", help="From this moment on; default a day before the end.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Up to this moment; default now.")] = None,
    object: Annotated[
        str | None, typer.Option(help="Only container/web, or web of any kind, or an id's digits.")
    ] = None,
    stack: Annotated[str | None, typer.Option(help="Only this stack with its containers and networks.")] = None,
    principal: Annotated[str | None, typer.Option(help="Only what this principal did.")] = None,
    correlation_id: Annotated[
        str | None, typer.Option("--correlation-id", "--conversation", help="Only this conversation.")
    ] = None,
    diff: Annotated[bool, typer.Option("--diff", help="What differs between the two moments.")] = False,
    drift: Annotated[bool, typer.Option("--drift", help="What the engine shows now that the log does not.")] = False,
    why: Annotated[str | None, typer.Option(help="What led to the state of this object.")] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="The calls that would make the state again; secrets sealed.")
    ] = False,
    form: Annotated[Format, typer.Option("--format", help="Tables, JSON, or one page with everything.")] = Format.TABLE,
    as_json: AsJson = False,
    output: Annotated[str, typer.Option(help="A file that does not exist yet, or - for standard output.")] = "-",
) -> None:
    """Tell from the log what containers, networks and stacks were like at a moment, and who or what changed them.

    Without options: the state now. With --from, --to, --object, --stack, --principal or --conversation: the timeline.
    The question is recorded. Docker is asked nothing, but for --drift, which looks.
    """
    from server.cli.replay import Shown, replay_log

    if at is not None and end is not None:
        raise InvalidArgumentsError("--at is the end of the stretch, so it does not go with --to")
    if as_json and form is Format.HTML:
        raise InvalidArgumentsError("--json is one form, --format html another; leave out one of them")
    if why is not None and object is not None:
        raise InvalidArgumentsError("--why names the object itself; leave out --object")
    explicit = diff or drift or plan or why is not None
    if explicit and (principal or correlation_id):
        raise InvalidArgumentsError(
            "--principal and --conversation choose from the timeline; they do not go with others"
        )
    if explicit and form is Format.HTML:
        raise InvalidArgumentsError("--format html is the page of the timeline; leave it out, or ask that by itself")
    asked = {
        "begin": begin,
        "end": end if at is None else at,
        "object": object if why is None else why,
        "principal": principal,
        "correlation_id": correlation_id,
        "stack": stack,
    }
    arguments = {name: value for name, value in asked.items() if value is not None}
    stretch = bool(begin or end or object or stack or principal or correlation_id)
    shown = Shown(
        state=not explicit and not stretch,
        timeline=not explicit and stretch,
        difference=diff,
        drift=drift,
        why=why,
        plan=plan,
    )
    replay_log(load_settings(), arguments, shown, "json" if as_json else form.value, output)
