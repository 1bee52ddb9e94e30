"""``docker-mcp backup`` and ``restore``: a verified copy of a whole log, with its keys kept apart."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from adapters.store.location import Location
from domain.errors import ConfigurationError, InvalidArgumentsError, LogUnavailableError
from domain.events import Event, LogBackedUp, LogRestored
from domain.principal import Principal
from server.cli.local import local_admin, own_event
from server.cli.output import AsJson, tell
from server.cli.progress import Progress
from server.settings import Settings, load_settings

if TYPE_CHECKING:
    from adapters.store.backup import Checked
    from server.key_bundle import KeyBundle

STREAM: Final = "backup"


def backup(
    to: Annotated[str, typer.Argument(help="The new file, or a directory, which gets one named by the time.")],
    keys: Annotated[
        Path | None, typer.Option(help="New file for the keys of the log; keep it apart from the copy.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Copy the whole log, as it is now, into one file that is verified. Servers may go on meanwhile.

    The copy is a SQLite log, also of PostgreSQL. It holds no keys. Recorded in the log, as its last record in the copy.
    """
    from adapters.signing import load_public_keys
    from adapters.store.backup import back_up, manifest_of
    from server.bootstrap import now_ms
    from server.key_bundle import KeyBundle
    from server.keys import signing_key_of

    settings = load_settings()
    principal = local_admin(settings)
    location = Location.parse(settings.database_url)
    if location.path and not location.path.is_file():
        raise LogUnavailableError(f"there is no log: {location.path}", hint="correct DOCKER_MCP_DATABASE_URL")
    file = _file(to)
    for taken in filter(None, (file, manifest_of(file), keys)):
        if taken.exists():
            raise InvalidArgumentsError(f"{taken} exists already", hint="name a new file")
    signer = signing_key_of(settings, location)
    _record(settings, location, LogBackedUp(file_name=file.name), principal)
    manifest = back_up(
        location,
        file,
        signer=signer,
        keys=load_public_keys([], signer),
        at_ms=now_ms(),
        timeout_s=settings.DOCKER_MCP_APPEND_TIMEOUT_S,
        progress=Progress("copying", "parts"),
        verifying=_summed(Progress("verifying the copy", "records")),
    )
    signed = f"signed with key {signer.key_id}" if signer else "not signed: there is no DOCKER_MCP_SIGNING_KEY"
    told = f"records 1 to {manifest.last_position} are in {file}, verified, {signed}"
    bundle = KeyBundle.of(settings, location, manifest.sealing_key_id)
    if keys:
        bundle.write(keys)
        told += f"\nits keys are in {keys}: keep that file apart from the copy"
    else:
        places = ", ".join(f"{name} from {place}" for name, place in bundle.places.items())
        told += (
            f"\nits keys are not in it ({places or 'none are here'}): --keys FILE writes them to a file of their own"
        )
    tree = {
        "file": str(file),
        "records": manifest.last_position,
        "key_id": signer.key_id if signer else None,
        "keys_file": str(keys) if keys else None,
    }
    tell(told, tree, as_json=as_json)
    if manifest.sealing_key_id and bundle.sealing_key_id is None:
        typer.echo(f"docker-mcp: the sealing key {manifest.sealing_key_id} of this log is not here", err=True)


def restore(
    file: Annotated[Path, typer.Argument(help="The copy; its manifest lies beside it.")],
    keys: Annotated[Path | None, typer.Option(help="The file that `backup --keys` wrote.")] = None,
    public_key: Annotated[list[Path] | None, typer.Option(help="Public key (PEM) that may have signed it.")] = None,
    checkpoint: Annotated[
        list[Path] | None, typer.Option(help="Checkpoints that were kept elsewhere, with which it has to agree.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a copy the log at DOCKER_MCP_DATABASE_URL. Refuses one that does not verify, and never overwrites a log.

    What was recorded after the copy is not in the restored log, and the log says so. Start no server before it is done.
    """
    from adapters.signing import load_public_keys, load_signing_key
    from adapters.store.backup import restore as restore_copy
    from server.cli.verify import read_checkpoints
    from server.key_bundle import SIGNING, KeyBundle

    settings = load_settings()
    principal = local_admin(settings)
    location = Location.parse(settings.database_url)
    bundle = KeyBundle.read(keys) if keys else KeyBundle.of(settings, location, None)
    own = load_signing_key(bundle.values.get(SIGNING), None, may_create=False)
    checked = restore_copy(
        file,
        location,
        keys=load_public_keys(public_key or [], own),
        checkpoints=[found for each in checkpoint or [] for found in read_checkpoints(each)],
        fits=lambda checked: _take_keys(checked, bundle, location, given=keys is not None),
        timeout_s=settings.DOCKER_MCP_APPEND_TIMEOUT_S,
        progress=Progress("copying", "rows"),
    )
    manifest = checked.manifest
    restored = LogRestored(
        file_name=file.name,
        file_sha256=manifest.file_sha256,
        position=manifest.last_position,
        head=manifest.last_hash,
        copied_at=manifest.at,
    )
    _record(settings, location, restored, principal)
    told = f"records 1 to {manifest.last_position} of {manifest.at} are the log at {location.describe()}"
    if not checked.is_signed:
        told += "\nnote: nobody who is known here has signed the copy; --public-key names a key"
    tree = {
        "database": location.describe(),
        "records": manifest.last_position,
        "copied_at": manifest.at,
        "is_signed": checked.is_signed,
    }
    tell(told, tree, as_json=as_json)
    _tell_about_keys(checked, bundle, location, keys, aside=as_json)


def _take_keys(checked: "Checked", bundle: "KeyBundle", location: Location, *, given: bool) -> None:
    """Refuse a sealing key that is not that of the copy; put the keys that were given beside a SQLite log."""
    wanted, found = checked.manifest.sealing_key_id, bundle.sealing_key_id
    if wanted and found and wanted != found:
        raise ConfigurationError(
            f"the copy was sealed with key {wanted}, this is key {found}", hint="--keys FILE names those of the copy"
        )
    if given and location.path:
        bundle.put_beside(location.path)


def _tell_about_keys(
    checked: "Checked", bundle: "KeyBundle", location: Location, keys: Path | None, *, aside: bool
) -> None:
    """Tell what the keys of a restored log need; ``aside``: on standard error, since a program reads the output."""
    if keys and location.path:
        typer.echo(f"its keys were put beside it: {', '.join(bundle.values)}", err=aside)
    elif keys:
        typer.echo(f"give every server the variables in {keys}", err=aside)
    elif checked.manifest.sealing_key_id and bundle.sealing_key_id is None:
        typer.echo(
            f"docker-mcp: a server does not start before it has the sealing key {checked.manifest.sealing_key_id}: "
            "put its file back, or set DOCKER_MCP_SEALING_KEY",
            err=True,
        )


def _file(to: str) -> Path:
    path = Path(to).expanduser().absolute()
    if to.endswith(os.sep) or path.is_dir():
        return path / f"ledger-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.db"
    return path


def _record(settings: Settings, location: Location, event: Event, principal: Principal) -> None:
    from adapters.store.event_store import SqlEventStore
    from server.bootstrap import new_id, now_ms

    timeout_s = settings.DOCKER_MCP_APPEND_TIMEOUT_S
    store = SqlEventStore(location, now_ms, new_id(), timeout_s)
    try:
        store.check()
        store.append([own_event(event, STREAM, principal)]).result(timeout_s)
    finally:
        store.close()


def _summed(progress: Progress) -> Callable[[int], None]:
    done = 0

    def add(count: int) -> None:
        nonlocal done
        done += count
        progress(done)

    return add
