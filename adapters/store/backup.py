"""A copy of a whole log, whichever database it is on: one verified SQLite file, with a signed manifest beside it.

Whatever reads a log reads a copy, and a copy becomes a log of either database again.
"""

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import ValidationError

from adapters.private_file import sync, write_private
from adapters.store.archive import NotIntactError
from adapters.store.event_store import newest_key_id
from adapters.store.location import Location
from adapters.store.migrate import migrate
from adapters.store.snapshot import Progress, open_snapshot
from adapters.store.verification import verify_log
from domain.chain import timestamp
from domain.checkpoints import Keys, Signer
from domain.errors import DockerMcpError, InvalidArgumentsError
from domain.events import CheckpointSigned
from domain.manifests import BACKUP_FORM, BackupManifest

_BESIDE: Final = ("", "-wal", "-shm", "-journal")


class BackupDamagedError(DockerMcpError):
    """The copy is not what its manifest says, so it is not restored."""

    code = "backup_damaged"
    hint = "restore another copy"


class Checked(NamedTuple):
    """A copy that is right: its manifest, and whether a key that is trusted signed it (None: nobody can tell)."""

    manifest: BackupManifest
    is_signed: bool | None


def manifest_of(file: Path) -> Path:
    """Return where the manifest of a copy is."""
    return file.with_name(f"{file.name}.manifest.json")


def back_up(
    location: Location,
    file: Path,
    *,
    signer: Signer | None,
    keys: Keys,
    at_ms: int,
    timeout_s: float,
    progress: Progress = lambda _done, _of: None,
    verifying: Callable[[int], None] = lambda _count: None,
) -> BackupManifest:
    """Copy a log as it is at one moment into a new file, without holding up those who append, and verify the copy.

    Args:
        location: the log.
        file: the new file.
        signer: signs the manifest, None to leave it unsigned.
        keys: the public keys that are trusted.
        at_ms: the time.
        timeout_s: seconds that the database may take to answer.
        progress: hears how far the copy is.
        verifying: hears how many records of it were checked since the last time.

    Raises:
        InvalidArgumentsError: if there is such a file already, or it cannot be written.
        NotIntactError: if the copy does not verify; none is left.
        LogUnavailableError, LogDamagedError: if the log cannot be read.
    """
    for taken in (file, manifest_of(file)):
        if taken.exists():
            raise InvalidArgumentsError(f"{taken} exists already", hint="name a new file")
    with _draft_beside(file) as draft:
        with open_snapshot(location, timeout_s) as snapshot:
            snapshot.copy_to(draft, progress)
        copy = Location(path=draft)
        report = verify_log(copy, timeout_s, keys, progress=verifying)
        if finding := report.first_finding:
            raise NotIntactError(finding.describe())
        if report.log is None or report.head is None:
            raise NotIntactError("the log is empty", hint="there is nothing to back up")
        manifest = BackupManifest(
            form=BACKUP_FORM,
            log=report.log,
            last_position=report.last,
            last_hash=report.head,
            at=timestamp(at_ms),
            file_sha256=_digest(draft),
            sealing_key_id=newest_key_id(copy),
        ).signed(signer)
        _put_in_place(draft, file)
        write_private(manifest_of(file), manifest.model_dump_json(indent=2).encode() + b"\n")
    return manifest


def restore(
    file: Path,
    location: Location,
    *,
    keys: Keys,
    checkpoints: list[CheckpointSigned],
    fits: Callable[[Checked], None],
    timeout_s: float,
    progress: Progress = lambda _done, _of: None,
) -> Checked:
    """Make a copy the log of ``location``, which must not hold one.

    Args:
        file: the copy.
        location: where the log goes on.
        keys: the public keys that are trusted.
        checkpoints: checkpoints that were kept elsewhere, with which the copy has to agree.
        fits: raises if the copy must not be restored after all; called before anything is put in place.
        timeout_s: seconds that the database may take to answer.
        progress: hears how far it is.

    Raises:
        BackupDamagedError: if the copy is not what its manifest says, or does not verify; nothing is changed.
        InvalidArgumentsError: if there is a log already, or the copy cannot be read.
    """
    manifest = _read_manifest(file)
    if location.path:
        _check_free(location.path)
    with _draft_beside(location.path) if location.path else _draft_in_temporary() as draft:
        if _copied(file, draft) != manifest.file_sha256:
            raise BackupDamagedError(f"{file} is not the file that its manifest names: it was changed or cut")
        migrate(Location(path=draft))
        checked = _verified(draft, manifest, keys, checkpoints, timeout_s)
        fits(checked)
        if location.path:
            _put_in_place(draft, location.path)
        else:
            from adapters.store.postgres_copy import copy_into

            migrate(location)
            copy_into(location.url, draft, timeout_s, progress)
    return checked


def _verified(
    draft: Path, manifest: BackupManifest, keys: Keys, checkpoints: list[CheckpointSigned], timeout_s: float
) -> Checked:
    is_signed = manifest.is_signed(keys)
    if is_signed is False:
        raise BackupDamagedError(f"the signature of its manifest was not made by key {manifest.key_id}")
    report = verify_log(Location(path=draft), timeout_s, keys, checkpoints=checkpoints)
    if finding := report.first_finding:
        raise BackupDamagedError(f"the copy does not verify: {finding.describe()}")
    if (report.log, report.last, report.head) != (manifest.log, manifest.last_position, manifest.last_hash):
        raise BackupDamagedError(f"the copy ends at record {report.last}, not where its manifest says")
    return Checked(manifest, is_signed)


def _read_manifest(file: Path) -> BackupManifest:
    path = manifest_of(file)
    try:
        manifest = BackupManifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidArgumentsError(
            f"{path} cannot be read: {error.strerror}", hint="it belongs to the copy"
        ) from error
    except ValidationError as error:
        raise BackupDamagedError(f"{path} is no manifest of a copy") from error
    if manifest.form != BACKUP_FORM:
        raise BackupDamagedError("this is a copy of a form that this version does not know", hint="use a newer version")
    return manifest


def _check_free(path: Path) -> None:
    for left in (path.with_name(path.name + ending) for ending in _BESIDE):
        if left.exists():
            raise InvalidArgumentsError(
                f"{left} exists already, and a log is never overwritten",
                hint="stop its servers and move it away, or set DOCKER_MCP_DATABASE_URL to another file",
            )


@contextmanager
def _draft_beside(file: Path) -> Iterator[Path]:
    draft = file.with_name(f".{file.name}.draft")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove(draft)  # what an interrupted run has left
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield draft
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidArgumentsError(f"{file} cannot be written: {reason}") from error
    finally:
        _remove(draft)


@contextmanager
def _draft_in_temporary() -> Iterator[Path]:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="docker-mcp-restore-") as directory, _draft_beside(Path(directory) / "log") as draft:
        yield draft


def _remove(draft: Path) -> None:
    for ending in _BESIDE:
        draft.with_name(draft.name + ending).unlink(missing_ok=True)


def _put_in_place(draft: Path, file: Path) -> None:
    """Make a draft the new ``file``, never in the place of another."""
    with closing(sqlite3.connect(draft)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    try:
        os.link(draft, file)
    except FileExistsError as error:
        raise InvalidArgumentsError(f"{file} exists already", hint="name a new file") from error
    sync(file.parent)


def _copied(file: Path, draft: Path) -> str:
    """Copy a file into ``draft``, durably; return the SHA-256 of what was copied."""
    digest = hashlib.sha256()
    try:
        with file.open("rb") as source, draft.open("wb") as target:
            while part := source.read(1 << 20):
                digest.update(part)
                target.write(part)
            target.flush()
            os.fsync(target.fileno())
    except OSError as error:
        raise InvalidArgumentsError(f"{file} cannot be copied: {error.strerror}") from error
    return digest.hexdigest()


def _digest(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
