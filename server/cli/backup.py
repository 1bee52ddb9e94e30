"""``docker-mcp backup`` and ``restore``: a verified copy of a whole log, with its keys kept apart."""

import os
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
    from domain.manifests import BackupManifest
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

    The copy is a SQLite log, also of PostgreSQL. It holds no keys. That it is made is recorded in the log before.
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
        verifying=Progress("verifying the copy", "records").add,
    )
    bundle = KeyBundle.of(settings, location, manifest.sealing_key_id)
    if keys:
        bundle.write(keys)
    tree = {"file": str(file), "keys_file": keys and str(keys), "key_places": dict(bundle.places)}
    tell(_told_of_backup(file, manifest, bundle, keys), {**manifest.model_dump(), **tree}, as_json=as_json)
    if manifest.sealing_key_id and bundle.sealing_key_id is None:
        typer.echo(f"docker-mcp: the sealing key {manifest.sealing_key_id} of this log is not here", err=True)


def _told_of_backup(file: Path, manifest: "BackupManifest", bundle: "KeyBundle", keys: Path | None) -> str:
    signed = (
        f"signed with key {manifest.key_id}" if manifest.key_id else "not signed: there is no DOCKER_MCP_SIGNING_KEY"
    )
    copied = f"records 1 to {manifest.last_position} are in {file}, verified, {signed}\n"
    if keys:
        return f"{copied}its keys are in {keys}: keep that file apart from the copy"
    places = ", ".join(f"{name} from {_place(name, place)}" for name, place in bundle.places.items()) or "none are here"
    return f"{copied}its keys are not in it ({places}): --keys FILE writes them to a file of their own"


def _place(name: str, place: str) -> str:
    return "the settings" if place == name else place


def restore(
    file: Annotated[Path, typer.Argument(help="The copy; its manifest lies beside it.")],
    keys: Annotated[Path | None, typer.Option(help="The file that `backup --keys` wrote.")] = None,
    public_key: Annotated[list[Path] | None, typer.Option(help="Public key (PEM) that may have signed it.")] = None,
    checkpoint: Annotated[
        list[Path] | None, typer.Option(help="Checkpoints that were kept elsewhere, with which it has to agree.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Bring a copy back as the log at DOCKER_MCP_DATABASE_URL.

    It refuses a copy that does not verify, and never overwrites a log.
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
    missing = manifest.sealing_key_id if bundle.sealing_key_id is None else None
    tree = {
        "database": location.describe(),
        "is_signed": checked.is_signed,
        "keys": list(bundle.values) if keys else [],
        "missing_sealing_key_id": missing,
    }
    tell(_told_of_restore(checked, bundle, location, keys), {**restored.model_dump(), **tree}, as_json=as_json)
    if missing:
        typer.echo(
            f"docker-mcp: a server does not start before it has the sealing key {missing}: put its file back, or set "
            "DOCKER_MCP_SEALING_KEY",
            err=True,
        )


def _take_keys(checked: "Checked", bundle: "KeyBundle", location: Location, *, given: bool) -> None:
    """Refuse a sealing key that is not that of the copy; put the keys that were given beside a SQLite log."""
    wanted, found = checked.manifest.sealing_key_id, bundle.sealing_key_id
    if wanted and found and wanted != found:
        raise ConfigurationError(
            f"the copy was sealed with key {wanted}, this is key {found}", hint="--keys FILE names those of the copy"
        )
    if given and location.path:
        bundle.put_beside(location.path)


def _told_of_restore(checked: "Checked", bundle: "KeyBundle", location: Location, keys: Path | None) -> str:
    manifest = checked.manifest
    lines = [f"records 1 to {manifest.last_position} of {manifest.at} are the log at {location.describe()}"]
    if not checked.is_signed:
        lines.append("note: nobody who is known here has signed the copy; --public-key names a key")
    if keys and location.path:
        lines.append(f"its keys were put beside it: {', '.join(bundle.values)}")
    elif keys:
        lines.append(f"give every server the variables in {keys}")
    return "\n".join(lines)


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
