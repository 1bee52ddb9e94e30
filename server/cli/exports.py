"""The options of ``docker-mcp audit export`` and ``docker-mcp audit import-verify``."""

from pathlib import Path
from typing import Annotated

import typer

from server.cli.output import AsJson
from server.settings import load_settings


def export(
    to: Annotated[str, typer.Option(help="A file that does not exist yet, or - for standard output.")],
    format: Annotated[str, typer.Option(help="jsonl, csv, or audit-record: the chain, for who does not trust us.")],
    since: Annotated[
        str | None, typer.Option(help="From this time on: 2h or 3d (ago), today, yesterday, or ISO 8601 (UTC).")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Before this time.")] = None,
    from_position: Annotated[int | None, typer.Option(help="From this position of the log on.")] = None,
    to_position: Annotated[int | None, typer.Option(help="Up to this position.")] = None,
    principal: Annotated[str | None, typer.Option(help="Only events of this principal.")] = None,
    tool: Annotated[str | None, typer.Option(help="Only events of this tool.")] = None,
    object: Annotated[str | None, typer.Option(help="Only events about this object, as container/web.")] = None,
    status: Annotated[str | None, typer.Option(help="Only events with this status.")] = None,
    manifest: Annotated[Path | None, typer.Option(help="Where the manifest of audit records goes.")] = None,
) -> None:
    """Write the log's events to a file, oldest first. The export is recorded in the log before a byte leaves it.

    jsonl and csv are for people and programs: sealed values show as «sealed». audit-record holds every record of a
    range, with its hash, and a manifest: whoever gets them can check the chain without us.
    """
    from server.cli.audit_export import export_log

    asked = {
        "format": format,
        "since": since,
        "until": until,
        "from_position": from_position,
        "to_position": to_position,
        "principal": principal,
        "tool": tool,
        "object": object,
        "status": status,
    }
    arguments = {name: value for name, value in asked.items() if value is not None}
    export_log(load_settings(), arguments, to, manifest)


def import_verify(
    file: Annotated[str, typer.Argument(help="Audit records, one a line; - for standard input.")],
    manifest: Annotated[Path | None, typer.Option(help="Their manifest, if not FILE.manifest.json.")] = None,
    after: Annotated[str | None, typer.Option(help="The hash of the record that the first one has to follow.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check a file of audit records of anybody: the form of each, its hash, its link to the one before."""
    from server.cli.audit_export import verify_import

    verify_import(file, manifest, after, as_json=as_json)
