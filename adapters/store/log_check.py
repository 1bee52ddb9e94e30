"""Verifies a log: records, streams, checkpoints, what stands beside them and, on SQLite, indexes. Writes nothing."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Final

from adapters.store.data_key_check import DataKeyCheck
from adapters.store.read_model_checks import READ_MODEL_CHECKS
from adapters.store.schema import wrong_guards
from adapters.store.snapshot import LogDamagedError, Snapshot, earlier, hash_at
from adapters.store.view_check import VIEW, view_problem
from domain.checkpoints import Keys
from domain.events import RecordedEvent
from domain.findings import Finding, Report
from domain.record_check import RecordCheck

Progress = Callable[[int], None]
"""Hears how many records were checked since the last time."""

_DOUBLES_SQL: Final = "SELECT {0}, count(*) FROM event GROUP BY {0} HAVING count(*) > 1 LIMIT 1"


def check_log(
    snapshot: Snapshot,
    keys: Keys,
    *,
    after: RecordedEvent | None = None,
    progress: Progress = lambda _count: None,
    see: Callable[[Sequence[RecordedEvent]], None] = lambda _events: None,
) -> Report:
    """Verify a log from the record after ``after`` on, None for the whole.

    Args:
        snapshot: the log at one moment.
        keys: the public keys that are trusted.
        after: a record that is known to be right.
        progress: hears of every batch.
        see: gets every batch once it is checked.

    Raises:
        LogDamagedError, LogUnavailableError: if it cannot be read to its end.
    """
    report = Report(log=hash_at(snapshot, 1), first=after.position + 1 if after else 1)
    check = RecordCheck(
        after=after,
        log=report.log,
        keys=keys,
        earlier=partial(earlier, snapshot),
        hash_at=partial(hash_at, snapshot),
    )
    models = [model for make in READ_MODEL_CHECKS if not (model := make(snapshot)).needs_whole or after is None]
    sealed = DataKeyCheck(snapshot)
    for events in snapshot.batches(after.position if after else None):
        for finding in check.findings(events):
            report.add(finding)
        for model in models:
            model.observe(events)
        sealed.observe(events)
        see(events)
        report.records += len(events)
        progress(len(events))
    report.notes += sealed.notes()
    report.last, report.head = check.chain.position, check.chain.head
    report.checkpoints, report.unchecked_signatures = check.checkpoints, check.unchecked_signatures
    for model in models:
        for problem in model.problems(check.streams.open):
            report.add(Finding(f"read model {model.name}", problem))
    for finding in chain(beside(snapshot), _whole(snapshot) if after is None else ()):
        report.add(finding)
    return report


def beside(snapshot: Snapshot) -> Iterator[Finding]:
    """Yield what is wrong with what stands beside the records: the guards and the view."""
    if wrong := wrong_guards(snapshot.query, is_sqlite=snapshot.is_sqlite):
        yield Finding(
            "guards", f"the database does not guard the log; missing, changed or not ours: {', '.join(wrong)}"
        )
    if problem := view_problem(snapshot):
        yield Finding(VIEW, problem)


def _whole(snapshot: Snapshot) -> Iterator[Finding]:
    """Yield what only a look at the whole table shows: things that stand there twice, and indexes that lie."""
    for columns in ("event_id", "stream, stream_version"):
        if doubles := snapshot.query(_DOUBLES_SQL.format(columns)):
            yield Finding(
                "log", f"{columns} {', '.join(map(str, doubles[0][:-1]))} stands there {doubles[0][-1]} times"
            )
    if snapshot.is_sqlite:
        try:
            [(verdict,)] = snapshot.query("PRAGMA integrity_check(1)")
        except LogDamagedError as error:
            verdict = error.message
        if verdict != "ok":
            yield Finding("database file", f"SQLite finds it inconsistent: {verdict}")
