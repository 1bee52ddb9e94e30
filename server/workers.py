"""Threads for calls that block, bounded and our own: the SDK's shared ones also carry its standard input and output."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")


class Workers:
    """A fixed number of threads."""

    def __init__(self, name: str, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)

    async def run(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns, computed on one of the threads, in the context of who asks."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, copy_context().run, work)

    def abandon(self) -> None:
        """Start nothing more; whoever is stuck in a request is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class KeyedLocks:
    """One lock per key, for as long as somebody needs it."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    def taken(self, keys: set[str]) -> bool:
        """Return whether one who wants ``keys`` now would have to wait."""
        return any(key in self._locks for key in keys)

    @asynccontextmanager
    async def hold(self, keys: set[str]) -> AsyncIterator[None]:
        """Hold the locks of all ``keys``, each in the order in which it was asked for."""
        locks = [self._enter(key) for key in sorted(keys)]  # one order for all, so that no two wait for each other
        held: list[asyncio.Lock] = []
        try:
            for lock in locks:
                await lock.acquire()
                held.append(lock)
            yield
        finally:
            for lock in held:
                lock.release()
            for key in keys:
                self._leave(key)

    def _enter(self, key: str) -> asyncio.Lock:
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        return lock

    def _leave(self, key: str) -> None:
        lock, users = self._locks[key]
        if users > 1:
            self._locks[key] = (lock, users - 1)
        else:
            del self._locks[key]
