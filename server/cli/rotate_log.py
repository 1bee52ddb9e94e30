"""``docker-mcp rotate-log``: the log goes on in a new database, and what was in it is archived and kept.

Up to the last step everything is as it was but for a record in the old log, so an interrupted run can be repeated.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from adapters.store.location import Location
from domain.canonical import canonical_json
from domain.engine_cursor import carried_on
from domain.errors import ConfigurationError, InvalidArgumentsError
from domain.events import LogArchived, LogContinued, LogRotated, NewEvent, RecordedEvent, SealingKeyRotated
from domain.principal import Principal
from domain.projections.carried_over import carried
from domain.replay.world import MOST_PART_BYTES, World
from server.cli.local import local_admin, own_event
from server.cli.progress import Progress
from server.settings import Settings, load_settings


def rotate_log(
    archive_to: Annotated[Path, typer.Option(help="The new segment file, which takes the whole old log.")],
) -> None:
    """Go on in a new database, whose first record names the old head. No server may run, no command may be open.

    SQLite: the new file takes the old one's place, which is kept beside it. PostgreSQL: in the empty database that
    DOCKER_MCP_NEW_DATABASE_URL names.
    """
    settings = load_settings()
    if archive_to.exists():
        raise InvalidArgumentsError(f"{archive_to} exists already", hint="name a new file")
    principal = local_admin(settings)
    location = Location.parse(settings.database_url)
    new = _new_place(settings, location)
    old = _close_old(settings, location, archive_to.absolute(), principal)
    _begin_new(settings, location, new, old, principal)
    typer.echo(f"the {old.head.position} records of the old log are in {archive_to}")
    if location.path and new.path:
        from adapters.store.rotation import take_place

        kept = location.path.with_name(f"{location.path.name}.until-{old.head.event_hash[:16]}")
        take_place(new.path, location.path, kept)
        typer.echo(f"the old database is kept: {kept}")
    else:
        typer.echo("set DOCKER_MCP_DATABASE_URL to the new database for every server, before one is started")


@dataclass(frozen=True, slots=True)
class _Old:
    """The closed log: its identity, its last record, the archive of all of it, and what the next one takes over."""

    log: str
    head: RecordedEvent
    archived: LogArchived
    engines: list[RecordedEvent]
    world: World


def _new_place(settings: Settings, location: Location) -> Location:
    if location.path:
        new = location.path.with_name(location.path.name + ".next")
        for leftover in ("", "-wal", "-shm"):
            new.with_name(new.name + leftover).unlink(missing_ok=True)  # of an interrupted run
        return Location(path=new)
    if settings.new_database_url is None:
        raise ConfigurationError(
            "DOCKER_MCP_NEW_DATABASE_URL is not set", hint="make an empty database and set the variable to its URL"
        )
    return Location.parse(settings.new_database_url)


def _close_old(settings: Settings, location: Location, file: Path, principal: Principal) -> _Old:
    from adapters.store.archive import NotIntactError, archive
    from adapters.store.event_store import SqlEventStore
    from adapters.store.rotation import STREAM, LogInUseError, check_settled, check_unused, last_of_engines
    from adapters.store.snapshot import hash_at, newest, open_snapshot
    from adapters.store.verification import verify_log
    from adapters.store.world_log import WorldLog
    from server.bootstrap import new_id, now_ms
    from server.keys import signing_key_of

    timeout_s, executor = settings.DOCKER_MCP_APPEND_TIMEOUT_S, new_id()
    store = SqlEventStore(location, now_ms, executor, timeout_s)
    try:
        store.check()
        check_unused(location, timeout_s, but=executor)
        signer = signing_key_of(settings, location)
        keys = {signer.key_id: signer.public.verifies} if signer else {}
        verified = Progress("verify", "records").add
        if finding := verify_log(location, timeout_s, keys, progress=verified).first_finding:
            raise NotIntactError(finding.describe())
        with open_snapshot(location, timeout_s) as snapshot:
            check_settled(snapshot)
            log = hash_at(snapshot, 1)
            engines = last_of_engines(snapshot)
            world_log = WorldLog(snapshot)
            world = world_log.at(world_log.head(), Progress("world"))
        if log is None:
            raise NotIntactError("the log is empty", hint="there is nothing to rotate")
        [last] = store.append([own_event(LogRotated(file_name=file.name), STREAM, principal)]).result(timeout_s)
        with open_snapshot(location, timeout_s) as snapshot:
            archived = archive(
                snapshot, file, (1, last.position), signer, now_ms(), Progress("archive", "records", last.position).add
            )
            if newest(snapshot) != last:
                raise LogInUseError
    finally:
        store.close()
    return _Old(log, last, archived, engines, world)


def _begin_new(settings: Settings, location: Location, new: Location, old: _Old, principal: Principal) -> None:
    from adapters.store.event_store import newest_key_id
    from adapters.store.metric_series import MetricSeriesStore
    from adapters.store.migrate import migrate
    from adapters.store.rotation import STREAM, begin_log
    from adapters.store.session import SEALING_KEY_STREAM
    from server.bootstrap import now_ms

    metrics = carried(MetricSeriesStore(location, settings.DOCKER_MCP_APPEND_TIMEOUT_S).catch_up().series.values)
    first, *more = old.world.carried(MOST_PART_BYTES - len(canonical_json(metrics)))
    continued = LogContinued(
        log=old.log,
        position=old.head.position,
        head=old.head.event_hash,
        file_name=old.archived.file_name,
        file_sha256=old.archived.file_sha256,
        metrics=metrics,
        world=first,
    )
    events: list[NewEvent] = [own_event(continued, STREAM, principal)]
    for part in more:
        further = continued.model_copy(update={"metrics": None, "world": part})
        events.append(own_event(further, STREAM, principal))
    if key_id := newest_key_id(location):
        # The log names its sealing key, so that a server with another does not start; the new one goes on with it.
        same = SealingKeyRotated(old_key_id=key_id, new_key_id=key_id, count=0)
        events.append(own_event(same, SEALING_KEY_STREAM, principal))
    # Servers of the new log go on where those of the old one stopped following the engine.
    events += [own_event(event, last.stream, principal) for last in old.engines if (event := carried_on(last))]
    migrate(new)
    begin_log(new, events, max(now_ms(), old.head.occurred_at_ms), settings.DOCKER_MCP_APPEND_TIMEOUT_S)
