"""Keeps the snapshots of the world up to date, so that a replay opens any moment within a second."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from domain.errors import DockerMcpError
from server.workers import Workers

_LOOK_EVERY_S: Final = 60.0

logger = logging.getLogger(__name__)


async def keep_world(workers: Workers, keep: Callable[[], int]) -> None:
    """Look once a minute whether a snapshot is due. Nothing rests on it: a replay makes those that are missing."""
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        try:
            await workers.run(keep)
        except DockerMcpError as error:
            logger.warning("snapshots of the world are made later: %s", error.describe())
