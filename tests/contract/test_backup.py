"""A copy of a log: whole while the log is in use, refused if it was changed, a log again on either database."""

import hashlib
import json
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from adapters.signing import SigningKey, load_signing_key
from adapters.store.archive import NotIntactError
from adapters.store.backup import BackupDamagedError, Checked, back_up, manifest_of, restore
from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.metric_series import MetricSeriesStore
from adapters.store.postgres_copy import tables
from adapters.store.verification import verify_log
from domain.checkpoints import sign_checkpoint
from domain.errors import InvalidArgumentsError
from domain.events import CheckpointSigned, RecordedEvent
from domain.manifests import BackupManifest
from server.bootstrap import new_id, now_ms
from tests.cli.keys import opened, seal, sealer
from tests.conftest import SEALING_KEY, PostgresServer
from tests.contract.events import RECEIVED, life
from tests.contract.rows import rows
from tests.contract.tampering import events, tamper

pytestmark = pytest.mark.promise("P4")

TIMEOUT_S = 30


@pytest.fixture
def signer() -> SigningKey:
    found = load_signing_key(SEALING_KEY, None, may_create=False)
    assert found
    return found


@pytest.fixture
def empty(location: Location, tmp_path: Path, request: pytest.FixtureRequest) -> Location:
    """A place for a log on the same kind of database."""
    if location.path:
        return Location(path=tmp_path / "elsewhere/ledger.db")
    server: PostgresServer = request.getfixturevalue("postgres")
    return Location.parse(server.url(server.create_database()))


def fill(location: Location, commands: int = 3) -> None:
    """Record finished commands, and one that is open."""
    with closing(SqlEventStore(location, now_ms, new_id())) as store:
        for _ in range(commands):
            store.append(life()).result(TIMEOUT_S)
        store.append(life(RECEIVED)).result(TIMEOUT_S)


def copied(location: Location, file: Path, signer: SigningKey) -> BackupManifest:
    keys = {signer.key_id: signer.public.verifies}
    return back_up(location, file, signer=signer, keys=keys, at_ms=now_ms(), timeout_s=TIMEOUT_S)


def restored(
    file: Path, location: Location, signer: SigningKey, checkpoints: list[CheckpointSigned] | None = None
) -> Checked:
    keys = {signer.key_id: signer.public.verifies}
    return restore(
        file, location, keys=keys, checkpoints=checkpoints or [], fits=lambda _checked: None, timeout_s=TIMEOUT_S
    )


def contents(location: Location) -> dict[str, list[tuple[object, ...]]]:
    """Return the rows of every table."""
    return {
        table: sorted(rows(location, f"SELECT {', '.join(columns)} FROM {table}"), key=str)
        for table, columns in tables().items()
    }


@contextmanager
def commands_running(location: Location) -> Iterator[list[RecordedEvent]]:
    """Append commands as fast as the log takes them until the block ends; gives the last record of each."""
    done, recorded = threading.Event(), list[RecordedEvent]()

    def append() -> None:
        with closing(SqlEventStore(location, now_ms, new_id())) as store:
            while not done.is_set():
                recorded.append(store.append(life()).result(TIMEOUT_S)[-1])

    thread = threading.Thread(target=append)
    thread.start()
    try:
        yield recorded
    finally:
        done.set()
        thread.join()


def test_a_log_in_use_is_copied_as_it_is_at_one_moment(location: Location, tmp_path: Path, signer: SigningKey) -> None:
    fill(location)
    file = tmp_path / "copy.db"
    with commands_running(location) as recorded:
        before = len(recorded)
        manifest = copied(location, file, signer)
        meanwhile = len(recorded) - before
    assert meanwhile, "nothing was recorded while the copy was made"
    copy, log = events(Location(path=file)), events(location)
    assert copy == log[: manifest.last_position]
    assert (manifest.log, manifest.last_hash) == (log[0].event_hash, copy[-1].event_hash)
    assert len(log) > len(copy)
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(manifest_of(file).stat().st_mode) == 0o600


def test_a_restored_log_has_all_that_the_other_had_and_goes_on(
    location: Location, empty: Location, tmp_path: Path, signer: SigningKey
) -> None:
    fill(location)
    command = seal(location, "the value")
    MetricSeriesStore(location, TIMEOUT_S).catch_up()
    held = contents(location)
    assert all(held[table] for table in ("open_command", "metric_series", "data_key"))
    manifest = copied(location, tmp_path / "copy.db", signer)
    assert manifest.sealing_key_id == sealer().key_id
    assert sorted(each.name for each in tmp_path.glob("*copy.db*")) == ["copy.db", "copy.db.manifest.json"]
    assert restored(tmp_path / "copy.db", empty, signer).is_signed is True
    assert contents(empty) == held
    assert opened(empty, command, sealer()) == "the value"
    fill(empty)
    assert verify_log(empty, TIMEOUT_S, {}).intact


@pytest.mark.postgres
@pytest.mark.parametrize("to_postgres", [True, False])
def test_a_log_moves_to_the_other_database(
    to_postgres: bool, postgres: PostgresServer, postgres_location: Location, tmp_path: Path, signer: SigningKey
) -> None:
    old, new = Location(path=tmp_path / "old.db"), Location.parse(postgres.url(postgres.create_database()))
    if not to_postgres:
        old, new = postgres_location, Location(path=tmp_path / "new.db")
    fill(old)
    copied(old, tmp_path / "copy.db", signer)
    restored(tmp_path / "copy.db", new, signer)
    assert contents(new) == contents(old)
    assert verify_log(new, TIMEOUT_S, {}).intact


def change_a_byte(copy: Path) -> None:
    content = bytearray(copy.read_bytes())
    content[-1] ^= 1
    copy.write_bytes(content)


def cut(copy: Path) -> None:
    copy.write_bytes(copy.read_bytes()[:-4096])


def change_a_record(copy: Path) -> None:
    tamper(Location(path=copy), "UPDATE event SET principal = 'mallory' WHERE position = 2")


def change_the_manifest(copy: Path) -> None:
    tree = json.loads(manifest_of(copy).read_text())
    manifest_of(copy).write_text(json.dumps({**tree, "last_position": 3}))


def spoil_the_manifest(copy: Path) -> None:
    manifest_of(copy).write_text("{}")


def change_record_and_digest(copy: Path) -> None:
    change_a_record(copy)
    tree = json.loads(manifest_of(copy).read_text())
    digest = hashlib.sha256(copy.read_bytes()).hexdigest()
    manifest_of(copy).write_text(json.dumps({**tree, "file_sha256": digest}))


def change_and_sign(copy: Path) -> None:
    """As somebody does who holds the signing key too."""
    change_record_and_digest(copy)
    manifest = BackupManifest.model_validate_json(manifest_of(copy).read_bytes())
    key = load_signing_key(SEALING_KEY, None, may_create=False)
    manifest_of(copy).write_text(manifest.signed(key).model_dump_json())


def leave_out_a_data_key(copy: Path) -> None:
    tamper(Location(path=copy), "DELETE FROM data_key")


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (change_a_byte, "is not the file that its manifest names"),
        (cut, "is not the file that its manifest names"),
        (change_a_record, "is not the file that its manifest names"),
        (leave_out_a_data_key, "is not the file that its manifest names"),
        (change_the_manifest, "the signature of its manifest was not made by key"),
        (change_record_and_digest, "the signature of its manifest was not made by key"),
        (change_and_sign, "the copy does not verify: record 2"),
        (spoil_the_manifest, "is no manifest of a copy"),
    ],
)
def test_a_copy_that_was_changed_is_refused_and_leaves_nothing(
    damage: Callable[[Path], None], problem: str, sqlite_location: Location, tmp_path: Path, signer: SigningKey
) -> None:
    fill(sqlite_location)
    seal(sqlite_location, "the value")
    file, new = tmp_path / "copy.db", Location(path=tmp_path / "new/ledger.db")
    copied(sqlite_location, file, signer)
    damage(file)
    with pytest.raises(BackupDamagedError, match=problem):
        restored(file, new, signer)
    assert list((tmp_path / "new").glob("*")) == []


def test_a_copy_without_its_manifest_is_refused(sqlite_location: Location, tmp_path: Path, signer: SigningKey) -> None:
    fill(sqlite_location)
    copied(sqlite_location, tmp_path / "copy.db", signer)
    shutil.copy(tmp_path / "copy.db", tmp_path / "alone.db")
    with pytest.raises(InvalidArgumentsError, match=r"alone\.db\.manifest\.json cannot be read"):
        restored(tmp_path / "alone.db", Location(path=tmp_path / "new.db"), signer)


def test_a_copy_that_is_older_than_a_checkpoint_kept_elsewhere_is_refused(
    sqlite_location: Location, tmp_path: Path, signer: SigningKey
) -> None:
    fill(sqlite_location)
    copied(sqlite_location, tmp_path / "copy.db", signer)
    fill(sqlite_location)
    log, head = events(sqlite_location)[0], events(sqlite_location)[-1]
    kept = sign_checkpoint(signer, log=log.event_hash, position=head.position, head=head.event_hash, at_ms=now_ms())
    with pytest.raises(BackupDamagedError, match="its tail was cut"):
        restored(tmp_path / "copy.db", Location(path=tmp_path / "new.db"), signer, [kept])


def test_a_log_is_never_overwritten(location: Location, tmp_path: Path, signer: SigningKey) -> None:
    fill(location)
    copied(location, tmp_path / "copy.db", signer)
    fill(location)
    before = contents(location)
    with pytest.raises(InvalidArgumentsError, match="a log is never overwritten"):
        restored(tmp_path / "copy.db", location, signer)
    with pytest.raises(InvalidArgumentsError, match="exists already"):
        copied(location, tmp_path / "copy.db", signer)
    assert contents(location) == before


def test_the_write_ahead_log_of_another_database_is_not_taken_for_the_copys(
    sqlite_location: Location, tmp_path: Path, signer: SigningKey
) -> None:
    fill(sqlite_location)
    copied(sqlite_location, tmp_path / "copy.db", signer)
    (tmp_path / "new.db-wal").write_bytes(b"left over")
    with pytest.raises(InvalidArgumentsError, match=r"new\.db-wal exists already"):
        restored(tmp_path / "copy.db", Location(path=tmp_path / "new.db"), signer)


def test_a_log_that_does_not_verify_is_not_copied(location: Location, tmp_path: Path, signer: SigningKey) -> None:
    fill(location)
    tamper(location, "UPDATE event SET principal = 'mallory' WHERE position = 2")
    with pytest.raises(NotIntactError, match="record 2"):
        copied(location, tmp_path / "copy.db", signer)
    assert list(tmp_path.glob("*copy*")) == []
