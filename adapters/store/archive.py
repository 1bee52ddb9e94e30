"""Copies records of a log into segment files, and segment files into a log of their own."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import takewhile
from pathlib import Path
from typing import Final

import orjson

from adapters.store.location import Location
from adapters.store.migrate import migrate
from adapters.store.segments import read_segment, write_segment
from adapters.store.session import Changes
from adapters.store.snapshot import Snapshot, hash_at, last_of, record_at
from adapters.store.sqlite import SqliteSession
from domain.chain import ChainCheck
from domain.checkpoints import Keys, Signer
from domain.errors import DockerMcpError, InvalidArgumentsError
from domain.events import LogArchived, RecordedEvent
from domain.segments import make_manifest
from domain.stream_check import StreamCheck

STREAM: Final = "archive"
_TIMEOUT_S: Final = 30.0


Progress = Callable[[int], object]


def _silent(_count: int) -> None:
    """Tell nobody."""


class NotIntactError(DockerMcpError):
    """The records are not intact, so they are not copied."""

    code = "not_intact"
    hint = "`docker-mcp verify` shows what is wrong"


def next_segment(snapshot: Snapshot, before_ms: int) -> tuple[int, int]:
    """Return the first and last position of the records before a time that no archive holds yet.

    Raises:
        InvalidArgumentsError: if there are none.
    """
    archived = last_of(snapshot, STREAM)
    first = LogArchived.model_validate_json(archived.data).last_position + 1 if archived else 1
    sql = "SELECT coalesce(max(position), 0) FROM event WHERE occurred_at_ms < ?"
    last = int(snapshot.query(sql, before_ms)[0][0])
    if last < first:
        raise InvalidArgumentsError(
            "no records to archive before this time" + (f"; those up to {first - 1} are archived" if archived else "")
        )
    return first, last


def archive(
    snapshot: Snapshot,
    file: Path,
    positions: tuple[int, int],
    signer: Signer | None,
    at_ms: int,
    progress: Progress = _silent,
) -> LogArchived:
    """Write the records of ``positions`` (first and last) to a new segment file; return the event that names it.

    ``progress`` is told how many more are written.

    Raises:
        InvalidArgumentsError: if the file cannot be made.
        NotIntactError: if a record is not right; no file is left.
    """
    first, last = record_at(snapshot, positions[0]), record_at(snapshot, positions[1])
    log, before = hash_at(snapshot, 1), record_at(snapshot, positions[0] - 1)
    if first is None or last is None or log is None:
        raise NotIntactError(f"record {positions[0] if first is None else positions[1]} is missing")
    manifest = make_manifest(signer, log, first, last, at_ms)
    digest = write_segment(file, manifest, _intact(snapshot, ChainCheck(before), last.position, progress))
    return LogArchived(
        file_name=file.name,
        file_sha256=digest,
        first_position=first.position,
        last_position=last.position,
        last_hash=last.event_hash,
    )


def load_segments(files: Sequence[Path], target: Path, keys: Keys, progress: Progress = _silent) -> int:
    """Make a new SQLite log of segments that hold a log from its first record on; return how many records it has.

    Whatever reads a log reads this one too. Sealed values stay sealed: segments hold no keys. ``progress`` is told how
    many more records are in it.

    Raises:
        InvalidArgumentsError: if the target exists, or the segments are not one log from its beginning.
        NotIntactError, SegmentError: if a segment is not what it should be.
    """
    location = Location(path=target)
    if target.exists():
        raise InvalidArgumentsError(f"{target} exists already", hint="name a new file")
    ordered = sorted((_manifest(file), file) for file in files)
    migrate(location)
    try:
        with closing(SqliteSession(target, _TIMEOUT_S)) as session:
            chain, streams = ChainCheck(), StreamCheck(lambda *_which: None)
            executors: dict[str, str] = {}
            for _, file in ordered:
                for count in _loaded(file, session, chain, streams, executors, keys):
                    progress(count)
            opened = [
                (command, last.position, last.status, executors.get(command, ""))
                for command, last in streams.open.items()
            ]
            session.begin()
            session.commit(Changes(events=(), opened=opened, closed=(), data_keys=()))
    except BaseException:
        target.unlink()
        raise
    return chain.position


def _loaded(
    file: Path,
    session: SqliteSession,
    chain: ChainCheck,
    streams: StreamCheck,
    executors: dict[str, str],
    keys: Keys,
) -> Iterator[int]:
    """Yield how many more records of a file are in the log."""
    with read_segment(file) as (manifest, batches):
        if manifest.is_signed(keys) is False:
            raise NotIntactError(f"{file.name}: its signature was not made by key {manifest.key_id}")
        if (manifest.first_position - 1, manifest.previous_hash) != (chain.position, chain.head):
            raise InvalidArgumentsError(
                f"{file.name} begins at record {manifest.first_position}, where {chain.position + 1} of the same log "
                "is due",
                hint="give all segments from the first record on",
            )
        for events in batches:
            for fault in chain.faults(events):
                raise NotIntactError(f"{file.name}, record {fault.position}: {fault.problem}")
            for event in events:
                streams.problem(event)
                if event.type in ("command.received", "execution.started"):
                    executors[event.stream] = orjson.loads(event.data)["executor"]
                elif event.stream not in streams.open:
                    executors.pop(event.stream, None)
            session.begin()
            session.commit(Changes(events=events, opened=(), closed=(), data_keys=()))
            yield len(events)
        if (chain.position, chain.head) != (manifest.last_position, manifest.last_hash):
            raise NotIntactError(f"{file.name} ends at record {chain.position}, not where its manifest says")


def _manifest(file: Path) -> int:
    with read_segment(file) as (manifest, _):
        return manifest.first_position


def _intact(snapshot: Snapshot, check: ChainCheck, last: int, progress: Progress) -> Iterator[Sequence[RecordedEvent]]:
    for events in snapshot.batches(check.position or None):
        wanted = list(takewhile(lambda event: event.position <= last, events))
        for fault in check.faults(wanted):
            raise NotIntactError(f"record {fault.position}: {fault.problem}")
        yield wanted
        progress(len(wanted))
        if len(wanted) < len(events):
            return
