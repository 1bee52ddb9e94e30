"""Waits that end."""

import asyncio
import time
from collections.abc import Callable

_STEP_S = 0.02


def wait_for(condition: Callable[[], object], timeout_s: float = 15, what: str = "it") -> None:
    """Block until ``condition`` holds."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"waited {timeout_s} s for {what}"
        time.sleep(_STEP_S)


async def until(condition: Callable[[], object], timeout_s: float = 15, what: str = "it") -> None:
    """Let others run until ``condition`` holds."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"waited {timeout_s} s for {what}"
        await asyncio.sleep(_STEP_S)
