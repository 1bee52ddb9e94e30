"""``docker-mcp archive`` and ``load-archive``: records leave the log as copies, never otherwise."""

from pathlib import Path
from typing import Annotated

import typer

from adapters.store.location import Location
from domain.catalogue.values import parse_moment_ms
from domain.errors import InvalidArgumentsError
from server.cli.output import AsJson, tell
from server.cli.progress import Progress
from server.settings import load_settings


def archive(
    before: Annotated[
        str, typer.Option(help="Records before this time: 90d (ago), 2026-11-01, or 2026-11-01T08:00:00Z (UTC).")
    ],
    to: Annotated[Path, typer.Option(help="The new segment file, for example ledger-2026-10.jsonl.gz.")],
    as_json: AsJson = False,
) -> None:
    """Copy the records before a time, which no archive holds yet, into a signed file. Nothing is deleted."""
    from adapters.store.archive import STREAM, next_segment
    from adapters.store.archive import archive as write_archive
    from adapters.store.event_store import SqlEventStore
    from adapters.store.snapshot import open_snapshot
    from server.bootstrap import new_id, now_ms
    from server.cli.local import local_admin, own_event
    from server.keys import signing_key_of

    settings = load_settings()
    try:
        before_ms = parse_moment_ms(before, now_ms())
    except ValueError as error:
        raise InvalidArgumentsError(f"--before: {error}") from None
    principal = local_admin(settings)
    location, timeout_s = Location.parse(settings.database_url), settings.DOCKER_MCP_APPEND_TIMEOUT_S
    store = SqlEventStore(location, now_ms, new_id(), timeout_s)
    try:
        store.check()
        signer = signing_key_of(settings, location)
        with open_snapshot(location, timeout_s) as snapshot:
            first, last = next_segment(snapshot, before_ms)
            progress = Progress("archive", "records", last - first + 1)
            event = write_archive(snapshot, to.absolute(), (first, last), signer, now_ms(), progress.add)
        store.append([own_event(event, STREAM, principal)]).result(timeout_s)
    finally:
        store.close()
    signed = f"signed with key {signer.key_id}" if signer else "not signed: there is no DOCKER_MCP_SIGNING_KEY"
    told = f"records {event.first_position} to {event.last_position} are in {to}, {signed}"
    tell(told, {**event.model_dump(), "key_id": signer.key_id if signer else None}, as_json=as_json)


def load_archive(
    segments: Annotated[list[Path], typer.Argument(help="All segments of a log from its first record on.")],
    to: Annotated[Path, typer.Option(help="The new SQLite file.")],
    public_key: Annotated[list[Path] | None, typer.Option(help="Public key (PEM) of the segments' signatures.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a log of its own of archived segments, for every command that reads one."""
    from adapters.signing import load_public_keys
    from adapters.store.archive import load_segments
    from server.keys import signing_key_of

    settings = load_settings()
    own = signing_key_of(settings, Location.parse(settings.database_url), may_create=False)
    keys, url = load_public_keys(public_key or [], own), f"sqlite:///{to.absolute()}"
    count = load_segments(segments, to.absolute(), keys, Progress("load-archive", "records").add)
    told = f"{count} records; read them with DOCKER_MCP_DATABASE_URL={url}"
    tell(told, {"records": count, "database_url": url}, as_json=as_json)
