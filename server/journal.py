"""Appends as the server needs them: bounded waits before an effect, and no giving up after one."""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Final

from domain.errors import ConcurrentAppendError, LogInDoubtError, LogUnavailableError, RecordRefusedError
from domain.events import NewEvent, RecordedEvent
from domain.ports import EventStore
from domain.secrets import DataKey
from server.call import Health

_FIRST_RETRY_S: Final = 0.1
_LONGEST_RETRY_S: Final = 5.0

Recorded = tuple[RecordedEvent, ...]


class Journal:
    """The event store behind an asyncio face."""

    def __init__(self, store: EventStore, timeout_s: float) -> None:
        self._store = store
        self._timeout_s = timeout_s
        self._unrecorded: set[asyncio.Task[None]] = set()
        self._over: deque[asyncio.Future[None]] = deque()
        """Waits that are over, for the loop to end."""
        self._told: asyncio.AbstractEventLoop | None = None
        """The loop that is going to look there."""
        self.health: Final = Health()

    async def append(self, events: Sequence[NewEvent], data_key: DataKey | None = None) -> Recorded:
        """Record ``events`` before something happens.

        Raises:
            LogUnavailableError: they are not recorded; ``LogInDoubtError`` if that is not certain.
            ConcurrentAppendError: another process has decided about this stream.
        """
        future = self._store.append(events, data_key)
        try:
            recorded = await self._wait(future)
        except LogUnavailableError as error:
            self.health.log_error = error.message
            raise
        self.health.log_error = None
        return recorded

    async def append_outcome(self, event: NewEvent) -> bool:
        """Record how a command ended; return False if the log did not take it in time.

        Then it is tried again for as long as the process lives, and ``health`` shows it.

        Raises:
            ConcurrentAppendError: another process has settled the command.
        """
        try:
            await self.append([event])
        except LogUnavailableError:
            self.settle([event])
            return False
        return True

    def settle(self, endings: Sequence[NewEvent]) -> None:
        """Record the first of ``endings`` that fits what the log holds, as soon as the log can be written."""
        task = asyncio.create_task(self._keep_trying(endings))
        self._unrecorded.add(task)
        self.health.unrecorded_outcomes = len(self._unrecorded)
        task.add_done_callback(self._settled)

    async def flush(self, timeout_s: float) -> int:
        """Wait for outcomes that are still tried; return how many remain unrecorded after ``timeout_s`` seconds."""
        if self._unrecorded:
            await asyncio.wait(self._unrecorded, timeout=timeout_s)
        return len(self._unrecorded)

    async def _wait(self, future: Future[Recorded]) -> Recorded:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(self._timeout_s, _end, waiter)
        future.add_done_callback(lambda _future: self._tell(loop, waiter))
        try:
            await waiter
        finally:
            timer.cancel()
        if not future.done():
            if future.cancel():
                raise LogUnavailableError("the event log did not answer in time")
            if not future.done():
                raise LogInDoubtError("the event log did not answer in time")
        return future.result()

    def _tell(self, loop: asyncio.AbstractEventLoop, waiter: "asyncio.Future[None]") -> None:
        """Let the loop end a wait; any thread may call. The loop is woken once for the many that one commit ends."""
        self._over.append(waiter)
        if self._told is loop:
            return
        self._told = loop
        try:
            loop.call_soon_threadsafe(self._end_all)
        except RuntimeError:  # the loop has ended, nobody waits
            self._told = None

    def _end_all(self) -> None:
        self._told = None  # first: who finds it set may rely on what follows
        while self._over:
            _end(self._over.popleft())

    async def _keep_trying(self, endings: Sequence[NewEvent]) -> None:
        delay = _FIRST_RETRY_S
        for ending in endings:
            while True:
                await asyncio.sleep(delay)
                delay = min(delay * 2, _LONGEST_RETRY_S)
                try:
                    await self.append([ending])
                except (ConcurrentAppendError, RecordRefusedError):
                    break  # it is there already, does not follow what is there, or never will be taken
                except LogUnavailableError:
                    continue
                return

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._unrecorded.discard(task)
        self.health.unrecorded_outcomes = len(self._unrecorded)


def _end(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
