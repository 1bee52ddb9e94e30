"""What ``docker-mcp tail`` writes of an event: times as people read them."""

from contextlib import closing

import pytest

from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from domain.events import EngineGap, Event, TokenIssued, event_of
from domain.principal import SYSTEM
from server.bootstrap import new_id, now_ms
from server.cli.tail_lines import event_line


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (
            EngineGap(engine="e", since_ms=1_795_676_187_227, until_ms=1_795_676_188_000, engine_time="1.0"),
            "since=2026-11-26T06:56:27.227Z until=2026-11-26T06:56:28.000Z",
        ),
        (TokenIssued(expires_at_s=1_795_676_188, user="alice"), "expires=2026-11-26T06:56:28.000Z user=alice"),
    ],
)
def test_times_are_told_as_times(event: Event, told: str, sqlite_location: Location) -> None:
    with closing(SqlEventStore(sqlite_location, now_ms, new_id())) as store:
        [recorded] = store.append([event_of(SYSTEM, event, "engine/e", new_id())]).result()
    assert event_line(recorded, colours=False).endswith(f"  {told}")
