"""Serves one client over standard input and output."""

import asyncio
import io
import logging
import os
import signal
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Final

import anyio
import mcp.types as types
from anyio.streams.memory import MemoryObjectSendStream
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage

from server.mcp_server import MOST_MESSAGE_BYTES, McpServer

_LAST_ANSWERS_S: Final = 0.1
"""What the answers of the last commands get to reach standard output."""

_NO_MESSAGE: Final = types.JSONRPCError(
    jsonrpc="2.0",
    id=None,
    error=types.ErrorData(
        code=types.PARSE_ERROR,
        message=f"a line is one JSON-RPC message in UTF-8, of at most {MOST_MESSAGE_BYTES} characters",
    ),
)

logger = logging.getLogger(__name__)

Incoming = SessionMessage | Exception


async def serve_stdio(server: McpServer, grace_s: float) -> str:
    """Serve until the client closes the stream or the process is told to end; return which.

    Told to end, running commands get ``grace_s`` seconds to finish and are still answered.
    """
    told_to_end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_end.set)
    serving = asyncio.create_task(_serve(server))
    ending = asyncio.create_task(told_to_end.wait())
    await asyncio.wait({serving, ending}, return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    if serving.done():
        _raise_unless_disconnected(serving)
        return "the client closed the connection"
    await server.dispatcher.close(grace_s)
    await asyncio.sleep(_LAST_ANSWERS_S)
    # Not awaited: the SDK's reader blocks in a thread until input arrives, and the process is about to end.
    serving.cancel()
    return "the process was told to end"


async def _serve(server: McpServer) -> None:
    async with stdio_server(anyio.wrap_file(_Lines.of_standard_input())) as (read, write):
        forward, messages = anyio.create_memory_object_stream[Incoming](0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_forward, read, forward, write.send)
            await server.sdk.run(messages, write, server.sdk.create_initialization_options())


async def _forward(
    read: AsyncIterable[Incoming],
    messages: MemoryObjectSendStream[Incoming],
    answer: Callable[[SessionMessage], Awaitable[None]],
) -> None:
    """Pass messages on. What is none is answered here: the SDK would drop it in silence and quote it in log lines."""
    async with messages:
        async for item in read:
            if isinstance(item, Exception):
                await answer(SessionMessage(_NO_MESSAGE))
            else:
                await messages.send(item)


def _raise_unless_disconnected(serving: "asyncio.Task[None]") -> None:
    try:
        serving.result()
    except* (BrokenPipeError, ConnectionResetError):
        logger.info("the client stopped reading")


class _Lines(io.TextIOWrapper):
    """Lines of at most ``MOST_MESSAGE_BYTES`` characters. A longer one comes cut, and so is no message."""

    @classmethod
    def of_standard_input(cls) -> "_Lines":
        """Take standard input for the protocol alone; everything else in this process reads the null device there."""
        wire = os.dup(0)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        return cls(os.fdopen(wire, "rb"), encoding="utf-8", errors="surrogateescape")

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]  # typeshed says bytes of a base class
        line = super().readline(MOST_MESSAGE_BYTES if size < 0 else size)
        rest = line
        while len(rest) == MOST_MESSAGE_BYTES and not rest.endswith("\n"):
            rest = super().readline(MOST_MESSAGE_BYTES)
        return line
