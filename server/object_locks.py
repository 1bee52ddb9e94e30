"""Turns for commands on the same object: first within the process, in the order of arrival, then between processes."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from domain.errors import ObjectBusyError
from domain.ports import HeldLocks, SharedLocks
from server.workers import KeyedLocks, Workers

_FIRST_PAUSE_S: Final = 0.005
_LONGEST_PAUSE_S: Final = 0.1
_LONGEST_WAIT_S: Final = 120.0

BeforeWaiting = Callable[[], Awaitable[None]]
"""Called whenever somebody is about to wait."""


async def _say_nothing() -> None:
    """Wait without telling anybody."""


def _nothing_to_lose() -> None:
    """Pass: no lock is held."""


class ObjectLocks:
    """Held from the last look at the objects until the outcome is recorded."""

    def __init__(
        self,
        shared: SharedLocks,
        is_alone: Callable[[], bool],
        wait_for_unsettled: Callable[[set[str], set[str], BeforeWaiting], Awaitable[None]],
        workers: Workers,
        limit_s: float = _LONGEST_WAIT_S,
    ) -> None:
        """Take what is needed.

        Args:
            shared: the locks that other processes respect.
            is_alone: tells whether no other process may be at work on the log.
            wait_for_unsettled: returns when no command of a process that died is still open: none on one
                of these objects, and none of these ids.
            workers: threads to ask for locks.
            limit_s: seconds that a command may wait for those of other processes, living and dead.
        """
        self._own = KeyedLocks()
        self.is_alone = is_alone
        self._wait_for_unsettled = wait_for_unsettled
        self.turns = 0
        """How many commands of this process, or before those of this process, have had their turn."""
        self.shared = shared
        self._workers = workers
        self._limit_s = limit_s

    def others_had_turns(self, since: int) -> bool:
        """Return whether another command may have had its turn since ``turns`` was ``since``."""
        return self.turns != since or not self.is_alone()

    @asynccontextmanager
    async def hold(
        self, keys: set[str], makers: frozenset[str] = frozenset(), before_waiting: BeforeWaiting = _say_nothing
    ) -> AsyncIterator[Callable[[], None]]:
        """Hold the locks of all ``keys``; ``makers`` are the commands that made the objects, as their labels say.

        Yields what raises ``TurnLostError`` if the locks may be another's meanwhile. Whoever takes them then sees
        what is recorded of this command and waits: so it is asked after that, once, before the first effect.

        Raises:
            LogUnavailableError: the locks cannot be had; nothing was done.
            ObjectBusyError: another process, or what a dead one has left, kept one for too long; nothing was done.
        """
        if not keys:
            yield _nothing_to_lose
            return
        if self._own.taken(keys):
            await before_waiting()
        async with self._own.hold(keys):
            held = await self._take(sorted(keys), before_waiting)
            try:
                await self._settled(keys, set(makers), before_waiting)
                yield held.check
            finally:
                self.turns += 1
                await asyncio.shield(self._workers.run(held))

    async def _settled(self, keys: set[str], makers: set[str], before_waiting: BeforeWaiting) -> None:
        try:
            async with asyncio.timeout(self._limit_s):
                await self._wait_for_unsettled(keys, makers, before_waiting)
        except TimeoutError as error:
            raise ObjectBusyError from error

    async def _take(self, keys: list[str], before_waiting: BeforeWaiting) -> HeldLocks:
        pause, ends, waited = _FIRST_PAUSE_S, time.monotonic() + self._limit_s, 0
        while (held := await self._workers.run(lambda: self.shared.try_hold(keys))) is None:
            if time.monotonic() > ends:
                raise ObjectBusyError
            if not waited:
                await before_waiting()
            await asyncio.sleep(pause)
            pause, waited = min(pause * 1.5, _LONGEST_PAUSE_S), 1
        self.turns += waited  # whoever had the lock may be gone by now, and this process alone again
        return held
