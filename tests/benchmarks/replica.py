"""One of several server processes on one log: carries out commands that do nothing, for as long as it is told."""

import asyncio
import sys
import time
from typing import Final

import uvloop

from adapters.store.location import Location
from domain.catalogue.tool import Catalogue
from server.bootstrap import Application
from server.garbage import spare_what_lives_on
from tests.benchmarks.recording import NOOP, NoopAdapter, Noops
from tests.conftest import caller, settings_for

_WARM_UP_S: Final = 0.5


async def main(url: str, callers: int, seconds: float) -> None:
    """Say that it is ready, wait for a line, then print how many commands were answered."""
    settings = settings_for(
        Location.parse(url), DOCKER_MCP_QUEUE_LIMIT=1000, DOCKER_MCP_APPEND_TIMEOUT_S=30, MCP_AUTH_SECRET="0" * 32
    )
    application = Application(settings, "benchmark", Catalogue([NOOP]), {Noops: NoopAdapter()})
    await application.start()
    spare_what_lives_on()  # as a server does
    who = caller(application)

    async def call_until(end: float) -> int:
        count = 0
        while time.monotonic() < end:
            answer = await application.dispatcher.dispatch("noop", {}, who)
            assert answer.error is None, answer.error.describe()
            count += 1
        return count

    async def all_until(end: float) -> int:
        return sum(await asyncio.gather(*(call_until(end) for _ in range(callers))))

    await all_until(time.monotonic() + _WARM_UP_S)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(await all_until(time.monotonic() + seconds), flush=True)
    await application.stop("measured")


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
