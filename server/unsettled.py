"""Commands that are at work on an object although nobody holds its lock any more: their process has died.

Their requests may still be at work inside the engine, and recovery will judge them by the state it finds. So nothing
else touches the object until they have an outcome.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from domain.catalogue.tool import Catalogue, Effect
from domain.events import ExecutionStarted, RecordedEvent, decode
from domain.objects import column_name
from server.workers import Workers

_PAUSE_S: Final = 0.1


class Unsettled:
    """Waits for them. Asked by who holds the lock of an object, so that what it finds is nobody's who lives."""

    def __init__(self, running: Callable[[], Sequence[RecordedEvent]], catalogue: Catalogue, workers: Workers) -> None:
        """Take what is needed; ``running`` returns the start of each command that has started and not ended."""
        self._running = running
        self._catalogue = catalogue
        self._workers = workers

    async def wait(self, keys: set[str], makers: set[str], before_waiting: Callable[[], Awaitable[None]]) -> None:
        """Return when no command is at work on one of ``keys``, and none of ``makers``, which are command ids, at all.

        ``before_waiting`` is awaited once if there is one.

        Raises:
            LogUnavailableError: nobody can tell.
        """
        told = False
        while True:
            running = await self._workers.run(self._running)
            if not any(started.stream in makers or keys & self._keys(started) for started in running):
                return
            if not told:
                await before_waiting()
                told = True
            await asyncio.sleep(_PAUSE_S)

    def _keys(self, event: RecordedEvent) -> set[str]:
        """Return what the command had locked: as ``Projector`` does, but from the record."""
        tool = self._catalogue.by_name(event.tool)
        if tool is not None and tool.effect is Effect.READ:
            return set()
        started = decode(event.type, event.data)
        assert isinstance(started, ExecutionStarted)  # noqa: S101 (asked for by this type)
        keys = {column_name(state.kind, state.id or state.name) for state in started.pinned}
        return keys or ({event.object} if event.object else set())
