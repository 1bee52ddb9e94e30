"""Bounded waiting for what another process or thread does in its own time."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

WAIT_S: Final = 60
BUSY_S: Final = 25
"""What a slow and busy machine may add to what takes a moment: less than any fault of the tests lasts."""

_STEP_S: Final = 0.02


def wait_for(happened: Callable[[], object], seconds: float = WAIT_S, what: str = "it") -> None:
    """Block until ``happened()`` is true.

    Raises:
        TimeoutError: after ``seconds`` seconds, naming ``what`` was waited for.
    """
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(_STEP_S)


async def until(happened: Callable[[], object], seconds: float = WAIT_S, what: str = "it") -> None:
    """As :func:`wait_for`, while others run; ``happened`` may block."""
    await asyncio.to_thread(wait_for, happened, seconds, what)
