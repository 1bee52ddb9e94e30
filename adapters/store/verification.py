"""Verifies a log together with what is kept elsewhere: checkpoints, segments, older logs."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from adapters.store.checkpointer import last_signed
from adapters.store.location import Location
from adapters.store.log_check import Progress, check_log
from adapters.store.part_check import check_file, part_of
from adapters.store.rotation import closing_record
from adapters.store.snapshot import Snapshot, open_snapshot
from domain.checkpoints import Keys, disagreements, is_signed
from domain.errors import ConfigurationError
from domain.events import CheckpointSigned
from domain.findings import Finding, Report
from domain.segments import Part, unlinked


def verify_log(
    location: Location,
    timeout_s: float,
    keys: Keys,
    *,
    from_checkpoint: bool = False,
    checkpoints: Sequence[CheckpointSigned] = (),
    files: Sequence[Path] = (),
    progress: Progress = lambda _count: None,
) -> Report:
    """Verify the log, and that what was kept elsewhere agrees with it.

    Args:
        location: the log.
        timeout_s: seconds to wait for the database to answer at first.
        keys: the public keys that are trusted.
        from_checkpoint: look only at the records since the last signed checkpoint in the log.
        checkpoints: checkpoints that were kept elsewhere.
        files: segments, or SQLite files of older logs.
        progress: hears of every batch of records.

    Raises:
        DockerMcpError: if something that was to be checked cannot be read.
    """
    with ExitStack() as open_files:
        snapshot = open_files.enter_context(open_snapshot(location, timeout_s))
        after = last_signed(snapshot, keys) if from_checkpoint else None
        if from_checkpoint and after is None:
            raise ConfigurationError(
                "the log holds no checkpoint whose signature can be checked",
                hint="verify the whole log, or give --public-key",
            )
        report = check_log(snapshot, keys, after=after, progress=progress)
        live = part_of(snapshot, report, "the log")
        wanted = frozenset(checkpoint.position for checkpoint in checkpoints)
        parts = [check_file(file, keys, wanted, report, open_files) for file in files]
        for finding in unlinked(live, parts):
            report.add(finding)
        for number, checkpoint in enumerate(checkpoints, 1):
            _compare(checkpoint, number, live, parts, keys, report)
        _take_notes(snapshot, live, parts, report)
        return report


def _compare(
    checkpoint: CheckpointSigned, number: int, live: Part, parts: Sequence[Part], keys: Keys, report: Report
) -> None:
    name = f"checkpoint {number} (record {checkpoint.position}, {checkpoint.at})"
    signed = is_signed(checkpoint, keys)
    if signed is False:
        report.add(Finding(name, f"its signature was not made by key {checkpoint.key_id}"))
        return
    older = [part for part in parts if part.log == checkpoint.log != live.log]
    within = [part for part in older if part.first <= checkpoint.position <= part.last]
    if older and not within:
        report.notes.append(f"{name} belongs to an older log, but to none of the records that were given")
        return
    compared = within[0] if within else live
    problems = list(disagreements(checkpoint, log=compared.log, last=compared.last, hash_at=compared.hash_at))
    for problem in problems:
        report.add(Finding(name, problem))
    if not problems:
        report.checkpoints += signed is True
        report.unchecked_signatures += signed is None


def _take_notes(snapshot: Snapshot, live: Part, parts: Sequence[Part], report: Report) -> None:
    link = live.continues
    if link and all(part.log != link.log for part in parts):
        report.notes.append(
            f"the log continues {link.log[:16]} after record {link.position}, archived as {link.file_name}; "
            "--segment FILE verifies that too"
        )
    if closed := closing_record(snapshot):
        report.notes.append(f"the log was closed at record {closed} and goes on in a new database")
    if report.unchecked_signatures:
        report.notes.append(f"{report.unchecked_signatures} signatures were not checked: their key was not given")
