"""Verifies files that are given beside a log: segments, and the SQLite files of older logs."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from adapters.store.location import Location
from adapters.store.log_check import check_log
from adapters.store.segments import read_segment
from adapters.store.snapshot import Snapshot, hash_at, open_snapshot, record_at
from domain.chain import ChainCheck
from domain.checkpoints import Keys
from domain.events import LogContinued, RecordedEvent
from domain.findings import Finding, Report
from domain.segments import Manifest, Part

_SQLITE_MAGIC: Final = b"SQLite format 3\x00"
_TIMEOUT_S: Final = 5.0


def part_of(snapshot: Snapshot, report: Report, name: str) -> Part:
    """Return a log that was verified; the snapshot has to stay open for as long as the part is used."""
    first = record_at(snapshot, 1)
    return Part(
        name, report.log, 1, report.last, None, report.head, partial(hash_at, snapshot), first and link_of(first)
    )


def check_file(file: Path, keys: Keys, wanted: frozenset[int], report: Report, open_files: ExitStack) -> Part:
    """Verify a segment or the file of an older log, add what is wrong with it to ``report``, and return it as a part.

    Args:
        file: the file.
        keys: the public keys that are trusted.
        wanted: positions whose hashes are asked for later.
        report: takes the findings.
        open_files: keeps a database open until it is closed.

    Raises:
        DockerMcpError: if the file cannot be read, or is neither.
    """
    report.segments += 1
    if not _is_sqlite(file):
        return _check_segment(file, keys, wanted, report)
    snapshot = open_files.enter_context(open_snapshot(Location(path=file), _TIMEOUT_S))
    older = check_log(snapshot, keys)
    for finding in older.findings:
        report.add(Finding(file.name, finding.describe()))
    return part_of(snapshot, older, file.name)


def link_of(first: RecordedEvent) -> LogContinued | None:
    """Return what the first record of a log says it continues."""
    if first.type != LogContinued.type:
        return None
    try:
        return LogContinued.model_validate_json(first.data)
    except ValidationError:
        return None


def _check_segment(file: Path, keys: Keys, wanted: frozenset[int], report: Report) -> Part:
    hashes: dict[int, str] = {}
    link = None
    with read_segment(file) as (manifest, batches):
        check = ChainCheck()
        check.position, check.head = manifest.first_position - 1, manifest.previous_hash
        for events in batches:
            for fault in check.faults(events):
                report.add(Finding(file.name, f"record {fault.position}: {fault.problem}"))
            if events[0].position == 1:
                link = link_of(events[0])
            hashes |= {event.position: event.event_hash for event in events if event.position in wanted}
    for problem in _wrong(manifest, check, keys):
        report.add(Finding(file.name, problem))
    report.unchecked_signatures += manifest.is_signed(keys) is None
    hashes[check.position] = check.head or ""
    return Part(
        file.name,
        manifest.log,
        manifest.first_position,
        check.position,
        manifest.previous_hash,
        check.head,
        hashes.get,
        link,
    )


def _wrong(manifest: Manifest, check: ChainCheck, keys: Keys) -> Sequence[str]:
    problems = []
    if (check.position, check.head) != (manifest.last_position, manifest.last_hash):
        problems.append(f"its last record is not that of its manifest, at position {manifest.last_position}")
    if manifest.is_signed(keys) is False:
        problems.append(f"its signature was not made by key {manifest.key_id}")
    return problems


def _is_sqlite(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return opened.read(len(_SQLITE_MAGIC)) == _SQLITE_MAGIC
    except OSError:
        return False  # reading it as a segment says what is the matter
