"""``docker-mcp audit``."""

import secrets
from collections.abc import Sequence
from typing import Any, Final

import orjson
import typer

from adapters.sealing import KEY_BYTES, AesSealer
from adapters.store.location import Location
from domain.catalogue.tool import Surface
from domain.errors import SealingKeyError
from server.bootstrap import Application, sealer_of
from server.call import Caller
from server.settings import Settings

COLUMNS: Final = (
    ("at", "TIME"),
    ("principal", "PRINCIPAL"),
    ("tool", "TOOL"),
    ("object", "OBJECT"),
    ("status", "STATUS"),
    ("duration_ms", "MS"),
    ("summary", "SUMMARY"),
    ("reason", "REASON"),
    ("command_id", "COMMAND"),
)


async def show_audit(settings: Settings, arguments: dict[str, Any], *, as_json: bool) -> None:
    """Print the newest commands. The question is a command like any other.

    Raises:
        DockerMcpError: if the log cannot be asked, or the question is wrong.
    """
    application = Application(settings, "cli", sealer=_sealer_of_a_reader(settings))
    try:
        application.store.check()
        caller = Caller(principal=application.principal, transport="cli")
        answer = await application.dispatcher.dispatch("audit-logs", arguments, caller, Surface.PROMPT)
    finally:
        await application.stop("done")
    if answer.error:
        raise answer.error
    page = answer.content()
    typer.echo(orjson.dumps(page, option=orjson.OPT_INDENT_2).decode() if as_json else table(page["entries"]))


def _sealer_of_a_reader(settings: Settings) -> AesSealer:
    """Return the log's sealer; without its key one of the moment: a question to the log seals nothing."""
    try:
        return sealer_of(settings, Location.parse(settings.database_url))
    except SealingKeyError as error:
        typer.echo(f"docker-mcp: note: read without the sealing key: {error.message} - {error.hint}", err=True)
        return AesSealer(secrets.token_bytes(KEY_BYTES))


def table(
    entries: list[dict[str, Any]], columns: Sequence[tuple[str, str]] = COLUMNS, nothing: str = "no commands match"
) -> str:
    """Return entries as aligned columns; columns that are empty throughout are left out."""
    shown = [(key, title) for key, title in columns if any(entry.get(key) is not None for entry in entries)]
    rows = [[title for _, title in shown]]
    rows += [[str(entry.get(key, "")) for key, _ in shown] for entry in entries]
    widths = [max(len(row[column]) for row in rows) for column in range(len(shown))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) if entries else nothing
