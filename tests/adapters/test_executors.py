"""Who is alive is decided by locks that the system frees at death, never by time."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.store.executors import FileExecutors, HeldExecutors, executors_of
from adapters.store.location import Location
from tests.conftest import PostgresServer, url_of

HOLD = """
import sys
from adapters.store.executors import executors_of
from adapters.store.location import Location
executors = executors_of(Location.parse(sys.argv[1]))
executors.hold("other")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def other_process(location: Location) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the executor ``other``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, url_of(location)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def executors(location: Location) -> Iterator[HeldExecutors]:
    opened = executors_of(location)
    opened.hold("mine")
    yield opened
    opened.release()


def test_an_executor_lives_as_long_as_its_process(executors: HeldExecutors, location: Location) -> None:
    assert executors.is_alive("mine")
    assert not executors.is_alive("never-seen")
    with other_process(location) as process:
        assert executors.is_alive("other")
        process.send_signal(signal.SIGSTOP)
        assert executors.is_alive("other"), "a paused process is not dead"
        process.kill()
        process.wait()
        assert not executors.is_alive("other")


def test_holding_again_changes_nothing(executors: HeldExecutors) -> None:
    executors.hold("mine")
    assert executors.is_alive("mine")


def test_asking_does_not_take_the_lock(executors: HeldExecutors, location: Location) -> None:
    with other_process(location):
        assert [executors.is_alive("other") for _ in range(3)] == [True] * 3
        second = executors_of(location)
        assert second.is_alive("mine")
        assert second.is_alive("other")


def test_a_released_executor_is_dead_for_others(location: Location) -> None:
    first = executors_of(location)
    first.hold("mine")
    first.release()
    assert not executors_of(location).is_alive("mine")


def test_files_of_dead_processes_are_swept_and_those_of_living_ones_stay(sqlite_location: Location) -> None:
    assert sqlite_location.path
    directory = sqlite_location.path.with_name(sqlite_location.path.name + ".executors")
    with other_process(sqlite_location):
        directory.joinpath("dead.lock").touch()
        executors = FileExecutors(directory)
        executors.hold("mine")
        assert {file.stem for file in Path(directory).iterdir()} == {"mine", "other"}
        executors.release()
        assert {file.stem for file in Path(directory).iterdir()} == {"other"}


@pytest.mark.postgres
def test_a_lock_that_was_lost_with_the_server_is_taken_again(own_postgres: PostgresServer) -> None:
    location = Location.parse(own_postgres.url("postgres"))
    executors = executors_of(location)
    executors.hold("mine")
    own_postgres.stop()
    own_postgres.start()
    assert not executors_of(location).is_alive("mine")
    assert executors.seems_lost()
    executors.hold_on()
    assert not executors.seems_lost()
    assert executors_of(location).is_alive("mine")
    executors.release()


@pytest.mark.postgres
def test_a_released_lock_is_not_taken_again_by_who_looks_after_it(postgres_location: Location) -> None:
    executors = executors_of(postgres_location)
    executors.hold("mine")
    executors.release()
    executors.hold_on()
    assert not executors_of(postgres_location).is_alive("mine")
