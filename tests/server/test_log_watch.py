"""A server looks after its own log: signs its head, notices tampering, says so and goes on."""

import asyncio
import logging
from pathlib import Path

import pytest

from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from domain.catalogue.tool import Surface
from server.bootstrap import new_id, now_ms
from tests.conftest import SEALING_KEY, Serve, caller
from tests.contract.events import life
from tests.contract.tampering import events, tamper
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.promise("P4")]


def fill(location: Location) -> None:
    store = SqlEventStore(location, now_ms, new_id())
    store.append(life()).result(30)
    store.close()


async def test_the_last_record_of_a_server_that_stopped_is_a_checkpoint_of_all_before(
    serve: Serve, sqlite_location: Location, tmp_path: Path
) -> None:
    kept = tmp_path / "elsewhere"
    async with serve(DOCKER_MCP_CHECKPOINTS_TO=str(kept)):
        pass
    *_, head, checkpoint = events(sqlite_location)
    assert (head.type, checkpoint.type) == ("server.stopped", "checkpoint.signed")
    assert checkpoint.payload()["head"] == head.event_hash
    assert kept.read_text().splitlines()[-1] == checkpoint.data


async def test_a_log_without_news_gets_no_second_checkpoint(serve: Serve, sqlite_location: Location) -> None:
    async with serve(DOCKER_MCP_CHECKPOINT_INTERVAL_S=1) as application:
        await until(lambda: events(sqlite_location)[-1].type == "checkpoint.signed")
        count = len(events(sqlite_location))
        for _ in range(3):
            await asyncio.to_thread(application.watch._round)
        assert len(events(sqlite_location)) == count


async def test_tampering_is_told_everywhere_once_and_the_server_goes_on(
    serve: Serve, location: Location, caplog: pytest.LogCaptureFixture
) -> None:
    fill(location)
    tamper(location, "UPDATE event SET principal = 'mallory' WHERE position = 2")
    with caplog.at_level(logging.ERROR):
        async with serve(location, DOCKER_MCP_SIGNING_KEY=SEALING_KEY) as application:
            await until(lambda: any(event.type == "chain.broken" for event in events(location)))
            assert not application.chain.intact
            assert (await application.problems())["chain"].startswith("record 2: does not match its hash")
            await asyncio.to_thread(application.watch._round)
            answer = await application.dispatcher.dispatch("audit-logs", {}, caller(application), Surface.PROMPT)
            assert answer.error is None
    assert caplog.text.count("tampered with") == 1
    [broken] = [event for event in events(location) if event.type == "chain.broken"]
    assert broken.payload()["broken_position"] == 2


async def test_an_intact_log_is_verified_as_it_grows(serve: Serve, location: Location) -> None:
    async with serve(location) as application:
        await until(lambda: application.chain.verified_position == events(location)[-1].position)
        assert application.chain.intact
        assert "chain" not in await application.problems()
