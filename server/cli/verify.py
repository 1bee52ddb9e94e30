"""``docker-mcp verify``: is the log whole and unchanged? Reads only; nothing is recorded."""

import gc
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import orjson
import typer

from adapters.store.location import Location
from domain.checkpoints import Keys, read_checkpoint
from domain.errors import ConfigurationError, DockerMcpError, InvalidArgumentsError
from domain.events import CheckpointSigned
from domain.findings import MOST_FINDINGS, Report
from server.cli.exit import Exit
from server.cli.output import AsJson
from server.cli.progress import Progress
from server.settings import Settings, load_settings

_SHOWN: Final = 10


def verify(
    from_checkpoint: Annotated[
        bool, typer.Option("--from-checkpoint", help="Only the records since the last signed checkpoint in the log.")
    ] = False,
    checkpoint: Annotated[
        list[Path] | None, typer.Option(help="File of checkpoints, one a line, that was kept elsewhere; repeatable.")
    ] = None,
    segment: Annotated[
        list[Path] | None, typer.Option(help="Archived segment, or SQLite file of an older log; repeatable.")
    ] = None,
    public_key: Annotated[
        list[Path] | None, typer.Option(help="Public key (PEM) that checkpoints may be signed with; repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the whole log and name the first record that is not right. Changes and records nothing.

    Exit codes: 0 intact, 3 tampered with, 4 it could not be checked.
    """
    from adapters.store.verification import verify_log

    settings = load_settings()
    location = Location.parse(settings.database_url)
    began = time.monotonic()
    gc.disable()  # records make no cycles, and looking for some would take a fifth of the time
    try:
        report = verify_log(
            location,
            settings.DOCKER_MCP_APPEND_TIMEOUT_S,
            _keys(settings, location, public_key or []),
            from_checkpoint=from_checkpoint,
            checkpoints=[found for file in checkpoint or [] for found in read_checkpoints(file)],
            files=segment or [],
            progress=Progress("verify", "records", _length(settings, location)).add,
        )
    except (ConfigurationError, InvalidArgumentsError):
        raise
    except DockerMcpError as error:
        typer.echo(f"docker-mcp: the log could not be checked: {error.describe()}", err=True)
        raise typer.Exit(Exit.NOT_CHECKED) from None
    seconds = time.monotonic() - began
    typer.echo(_as_json(report, seconds) if as_json else _as_text(report, location, seconds))
    raise typer.Exit(Exit.OK if report.intact else Exit.TAMPERED)


def read_checkpoints(file: Path) -> list[CheckpointSigned]:
    """Return the checkpoints of a file, one a line; before each may stand what syslog puts there.

    Raises:
        InvalidArgumentsError: if a line is none.
    """
    found = []
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgumentsError(f"{file} cannot be read") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.append(read_checkpoint(line[max(line.find("{"), 0) :]))
        except ValueError as error:
            raise InvalidArgumentsError(f"{file}, line {number}: {error}") from error
    if not found:
        raise InvalidArgumentsError(f"{file} holds no checkpoint")
    return found


def _keys(settings: Settings, location: Location, files: Sequence[Path]) -> Keys:
    from adapters.signing import load_public_keys
    from server.keys import signing_key_of

    try:
        own = signing_key_of(settings, location, may_create=False)
    except ConfigurationError as error:
        typer.echo(f"docker-mcp: note: verified without the own signing key: {error.message}", err=True)
        own = None
    return load_public_keys(list(files), own)


def _length(settings: Settings, location: Location) -> int | None:
    """Return how many records there are about; None if nobody can tell."""
    from adapters.store.snapshot import open_snapshot

    try:
        with open_snapshot(location, settings.DOCKER_MCP_APPEND_TIMEOUT_S) as snapshot:
            return int(snapshot.query("SELECT coalesce(max(position), 0) FROM event")[0][0])
    except DockerMcpError:
        return None


def _as_text(report: Report, location: Location, seconds: float) -> str:
    lines = []
    if first := report.first_finding:
        lines.append(f"TAMPERED  {first.describe()}")
        lines += [f"          {each.describe()}" for each in report.findings if each is not first][: _SHOWN - 1]
        if report.found > _SHOWN:
            lines.append(f"          … and {report.found - _SHOWN} more")
    else:
        lines.append(f"intact    {location.describe()}")
    span = f"records {report.first} to {report.last}" if report.records else "no records"
    lines.append(f"checked   {span} ({report.records} in {seconds:.1f} s), head {(report.head or '-')[:16]}")
    lines.append(f"          log {(report.log or '-')[:16]}, {report.checkpoints} signed checkpoints agree")
    if report.segments:
        lines.append(f"          {report.segments} files beside the log")
    lines += [f"note      {note}" for note in report.notes]
    return "\n".join(lines)


def _as_json(report: Report, seconds: float) -> str:
    findings = [
        {"part": each.part, "position": each.position, "problem": each.problem}
        for each in ([report.first_finding] if report.first_finding else [])
        + [each for each in report.findings if each is not report.first_finding]
    ]
    tree = {
        "intact": report.intact,
        "log": report.log,
        "first_position": report.first,
        "last_position": report.last,
        "head": report.head,
        "records": report.records,
        "checkpoints": report.checkpoints,
        "unchecked_signatures": report.unchecked_signatures,
        "files": report.segments,
        "found": report.found,
        "findings": findings[:MOST_FINDINGS],
        "notes": report.notes,
        "seconds": round(seconds, 3),
    }
    return orjson.dumps(tree, option=orjson.OPT_INDENT_2).decode()
