"""The catalogue with short settling times, and a server process that can be killed in the middle of a command."""

import asyncio
import dataclasses
import json
import sys

from adapters.store.location import Location
from domain.catalogue import CATALOGUE
from domain.catalogue.tool import Catalogue
from server.bootstrap import Application
from tests.conftest import caller, settings_for


def settling_in(seconds: int) -> Catalogue:
    """All tools, with ``seconds`` to settle."""
    return Catalogue(dataclasses.replace(tool, settle_s=lambda _command: seconds) for tool in CATALOGUE)


async def main(url: str, docker_host: str, settle_s: str, tool: str, arguments: str) -> None:
    settings = settings_for(Location.parse(url), DOCKER_HOST=docker_host)
    application = Application(settings, "test", settling_in(int(settle_s)))
    await application.start()
    answer = await application.dispatcher.dispatch(tool, json.loads(arguments), caller(application))
    print(answer, flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
