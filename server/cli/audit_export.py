"""``docker-mcp audit export`` and ``docker-mcp audit import-verify``: the log for people, programs and strangers."""

import asyncio
import csv
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson
import typer

from adapters.record_file import BadRecordError, verify_record_file
from adapters.store.location import Location
from adapters.store.log_export import SqlLogExport
from adapters.store.questions import Questions
from domain.audit_contract import MOST_LINE_BYTES, BreachError, Segment, check_manifest, manifest
from domain.catalogue.audit_export import AuditExport, ExportFormat, ExportRange
from domain.catalogue.tool import Surface
from domain.errors import DockerMcpError, InvalidArgumentsError
from domain.events import RecordedEvent
from domain.exported import CSV_COLUMNS, csv_row, json_row, record_row
from server.cli.asking import ask, reading
from server.cli.output import tell
from server.cli.progress import Progress
from server.settings import Settings

STREAM: Final = "-"
_MANIFEST_SUFFIX: Final = ".manifest.json"


def export_log(settings: Settings, arguments: dict[str, Any], to: str, manifest_to: Path | None) -> None:
    """Write events to the file ``to``, or to standard output. The question is a command, recorded before a byte leaves.

    Args:
        settings: the options.
        arguments: those of the command ``audit-export``.
        to: a file that does not exist yet, or ``-``.
        manifest_to: where the manifest of audit records goes; None: beside ``to``.

    Raises:
        DockerMcpError: if the log cannot be asked, the question is wrong, or there is no place for the answer.
    """
    is_chain = arguments["format"] == ExportFormat.AUDIT_RECORD
    place = _manifest_place(to, manifest_to) if is_chain else None
    for taken in [path for path in (None if to == STREAM else Path(to), place) if path and path.exists()]:
        raise InvalidArgumentsError(f"{taken} exists already", hint="name a file that does not exist")
    command, found = asyncio.run(_ask(settings, arguments))
    location = Location.parse(settings.database_url)
    counted = Counted(Progress("export"), found)
    with (
        closing(Questions(location, settings.DOCKER_MCP_APPEND_TIMEOUT_S)) as questions,
        output(to) as file,
    ):
        events = counted.all_of(SqlLogExport(questions).events(command, found))
        segment = _WRITERS[ExportFormat(command.format)](events, file)
    if segment and place:
        attested = manifest(_mechanism(location), found.first, found.last, segment)
        with output(str(place)) as file:
            file.write(orjson.dumps(attested, option=orjson.OPT_INDENT_2) + b"\n")
    typer.echo(counted.told(to, place), err=True)


def verify_import(name: str, manifest_file: Path | None, after: str | None, *, as_json: bool) -> None:
    """Check the file ``name`` (``-``: standard input) of audit records, and its manifest if there is one.

    Args:
        name: the file.
        manifest_file: its manifest; None: the one beside it, if there is one.
        after: the hash of the record that the first one has to follow; None: any.
        as_json: print JSON.

    Raises:
        DockerMcpError: naming the first line that is wrong, and why.
    """
    try:
        with _input(name) as file:
            segment = verify_record_file(file, Progress("verify", "records"))
        beside = manifest_file or Path(name + _MANIFEST_SUFFIX)
        with_manifest = bool(manifest_file) or (name != STREAM and beside.exists())
        if with_manifest:
            _check_manifest(beside, segment)
    except BadRecordError as bad:
        raise DockerMcpError(f"{name}: {bad}", code="record_refused") from None
    except OSError as error:
        raise DockerMcpError(f"{error.filename or name}: {(error.strerror or 'cannot be read').lower()}") from None
    if not segment.records:
        raise DockerMcpError(f"{name}: holds no records", code="record_refused")
    if after is not None and segment.first_previous_hash != after:
        raise DockerMcpError(f"{name}: does not follow the record with that hash", code="record_refused")
    verdict = _verdict(segment, with_manifest=with_manifest, is_anchored=after is not None)
    tell(verdict, {"intact": True, **segment._asdict(), "with_manifest": with_manifest}, as_json=as_json)


async def _ask(settings: Settings, arguments: dict[str, Any]) -> tuple[AuditExport, ExportRange]:
    async with reading(settings) as application:
        answer = await ask(application, "audit-export", arguments, Surface.COMMAND_LINE)
    return AuditExport.model_validate(arguments), ExportRange.model_validate(answer.content())


def _manifest_place(to: str, manifest_to: Path | None) -> Path:
    if manifest_to:
        return manifest_to
    if to == STREAM:
        raise InvalidArgumentsError(
            "audit records on standard output need a place for their manifest", hint="add --manifest FILE"
        )
    return Path(to + _MANIFEST_SUFFIX)


class Counted:
    """Counts events on their way, and tells how far they have come."""

    def __init__(self, progress: Progress, found: ExportRange) -> None:
        self._progress = progress
        self._found = found
        self._count = 0

    def all_of(self, events: Iterator[RecordedEvent]) -> Iterator[RecordedEvent]:
        first, span = self._found.first, self._found.last - self._found.first + 1
        for event in events:
            self._count += 1
            self._progress(event.position - first + 1, span)
            yield event

    def told(self, to: str, place: Path | None) -> str:
        found = self._found
        where = "" if to == STREAM else f" to {to}"
        beside = f", the manifest to {place}" if place else ""
        own = f"; of {found.principal} alone, as the role has it" if found.principal else ""
        span = f"positions {found.first} to {found.last}" if found.last >= found.first else "an empty range"
        return f"{self._count} events of {span}{own}{where}{beside}"


def _write_jsonl(events: Iterator[RecordedEvent], file: BinaryIO) -> None:
    for event in events:
        file.write(json_row(event))


def _write_csv(events: Iterator[RecordedEvent], file: BinaryIO) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=False)
    rows = csv.writer(text)
    rows.writerow(CSV_COLUMNS)
    rows.writerows(map(csv_row, events))
    text.detach()


def _write_records(events: Iterator[RecordedEvent], file: BinaryIO) -> Segment:
    first: str | None = None
    records, last = 0, None
    for event in events:
        first = first if records else event.previous_hash
        records, last = records + 1, event.event_hash
        file.write(record_row(event))
    return Segment(records, first, last)


_WRITERS: Final[dict[ExportFormat, Callable[[Iterator[RecordedEvent], BinaryIO], Segment | None]]] = {
    ExportFormat.JSONL: _write_jsonl,
    ExportFormat.CSV: _write_csv,
    ExportFormat.AUDIT_RECORD: _write_records,
}


def _mechanism(location: Location) -> str:
    kept = "SQLite table; triggers" if location.is_sqlite else "PostgreSQL table; triggers that are always enabled"
    return f"{kept} refuse every change and deletion of a record, and every insert that does not continue the chain"


@contextmanager
def output(to: str) -> Iterator[BinaryIO]:
    """A file that only its owner can read, and that bears its name only once it is whole; or standard output."""
    if to == STREAM:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(to)
    draft = path.with_name(f".{path.name}.part")
    try:
        descriptor = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise DockerMcpError(f"{to} cannot be written: {(error.strerror or 'unknown').lower()}") from error


@contextmanager
def _input(name: str) -> Iterator[BinaryIO]:
    if name == STREAM:
        yield sys.stdin.buffer
        return
    with Path(name).open("rb") as file:
        yield file


def _check_manifest(path: Path, segment: Segment) -> None:
    with path.open("rb") as file:
        content = file.read(MOST_LINE_BYTES + 1)
    try:
        if len(content) > MOST_LINE_BYTES:
            raise BreachError(f"is longer than {MOST_LINE_BYTES} bytes")
        check_manifest(content, segment)
    except BreachError as breach:
        raise DockerMcpError(f"{path}: {breach}", code="manifest_refused") from None


def _verdict(segment: Segment, *, with_manifest: bool, is_anchored: bool) -> str:
    lines = [f"intact: {segment.records} records, the last with the hash {segment.last_event_hash}"]
    if segment.first_previous_hash and not is_anchored:
        lines.append(
            f"the first one follows a record that is not in the file, with the hash {segment.first_previous_hash}: "
            "--after checks that it is the one you know"
        )
    if not with_manifest:
        lines.append("there is no manifest beside it: nothing tells how the records were kept, or how many there were")
    return "\n".join(lines)
