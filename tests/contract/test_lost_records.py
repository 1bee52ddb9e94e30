"""A server whose records somebody has taken away writes nothing more, so that no position is used twice."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.verification import verify_log
from domain.errors import LogFilesRemovedError, LogLostError
from server.bootstrap import new_id, now_ms
from tests.contract.events import life
from tests.contract.rows import execute, rows
from tests.contract.tampering import events, forged, put, tamper

pytestmark = pytest.mark.promise("P1", "P4")


_APPEND = """
import os
import sys
from pathlib import Path
from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from server.bootstrap import new_id, now_ms
from tests.contract.events import life
from tests.contract.rows import execute
location = Location(path=Path(sys.argv[1]))
SqlEventStore(location, now_ms, new_id(), 30).append(life()).result(60)
execute(location, "PRAGMA wal_checkpoint(TRUNCATE)")
os._exit(0)
"""
"""Another server, which ends without a word and leaves its files."""


def refused(store: SqlEventStore) -> None:
    for _ in range(2):  # the second one finds the connection closed
        with pytest.raises(LogLostError):
            store.append(life()).result(30)


def count(location: Location) -> int:
    [(found,)] = rows(location, "SELECT count(*) FROM event")
    return int(found)


def test_a_log_that_was_cut_is_not_continued_and_one_that_is_back_is(location: Location, store: SqlEventStore) -> None:
    for _ in range(2):
        store.append(life()).result(30)
    kept = events(location)
    tamper(location, "DELETE FROM event WHERE position > 4")
    refused(store)
    assert count(location) == 4
    put(location, kept)
    store.append(life()).result(30)
    assert count(location) == 12
    assert verify_log(location, 30, {}).intact


def test_a_log_that_was_written_anew_to_the_same_length_is_not_continued(
    location: Location, store: SqlEventStore
) -> None:
    store.append(life()).result(30)
    put(location, forged(events(location), lambda event: event._replace(principal="mallory")))
    refused(store)
    assert count(location) == 4


def test_an_older_copy_put_into_the_same_file_is_not_continued(sqlite_location: Location, tmp_path: Path) -> None:
    path = sqlite_location.path
    assert path
    store = SqlEventStore(sqlite_location, now_ms, new_id())
    store.append(life()).result(30)
    execute(sqlite_location, "PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copyfile(path, tmp_path / "older.db")
    store.append(life()).result(30)
    execute(sqlite_location, "PRAGMA wal_checkpoint(TRUNCATE)")
    path.write_bytes((tmp_path / "older.db").read_bytes())
    refused(store)
    store.close()
    assert count(sqlite_location) == 4


def without(suffixes: tuple[str, ...]) -> Callable[[Path], None]:
    def remove(path: Path) -> None:
        for suffix in suffixes:
            path.with_name(path.name + suffix).unlink()

    return remove


@pytest.mark.promise("P5")
@pytest.mark.parametrize("suffixes", [("-wal",), ("-shm",), ("-wal", "-shm")], ids=" ".join)
def test_what_was_recorded_outlives_the_files_beside_the_database(
    sqlite_location: Location, suffixes: tuple[str, ...]
) -> None:
    """The newest records stand in the write-ahead log alone, and a removed one goes on to take more."""
    path = sqlite_location.path
    assert path
    store, other = (SqlEventStore(sqlite_location, now_ms, new_id()) for _ in range(2))
    for each in (store, other, store):
        each.append(life()).result(30)
    without(suffixes)(path)
    for each in (store, other, store):
        with pytest.raises(LogFilesRemovedError):
            each.append(life()).result(30)
    store.close()
    other.close()
    restarted = SqlEventStore(sqlite_location, now_ms, new_id())
    restarted.append(life()).result(30)
    restarted.close()
    assert count(sqlite_location) == 16
    assert verify_log(sqlite_location, 30, {}).intact


def test_a_log_behind_a_link_is_watched_where_it_is(sqlite_location: Location, tmp_path: Path) -> None:
    path = sqlite_location.path
    assert path
    SqlEventStore(sqlite_location, now_ms, new_id()).check()
    (tmp_path / "link.db").symlink_to(path)
    store = SqlEventStore(Location(path=tmp_path / "link.db"), now_ms, new_id())
    store.append(life()).result(30)
    without(("-wal",))(path)
    with pytest.raises(LogFilesRemovedError):
        store.append(life()).result(30)
    store.close()
    assert count(sqlite_location) == 4


@pytest.mark.promise("P5")
def test_files_that_another_process_has_made_anew_are_left_to_it(sqlite_location: Location) -> None:
    path = sqlite_location.path
    assert path
    store = SqlEventStore(sqlite_location, now_ms, new_id())
    store.append(life()).result(30)
    execute(sqlite_location, "PRAGMA wal_checkpoint(TRUNCATE)")
    without(("-wal", "-shm"))(path)
    subprocess.run([sys.executable, "-c", _APPEND, str(path)], check=True, timeout=120)
    for _ in range(2):
        with pytest.raises(LogFilesRemovedError):
            store.append(life()).result(30)
    store.close()
    assert count(sqlite_location) == 8
    assert verify_log(sqlite_location, 30, {}).intact
