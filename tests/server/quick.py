"""The catalogue with short settling times, and a server process that can be killed in the middle of a command."""

import asyncio
import dataclasses
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from adapters.store.location import Location
from domain.catalogue import CATALOGUE
from domain.catalogue.tool import Catalogue
from domain.chain import verify
from domain.events import RecordedEvent
from server.bootstrap import Application
from tests.conftest import caller, settings_for, url_of
from tests.engine_proxy import EngineProxy, Fault
from tests.forked import ForkedProcess
from tests.waiting import WAIT_S


def settling_in(seconds: int, limit_s: int | None = None) -> Catalogue:
    """All tools, with ``seconds`` to settle, and ``limit_s`` in place of their own limits."""
    return Catalogue(
        dataclasses.replace(tool, settle_s=lambda _command: seconds, limit_s=limit_s or tool.limit_s)
        for tool in CATALOGUE
    )


@asynccontextmanager
async def dying_server(
    location: Location,
    proxy: EngineProxy,
    tool: str,
    arguments: dict[str, Any],
    fault: Fault,
    request: str,
    settle_s: int = 0,
    limit_s: int = 0,
) -> AsyncIterator[ForkedProcess]:
    """A server process that is in the middle of a command: its request has met the fault."""
    proxy.fail(request, fault)
    command = ["tests.server.quick", url_of(location), proxy.url, str(settle_s), str(limit_s), tool]
    process = ForkedProcess([*command, json.dumps(arguments)], os.environ, Path.cwd(), pipes=True)
    try:
        assert await asyncio.to_thread(proxy.met.wait, WAIT_S), "the request never came"
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.close()
        proxy.heal()


async def settled_down(application: Application) -> None:
    async with asyncio.timeout(WAIT_S):
        await application.recovery.finish()


async def settled(application: Application) -> list[RecordedEvent]:
    """The events of the one command in the log after recovery has done what it can."""
    await settled_down(application)
    events = [event for event in application.store.read() if event.tool]
    assert len({event.stream for event in events}) == 1
    assert list(verify(application.store.read())) == []
    return events


async def main(url: str, docker_host: str, settle_s: str, limit_s: str, tool: str, arguments: str) -> None:
    settings = settings_for(Location.parse(url), DOCKER_HOST=docker_host)
    application = Application(settings, "test", settling_in(int(settle_s), int(limit_s)))
    await application.start()
    answer = await application.dispatcher.dispatch(tool, json.loads(arguments), caller(application))
    print(answer, flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
