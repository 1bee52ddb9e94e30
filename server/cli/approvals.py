"""``docker-mcp approvals``: decide about commands that wait for somebody."""

import asyncio
from typing import Annotated, Any, Final

import orjson
import typer

from domain.principal import Principal
from server.bootstrap import Application
from server.call import Answer, Caller
from server.cli.asking import for_a_person
from server.cli.audit_forms import table
from server.cli.output import AsJson
from server.settings import load_settings

app = typer.Typer(help="Decide about commands that wait for approval.", no_args_is_help=True)

CommandIdArgument = Annotated[str, typer.Argument(help="The waiting command; `docker-mcp approvals list` shows it.")]
Comment = Annotated[str | None, typer.Option(help="Why; kept in the log.")]

_COLUMNS: Final = (
    ("at", "SINCE"),
    ("principal", "PRINCIPAL"),
    ("tool", "TOOL"),
    ("object", "OBJECT"),
    ("summary", "SUMMARY"),
    ("purpose", "PURPOSE"),
    ("expires_at", "UNTIL"),
    ("command_id", "COMMAND"),
)


@app.command("list")
def list_waiting(as_json: AsJson = False) -> None:
    """List the commands that wait and that you may decide or have asked for."""
    answer = _ask("approvals-list", {"limit": 500})
    waiting = answer["waiting"]
    typer.echo(_json(answer) if as_json else table(waiting, _COLUMNS, "no commands wait for approval"))


@app.command()
def approve(command_id: CommandIdArgument, comment: Comment = None, as_json: AsJson = False) -> None:
    """Approve a command of somebody else. It is carried out at once; this waits for its outcome."""
    _decide("approvals-approve", command_id, comment, as_json=as_json)


@app.command()
def refuse(command_id: CommandIdArgument, comment: Comment = None, as_json: AsJson = False) -> None:
    """Refuse a command of somebody else. It is never carried out."""
    _decide("approvals-refuse", command_id, comment, as_json=as_json)


def _decide(tool: str, command_id: str, comment: str | None, *, as_json: bool) -> None:
    arguments = {"command_id": command_id} | ({"comment": comment} if comment else {})
    told = _ask(tool, arguments)
    if as_json:
        typer.echo(_json(told))
        return
    typer.echo(f"{command_id}: {told['status']}")
    if told.get("outcome"):
        typer.echo(_json(told["outcome"]))


def _ask(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return asyncio.run(_dispatch(tool, arguments))


async def _dispatch(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return what the tool answers, for an approved command with its outcome.

    Raises:
        DockerMcpError: it was not decided, or the approved command has failed.
    """
    application = Application(load_settings(), "cli")
    try:
        application.open()
        caller = Caller(principal=_who(application), transport="cli")
        answer = await application.dispatcher.dispatch(tool, arguments, caller)
        told = dict(_content(answer))
        if told.get("status") == "approved":
            told = await _with_outcome(application, told)
        return told
    finally:
        await application.stop("done")


async def _with_outcome(application: Application, told: dict[str, Any]) -> dict[str, Any]:
    outcome = await application.approved.outcome(told["command_id"])
    if outcome is None:
        return told
    return told | {"status": "approved and carried out", "outcome": dict(_content(outcome))}


def _content(answer: Answer) -> dict[str, Any]:
    if answer.error:
        raise for_a_person(answer.error)
    return answer.content()


def _who(application: Application) -> Principal:
    """Return who decides: the user of ``DOCKER_MCP_TOKEN``, else the operating-system user."""
    token = application.settings.token
    if token and application.authenticator.rules.users:
        return application.authenticator.identify(token, "cli").principal
    return application.principal


def _json(tree: Any) -> str:
    return orjson.dumps(tree, option=orjson.OPT_INDENT_2).decode()
