"""``verify`` finds everything that somebody does to a log behind the server's back, and names it."""

import pytest

from adapters.signing import SigningKey, load_signing_key
from adapters.store.checkpointer import Checkpointer
from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.metric_series import MetricSeriesStore
from adapters.store.session import EVENT_COLUMNS
from adapters.store.snapshot import open_snapshot
from adapters.store.verification import verify_log
from domain.checkpoints import Keys
from domain.errors import ConfigurationError
from domain.events import CheckpointSigned, RecordedEvent
from domain.findings import Report
from migrations.guards import POSTGRES_TRIGGERS, SQLITE_TRIGGERS
from server.bootstrap import new_id, now_ms
from tests.conftest import SEALING_KEY
from tests.contract.events import AUTHORIZED, RECEIVED, life
from tests.contract.rows import execute
from tests.contract.tampering import events, forged, put, tamper, without_rules

pytestmark = pytest.mark.promise("P4")

SIGNING_KEY = load_signing_key(SEALING_KEY, None, may_create=False)
OTHER_KEY = load_signing_key("A" * 43 + "=", None, may_create=False)
TEXTS = sorted(set(EVENT_COLUMNS) - {"position", "stream_version", "schema_version", "occurred_at_ms"})


def key_of(signer: SigningKey | None) -> Keys:
    assert signer
    return {signer.key_id: signer.public.verifies}


def sign(location: Location, store: SqlEventStore, signer: SigningKey | None = SIGNING_KEY) -> CheckpointSigned:
    """Sign the head of the log, record the checkpoint in it, and return the copy that is kept elsewhere."""
    assert signer
    checkpointer = Checkpointer(signer, store.append, now_ms, new_id, events=1, interval_s=1)
    with open_snapshot(location, 5) as snapshot:
        checkpoint = checkpointer.sign(snapshot)
    assert checkpoint
    return checkpoint


@pytest.fixture
def checkpoint(location: Location) -> CheckpointSigned:
    """A log of 11 records: a command, a checkpoint of position 4, a command, and one that is still open, from 10 on."""
    store = SqlEventStore(location, now_ms, new_id())
    store.append(life()).result(30)
    signed = sign(location, store)
    store.append(life()).result(30)
    store.append(life(RECEIVED, AUTHORIZED)).result(30)
    store.close()
    execute(location, "UPDATE open_command SET executor = 'someone'")
    return signed


def verify(location: Location, *checkpoints: CheckpointSigned, keys: Keys | None = None, since: bool = False) -> Report:
    trusted = key_of(SIGNING_KEY) if keys is None else keys
    return verify_log(location, 5, trusted, checkpoints=checkpoints, from_checkpoint=since)


def first(report: Report) -> tuple[int | None, str]:
    finding = report.first_finding
    assert finding
    return finding.position, finding.problem


@pytest.mark.usefixtures("checkpoint")
def test_an_untouched_log_is_intact_with_and_without_a_key(location: Location) -> None:
    report = verify(location)
    assert (report.findings, report.first, report.last, report.records) == ([], 1, 11, 11)
    assert (report.checkpoints, report.unchecked_signatures) == (1, 0)
    assert report.log == events(location)[0].event_hash
    assert report.head == events(location)[-1].event_hash
    unkeyed = verify(location, keys={})
    assert (unkeyed.findings, unkeyed.checkpoints, unkeyed.unchecked_signatures) == ([], 0, 1)


def test_an_empty_log_is_intact(location: Location) -> None:
    SqlEventStore(location, now_ms, new_id()).check()
    report = verify(location)
    assert (report.intact, report.records, report.log) == (True, 0, None)


@pytest.mark.usefixtures("checkpoint")
def test_it_can_start_at_the_last_checkpoint(location: Location) -> None:
    report = verify(location, since=True)
    assert (report.findings, report.first, report.records) == ([], 5, 7)
    tamper(location, "UPDATE event SET role = 'x' WHERE position = 7")
    assert first(verify(location, since=True)) == (7, "does not match its hash: the record was changed")
    with pytest.raises(ConfigurationError, match="no checkpoint"):
        verify(location, since=True, keys={})


@pytest.mark.usefixtures("checkpoint")
@pytest.mark.parametrize("column", TEXTS)
def test_a_change_of_one_character_in_any_text_is_named(location: Location, column: str) -> None:
    record = events(location)[6]
    old = getattr(record, column)
    new = chr(ord(old[0]) ^ 1) + old[1:] if old else "x"
    if column == "status":
        new = "running" if old != "running" else "unknown"
    tamper(location, f"UPDATE event SET {column} = '{new}' WHERE position = 7")
    report = verify(location)
    assert first(report)[0] == 7
    assert "does not" in first(report)[1]


@pytest.mark.usefixtures("checkpoint")
@pytest.mark.parametrize("column", ["schema_version", "stream_version", "occurred_at_ms"])
def test_a_change_of_a_number_is_named(location: Location, column: str) -> None:
    tamper(location, f"UPDATE event SET {column} = {column} + 100 WHERE position = 7")
    assert first(verify(location)) == (7, "does not match its hash: the record was changed")


@pytest.mark.usefixtures("checkpoint")
def test_a_moved_record_is_named(location: Location) -> None:
    tamper(location, "UPDATE event SET position = 100 WHERE position = 7")
    assert first(verify(location)) == (8, "follows position 6: record 7 is missing")


@pytest.mark.usefixtures("checkpoint")
def test_a_removed_record_is_named(location: Location) -> None:
    tamper(location, "DELETE FROM event WHERE position IN (6, 7)")
    assert first(verify(location)) == (8, "follows position 5: records 6 to 7 are missing")


@pytest.mark.usefixtures("checkpoint")
def test_a_removed_record_is_named_also_when_the_rest_closes_up(location: Location) -> None:
    left = [event for event in events(location) if event.position != 7]
    put(location, [event._replace(position=place) for place, event in enumerate(left, 1)])
    assert first(verify(location)) == (7, "does not link to the record before it")


@pytest.mark.usefixtures("checkpoint")
def test_an_inserted_record_is_named(location: Location) -> None:
    records = events(location)
    inserted = forged(
        [*records[:6], records[4]._replace(event_id="new", occurred_at_ms=records[5].occurred_at_ms)],
        lambda event: event,
    )[-1]
    later = [event._replace(position=event.position + 1) for event in records[6:]]
    later[0] = later[0]._replace(previous_hash=inserted.event_hash)
    put(location, [*records[:6], inserted, *later])
    assert first(verify(location)) == (8, "does not match its hash: the record was changed")


@pytest.mark.usefixtures("checkpoint")
def test_records_that_changed_places_are_named(location: Location) -> None:
    a, b = (events(location)[place] for place in (6, 7))
    records = events(location)
    records[6], records[7] = b._replace(position=7), a._replace(position=8)
    put(location, records)
    assert first(verify(location))[0] == 7


def test_a_cut_tail_is_found_by_a_checkpoint_kept_elsewhere_and_only_by_it(
    location: Location, checkpoint: CheckpointSigned
) -> None:
    store = SqlEventStore(location, now_ms, new_id())
    later = sign(location, store)
    store.close()
    tamper(location, "DELETE FROM event WHERE position > 5", "DELETE FROM open_command")
    assert verify(location).intact
    assert verify(location, checkpoint).intact
    assert first(verify(location, later)) == (
        None,
        "it was signed when the log had 11 records, now it ends at 5: its tail was cut",
    )


def test_a_history_with_new_hashes_is_found_by_a_checkpoint_in_the_log(
    location: Location, checkpoint: CheckpointSigned
) -> None:
    put(location, forged(events(location), lambda event: event._replace(principal="mallory")))
    position, problem = first(verify(location))
    assert position == 5
    assert "checkpoint does not hold: it was signed for another log" in problem


@pytest.mark.parametrize("since", [1, 3])
def test_a_history_with_new_hashes_and_no_checkpoints_is_found_by_a_copy_elsewhere(
    location: Location, checkpoint: CheckpointSigned, since: int
) -> None:
    def change(event: RecordedEvent) -> RecordedEvent | None:
        if event.type == "checkpoint.signed":
            return None
        return event._replace(principal="mallory") if event.position >= since else event

    put(location, forged(events(location), change))
    execute(location, "UPDATE open_command SET position = 10")
    assert verify(location).intact
    assert "the history was rewritten" in first(verify(location, checkpoint))[1] or since == 1
    assert "whole history was rewritten" in first(verify(location, checkpoint))[1] or since == 3


def test_a_checkpoint_that_was_forged_is_told_from_a_signed_one(
    location: Location, checkpoint: CheckpointSigned
) -> None:
    false = checkpoint.model_copy(update={"position": 3, "head": events(location)[2].event_hash})
    assert "signature was not made" in first(verify(location, false))[1]
    other = key_of(OTHER_KEY)
    report = verify(location, checkpoint, keys=other)
    assert (report.intact, report.unchecked_signatures) == (True, 2)


@pytest.mark.usefixtures("checkpoint")
def test_a_checkpoint_in_the_log_that_somebody_else_signed_in_our_name_is_named(location: Location) -> None:
    store = SqlEventStore(location, now_ms, new_id())
    assert OTHER_KEY
    assert SIGNING_KEY
    store.append(life()).result(30)
    forger = SigningKey(OTHER_KEY._key)
    forger.public.key_id = SIGNING_KEY.key_id  # type: ignore[misc]
    sign(location, store, forger)
    store.close()
    assert "signature was not made by key" in first(verify(location))[1]


@pytest.mark.usefixtures("checkpoint")
@pytest.mark.parametrize("number", range(3))
def test_a_missing_guard_is_a_finding_of_its_own(location: Location, number: int) -> None:
    name = list(SQLITE_TRIGGERS if location.path else POSTGRES_TRIGGERS)[number]
    execute(location, f"DROP TRIGGER {name}" + ("" if location.path else " ON event"))
    (finding,) = verify(location).findings
    assert (finding.part, finding.position) == ("guards", None)
    assert name in finding.problem


@pytest.mark.usefixtures("checkpoint")
@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DELETE FROM open_command", "lacks command"),
        ("UPDATE open_command SET position = 7", "another position or status"),
        ("UPDATE open_command SET status = 'running'", "another position or status"),
        ("UPDATE open_command SET executor = 'mallory'", "a process carries it out which the log does not know"),
        ("INSERT INTO open_command VALUES ('x', 3, NULL, 'someone')", "the log says is not open"),
        (
            "INSERT INTO open_command SELECT stream, 4, 'running', 'someone' FROM event WHERE position = 4",
            "the log says is not open",
        ),
    ],
)
def test_a_read_model_that_says_something_else_than_the_log_is_named(
    location: Location, statement: str, problem: str
) -> None:
    execute(location, statement)
    (finding,) = verify(location).findings
    assert finding.part == "read model open_command"
    assert problem in finding.problem


@pytest.mark.usefixtures("checkpoint")
@pytest.mark.promise("P8")
@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE metric_series SET value = value + 1 WHERE metric = 'docker_mcp_events_total'", "the log yields"),
        ("UPDATE metric_series SET labels = labels || 'x'", "not what a fold writes"),
        ("DELETE FROM metric_series", "holds nothing, the log yields"),
        ("DELETE FROM read_model_checkpoint", "checkpoint of the metric series is missing"),
        ("INSERT INTO idempotency_key VALUES ('alice', 'k', 'c')", "idempotency_key alice k: holds c"),
    ],
)
def test_a_fold_that_says_something_else_than_the_log_is_named(
    location: Location, statement: str, problem: str
) -> None:
    MetricSeriesStore(location, 20.0).catch_up()
    assert verify(location).findings == []
    execute(location, statement)
    findings = verify(location).findings
    assert {finding.part for finding in findings} == {"read model folds"}
    assert problem in findings[0].problem


@pytest.mark.usefixtures("checkpoint")
def test_a_fork_is_named(location: Location) -> None:
    without_rules(location)
    records = events(location)
    twin = forged([*records[:6], records[6]._replace(event_id="twin", principal="mallory")], lambda event: event)[-1]
    put(location, [*records, twin])
    report = verify(location)
    assert first(report)[0] == 7
    assert any("out of order or doubled" in finding.problem for finding in report.findings)


@pytest.mark.usefixtures("checkpoint")
def test_events_that_do_not_belong_where_they_stand_are_named_though_every_hash_is_right(location: Location) -> None:
    without_rules(location)
    records = events(location)
    again = records[0]._replace(event_id="again")  # begins a command that has ended
    late = records[3]._replace(event_id="late")  # ends it once more
    made = forged([*records, again, late], lambda event: event)
    made[-2:] = _resealed(made[-3], [made[-2]._replace(stream_version=1), made[-1]._replace(stream_version=7)])
    put(location, made)
    report = verify(location)
    problems = {finding.position: finding.problem for finding in report.findings}
    assert problems[13] == "has version 7 in its stream, where 2 is due"
    assert "stands there 2 times" in problems[None]


def _resealed(before: RecordedEvent, records: list[RecordedEvent]) -> list[RecordedEvent]:
    from domain.chain import audit_record, hash_record

    made = []
    for record in records:
        linked = record._replace(previous_hash=before.event_hash)
        before = linked._replace(event_hash=hash_record(audit_record(linked)))
        made.append(before)
    return made


@pytest.mark.usefixtures("checkpoint")
def test_an_illegal_life_is_named_though_every_hash_is_right(location: Location) -> None:
    records = events(location)
    made = forged(records, lambda event: None if event.type == "execution.started" else event)
    put(location, made)
    position, problem = first(verify(location))
    assert (position, problem) == (3, "command.succeeded cannot follow command.authorized")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("data", "x'00ff'"),
        ("data", "CAST(x'7bff7d' AS TEXT)"),
        ("principal", "CAST(x'ff' AS TEXT)"),
        ("stream_version", "'two'"),
        ("occurred_at_ms", "1.5"),
        ("event_id", "NULL"),
        ("status", "'no such status'"),
        ("stream", "7"),
        ("event_hash", "NULL"),
        ("previous_hash", "x'00'"),
        ("type", "NULL"),
    ],
)
def test_garbage_in_a_table_without_rules_is_named(sqlite_location: Location, column: str, value: str) -> None:
    store = SqlEventStore(sqlite_location, now_ms, new_id())
    for _ in range(3):
        store.append(life()).result(30)
    store.close()
    without_rules(sqlite_location)
    tamper(sqlite_location, f"UPDATE event SET {column} = {value} WHERE position = 6")
    assert first(verify(sqlite_location))[0] == 6


def test_an_index_that_no_longer_agrees_with_the_log_is_found(sqlite_location: Location) -> None:
    """Answers come from indexes, so a change there alone would hide a record from every question."""
    assert sqlite_location.path
    store = SqlEventStore(sqlite_location, now_ms, new_id())
    store.append(life()).result(30)
    store.close()
    execute(
        sqlite_location,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = replace(sql, '(principal', '(role') WHERE name = 'audit_principal'",
    )
    findings = verify(sqlite_location).findings
    assert [finding.part for finding in findings] == ["database file"]
