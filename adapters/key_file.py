"""The file with the sealing key of a SQLite log: written once, replaced without a moment between two keys.

A new key waits beside the file under its id until the log has gone over to it. So whatever interrupts a rotation, the
key that the log names is in one of the two files.
"""

import base64
import os
from pathlib import Path

from adapters.private_file import sync, write_first, write_private
from adapters.store.location import Location
from domain.errors import ConfigurationError


def key_file(location: Location) -> Path | None:
    """Return where the sealing key of a log is kept; None on PostgreSQL."""
    return location.path.with_name(location.path.name + ".key") if location.path else None


def create(file: Path, key: bytes) -> None:
    """Write ``key`` once, even if several processes start together: the first link wins."""
    write_first(file, _content(key))


def lay_ready(file: Path, key: bytes, key_id: str) -> None:
    """Keep ``key`` beside ``file``, durably; one that another rotation left there unused is removed.

    To be called only while nobody else can rotate.
    """
    for stale in file.parent.glob(f"{file.name}.new-*"):
        stale.unlink()
    write_private(_waiting(file, key_id), _content(key))


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
        sync(file.parent)
    except FileNotFoundError:  # nothing waits, or another process was faster
        return
    except OSError as error:
        waiting = _waiting(file, key_id)
        raise ConfigurationError(
            f"the new sealing key cannot be put in place: {waiting}: {error.strerror}", hint=f"mv {waiting} {file}"
        ) from error


def _waiting(file: Path, key_id: str) -> Path:
    return file.with_name(f"{file.name}.new-{key_id}")


def _content(key: bytes) -> bytes:
    return base64.b64encode(key) + b"\n"
