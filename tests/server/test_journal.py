"""What the server does when the log answers late, breaks off, or not at all."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from domain.command_stream import CommandStream
from domain.errors import ConcurrentAppendError, LogInDoubtError, LogUnavailableError, RecordRefusedError
from domain.events import NewEvent, RecordedEvent
from domain.secrets import DataKey
from server.journal import Journal
from tests.contract.events import AUTHORIZED, RECEIVED, STARTED, SUCCEEDED, life, stream
from tests.waiting import until

pytestmark = pytest.mark.anyio

Recorded = tuple[RecordedEvent, ...]


class SlowStore:
    """A log whose answers the test gives: no real database is slow on demand."""

    def __init__(self) -> None:
        self.appends: list[tuple[Sequence[NewEvent], Future[Recorded]]] = []

    def append(self, events: Sequence[NewEvent], data_key: DataKey | None = None) -> Future[Recorded]:
        self.appends.append((events, Future()))
        return self.appends[-1][1]

    def __getattr__(self, _name: str) -> Any:
        raise AssertionError("only appends are expected")


async def test_an_append_that_was_not_begun_in_time_is_withdrawn() -> None:
    store = SlowStore()
    with pytest.raises(LogUnavailableError) as refused:
        await Journal(store, 0.05).append(life())
    assert not isinstance(refused.value, LogInDoubtError)
    assert store.appends[0][1].cancelled()


async def test_an_append_that_was_begun_is_in_doubt() -> None:
    store = SlowStore()
    waiting = asyncio.create_task(Journal(store, 0.1).append(life()))
    await asyncio.sleep(0)
    store.appends[0][1].set_running_or_notify_cancel()
    with pytest.raises(LogInDoubtError):
        await waiting
    store.appends[0][1].set_exception(LogUnavailableError())  # heard by nobody, and no warning about it


async def test_an_outcome_is_tried_until_it_is_recorded() -> None:
    store = SlowStore()
    journal = Journal(store, 0.1)
    outcome = life()[-1]
    recording = asyncio.create_task(journal.append_outcome(outcome))
    await _answer(store, 0, LogUnavailableError("disk full"))
    assert await recording is False
    assert journal.health.unrecorded_outcomes == 1
    await _answer(store, 1, LogUnavailableError("disk full"))
    await _answer(store, 2, ())
    assert await journal.flush(5) == 0
    assert journal.health.unrecorded_outcomes == 0
    assert [events[0].event_id for events, _ in store.appends] == [outcome.event_id] * 3


async def test_the_first_ending_that_fits_the_log_is_recorded() -> None:
    store = SlowStore()
    journal = Journal(store, 1)
    first, second = life()[-1], life()[-1]
    journal.settle([first, second])
    await _answer(store, 0, ConcurrentAppendError())
    await _answer(store, 1, ())
    assert await journal.flush(5) == 0
    assert [events[0] for events, _ in store.appends] == [first, second]


async def test_another_process_that_settled_first_is_heard() -> None:
    store = SlowStore()
    recording = asyncio.create_task(Journal(store, 1).append_outcome(life()[-1]))
    await _answer(store, 0, ConcurrentAppendError())
    with pytest.raises(ConcurrentAppendError):
        await recording


async def test_health_tells_the_last_failure_until_an_append_succeeds() -> None:
    store = SlowStore()
    journal = Journal(store, 1)
    failing = asyncio.create_task(journal.append(life()))
    await _answer(store, 0, LogUnavailableError("disk full"))
    with pytest.raises(LogUnavailableError):
        await failing
    assert journal.health.log_error == "disk full"
    working = asyncio.create_task(journal.append(life()))
    await _answer(store, 1, ())
    await working
    assert journal.health.log_error is None


def test_a_refused_step_leaves_the_stream_as_it_was() -> None:
    command: CommandStream = stream()
    command.add(RECEIVED)
    for illegal in (STARTED, SUCCEEDED, RECEIVED):
        with pytest.raises(Exception, match="cannot follow"):
            command.add(illegal)
    assert command.add(AUTHORIZED).stream_version == 2


async def _answer(store: SlowStore, number: int, answer: Recorded | Exception) -> None:
    """Give the answer to an append once it has come."""
    await until(lambda: len(store.appends) > number)
    future = store.appends[number][1]
    future.set_running_or_notify_cancel()
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)


async def test_a_record_that_will_never_be_taken_is_not_tried_for_ever() -> None:
    store = SlowStore()
    journal = Journal(store, 1)
    journal.settle(life()[-1:])
    await _answer(store, 0, RecordRefusedError())
    assert await journal.flush(5) == 0
    assert len(store.appends) == 1
