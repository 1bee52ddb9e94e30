"""Which commands may have caused an event of the engine, as the log tells it."""

import pytest

from adapters.store.engine_log import SqlEngineLog
from adapters.store.event_store import SqlEventStore
from domain.engine_causes import Work
from domain.events import CommandSucceeded, EngineFollowed, NewEvent, RecordedEvent, event_of
from domain.principal import SYSTEM
from server.bootstrap import new_id, now_ms
from tests.contract.events import AUTHORIZED, DENIED, LIFE, RECEIVED, STARTED, UNKNOWN, life, stream


def recorded(store: SqlEventStore, events: list[NewEvent]) -> tuple[RecordedEvent, ...]:
    return store.append(events).result(30)


def works(store: SqlEventStore, since_ms: int = 0) -> dict[str, Work]:
    return {work.command_id: work for work in SqlEngineLog(store.questions).works(since_ms)}


def test_commands_that_run_or_have_ended_since_then_count(store: SqlEventStore) -> None:
    running = recorded(store, life(*LIFE[:3]))
    ended = recorded(store, life())
    recorded(store, life(RECEIVED, DENIED))
    recorded(store, life(RECEIVED, AUTHORIZED))
    recorded(store, life(of=stream(tool="get-logs")))
    found = works(store)
    assert set(found) == {running[0].stream, ended[0].stream}
    assert found[running[0].stream].ended_ms is None
    assert found[ended[0].stream].ended_ms == ended[-1].occurred_at_ms
    assert found[ended[0].stream].object == "container/web"
    assert set(works(store, now_ms() + 60_000)) == {running[0].stream}


def test_the_engine_may_go_on_with_a_command_of_unknown_outcome(store: SqlEventStore) -> None:
    command = stream()
    unknown = recorded(store, life(RECEIVED, AUTHORIZED, STARTED, UNKNOWN, of=command))[-1]
    may_end_ms = unknown.occurred_at_ms + STARTED.settle_s * 1000
    assert works(store, now_ms() + 60_000)[unknown.stream].ended_ms == may_end_ms
    recorded(store, [command.add(CommandSucceeded(summary="stop container web", reconciled=True))])
    assert works(store)[unknown.stream].ended_ms == may_end_ms, "settling it was not its end"


@pytest.mark.parametrize("stream_name", ["engine/e", "engine/other"])
def test_the_last_records_of_a_stream_are_found(store: SqlEventStore, stream_name: str) -> None:
    log = SqlEngineLog(store.questions)
    assert log.newest(stream_name, 1) == []
    marks = [EngineFollowed(engine="e", engine_time=f"{second}.000000000", newest="d") for second in range(3)]
    rows = recorded(store, [event_of(SYSTEM, mark, stream_name, new_id()) for mark in marks])
    assert log.newest(stream_name, 2) == list(rows[1:])
    assert log.newest(stream_name, 9) == list(rows)
