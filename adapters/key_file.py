"""The file with the sealing key of a SQLite log: written once, replaced without a moment between two keys.

A new key waits beside the file under its id until the log has gone over to it. So whatever interrupts a rotation, the
key that the log names is in one of the two files.
"""

import base64
import os
import secrets
from contextlib import suppress
from pathlib import Path

from adapters.store.location import Location
from domain.errors import ConfigurationError


def key_file(location: Location) -> Path | None:
    """Return where the sealing key of a log is kept; None on PostgreSQL."""
    return location.path.with_name(location.path.name + ".key") if location.path else None


def create(file: Path, key: bytes) -> None:
    """Write ``key`` once, even if several processes start together: the first link wins."""
    draft = _draft(file, key)
    with suppress(FileExistsError):
        os.link(draft, file)
    draft.unlink()
    _sync(file.parent)


def lay_ready(file: Path, key: bytes, key_id: str) -> None:
    """Keep ``key`` beside ``file``, durably; one that another rotation left there unused is removed.

    To be called only while nobody else can rotate.
    """
    for stale in file.parent.glob(f"{file.name}.new-*"):
        stale.unlink()
    _draft(file, key).replace(_waiting(file, key_id))
    _sync(file.parent)


def keep_copy(file: Path, name: str) -> Path:
    """Keep what ``file`` holds as ``.old-<name>`` beside it; return where."""
    kept = file.with_name(f"{file.name}.old-{name}")
    kept.unlink(missing_ok=True)
    os.link(file, kept)
    return kept


def take_over(file: Path, key_id: str) -> None:
    """Put the key that waits under ``key_id``, if there is one, in the place of ``file``.

    Raises:
        ConfigurationError: if this user may not.
    """
    try:
        _waiting(file, key_id).replace(file)
        _sync(file.parent)
    except FileNotFoundError:  # nothing waits, or another process was faster
        return
    except OSError as error:
        waiting = _waiting(file, key_id)
        raise ConfigurationError(
            f"the new sealing key cannot be put in place: {waiting}: {error.strerror}", hint=f"mv {waiting} {file}"
        ) from error


def _waiting(file: Path, key_id: str) -> Path:
    return file.with_name(f"{file.name}.new-{key_id}")


def _draft(file: Path, key: bytes) -> Path:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        os.write(descriptor, base64.b64encode(key) + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return draft


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
