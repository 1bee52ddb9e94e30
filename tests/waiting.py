"""Bounded waiting for what another process or thread does in its own time."""

import asyncio
from collections.abc import Callable
from typing import Final

WAIT_S: Final = 20
_STEP_S: Final = 0.05


async def until(happened: Callable[[], bool], seconds: float = WAIT_S) -> None:
    """Return once ``happened()`` is true; it may block.

    Raises:
        TimeoutError: after about ``seconds`` seconds.
    """
    for _ in range(int(seconds / _STEP_S)):
        if await asyncio.to_thread(happened):
            return
        await asyncio.sleep(_STEP_S)
    raise TimeoutError
