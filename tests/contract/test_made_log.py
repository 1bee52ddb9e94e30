"""The logs that benchmarks are made on are logs as the product writes them."""

from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.migrate import migrate
from adapters.store.read_models import check_read_models
from domain.chain import verify
from domain.events import EVENT_TYPES, RecordedEvent, decode
from domain.lifecycle import FINAL, check_life
from server.bootstrap import new_id, now_ms
from tests.benchmarks.made_log import generate
from tests.contract.events import life
from tests.contract.rows import rows

EVENTS = 3000
SCHEMA = {
    True: "SELECT type, name, sql FROM sqlite_master ORDER BY name",
    False: "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'event' ORDER BY 1",
}


def recorded(store: SqlEventStore) -> list[RecordedEvent]:
    return store.read(limit=EVENTS + 10)


def test_a_made_log_is_whole_guarded_and_goes_on(location: Location) -> None:
    migrate(location)
    schema = rows(location, SCHEMA[location.is_sqlite])
    generate(location, EVENTS)
    assert rows(location, SCHEMA[location.is_sqlite]) == schema
    store = SqlEventStore(location, now_ms, new_id())
    store.check()
    assert check_read_models(location, 30) == []
    events = recorded(store)
    assert len(events) == EVENTS
    assert list(verify(events)) == []
    (next_one, *_) = store.append(life()).result(30)
    assert next_one.position == EVENTS + 1
    store.close()


def test_the_commands_of_a_made_log_have_legal_lives(sqlite_location: Location) -> None:
    generate(sqlite_location, EVENTS)
    store = SqlEventStore(sqlite_location, now_ms, new_id())
    streams: dict[str, list[RecordedEvent]] = {}
    for event in recorded(store):
        assert decode(event.type, event.data).encode() == event.data
        streams.setdefault(event.stream, []).append(event)
    commands = [events for events in streams.values() if events[0].tool]
    for events in commands:
        check_life(event.type for event in events)
        assert [event.stream_version for event in events] == list(range(1, len(events) + 1))
    left_open = {events[0].stream for events in commands if events[-1].status not in FINAL}
    assert left_open == {command.command_id for command in store.open_commands()}
    assert {event.type for event in recorded(store)} > {"command.denied", "command.failed", "server.started"}
    assert {event.type for event in recorded(store)} <= set(EVENT_TYPES)
    store.close()


def test_the_same_seed_makes_the_same_log(sqlite_location: Location, location: Location) -> None:
    generate(sqlite_location, 500, seed=7)
    if location != sqlite_location:
        generate(location, 500, seed=7)
    head = "SELECT event_hash FROM event WHERE position = 500"
    assert rows(location, head) == rows(sqlite_location, head)
    assert rows(location, "SELECT * FROM open_command ORDER BY 1") == rows(
        sqlite_location, "SELECT * FROM open_command ORDER BY 1"
    )
