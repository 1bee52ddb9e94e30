"""Files that only their owner can read: written whole or not at all, durably."""

import os
import secrets
from contextlib import suppress
from pathlib import Path


def write_private(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file, in the place of one that is there; ``mode`` for one that others may read."""
    kept = draft(path, content)
    try:
        kept.chmod(mode)
        kept.replace(path)
    except BaseException:
        kept.unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_first(path: Path, content: bytes) -> None:
    """Write a file once, even if several processes start together: the first link wins."""
    with suppress(FileExistsError):
        write_new(path, content)


def write_new(path: Path, content: bytes) -> None:
    """Write a file that is not there yet.

    Raises:
        FileExistsError: if it is.
    """
    kept = draft(path, content)
    try:
        os.link(kept, path)
    finally:
        kept.unlink()
        sync(path.parent)


def draft(path: Path, content: bytes) -> Path:
    """Write ``content`` beside ``path``, to be put in its place; return where."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(kept, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        kept.unlink(missing_ok=True)
        raise
    return kept


def sync(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
