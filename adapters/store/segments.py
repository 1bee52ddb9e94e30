"""Segment files: a stretch of the log as compressed JSON lines, written whole and once."""

import gzip
import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import orjson
from pydantic import ValidationError

from adapters.private_file import sync
from domain.errors import DockerMcpError, InvalidArgumentsError
from domain.events import RecordedEvent
from domain.segments import FORM, Manifest

GZIP_MAGIC: Final = b"\x1f\x8b"
_BATCH: Final = 128
_LONGEST_LINE: Final = 1024 * 1024
_LEVEL: Final = 6


class SegmentError(DockerMcpError):
    """The file is no segment, or damaged."""

    code = "segment_unreadable"
    hint = "restore the file from a copy"


def write_segment(file: Path, manifest: Manifest, batches: Iterable[Sequence[RecordedEvent]]) -> str:
    """Write a new file, durably, which only its owner can read; return the SHA-256 of its bytes in hexadecimal.

    The file is there when it is complete, and not before.

    Raises:
        InvalidArgumentsError: if there is such a file already, or it cannot be written.
    """
    draft = file.with_name(f".{file.name}.draft")
    try:
        with _new(draft) as raw:
            with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=_LEVEL, filename="", mtime=0) as packed:
                packed.write(orjson.dumps(manifest.model_dump(exclude_none=True)) + b"\n")
                for events in batches:
                    packed.writelines(orjson.dumps(event._asdict()) + b"\n" for event in events)
            raw.flush()
            os.fsync(raw.fileno())
        os.link(draft, file)  # never in the place of another
        sync(file.parent)
    except FileExistsError as error:
        raise InvalidArgumentsError(f"{file} exists already", hint="name a new file") from error
    except OSError as error:
        raise InvalidArgumentsError(f"{file} cannot be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
    with file.open("rb") as written:
        return hashlib.file_digest(written, "sha256").hexdigest()


@contextmanager
def read_segment(file: Path) -> Iterator[tuple[Manifest, Iterator[Sequence[RecordedEvent]]]]:
    """Give the manifest of a segment and its records, batch by batch, unchecked.

    Raises:
        SegmentError: if the file is no segment or damaged, also while the records are read.
    """
    with _explained(file), gzip.open(file) as lines:
        yield _manifest(lines.readline(_LONGEST_LINE)), _batches(lines.readline)


def _batches(readline: Callable[[int], bytes]) -> Iterator[Sequence[RecordedEvent]]:
    events: list[RecordedEvent] = []
    while line := readline(_LONGEST_LINE):
        events.append(RecordedEvent(**orjson.loads(line)))
        if len(events) == _BATCH:
            yield events
            events = []
    if events:
        yield events


def _manifest(line: bytes) -> Manifest:
    manifest = Manifest(**{"previous_hash": None, **orjson.loads(line)})
    if manifest.form != FORM:
        raise SegmentError("this is a segment of a form that this version does not know")
    return manifest


def _new(path: Path) -> IO[Any]:
    path.unlink(missing_ok=True)  # what an interrupted run has left
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SegmentError(f"{file} cannot be read: {error.strerror or 'it is no segment'}") from error
    except (EOFError, zlib.error) as error:
        raise SegmentError(f"{file} is damaged or was cut") from error
    except (TypeError, ValidationError, orjson.JSONDecodeError) as error:
        raise SegmentError(f"{file} is no segment: {type(error).__name__}") from error
