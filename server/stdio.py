"""Serves one client over standard input and output."""

import asyncio
import signal

from mcp.server.stdio import stdio_server

from server.mcp_server import McpServer


async def serve_stdio(server: McpServer) -> str:
    """Serve until the client closes the stream or the process is told to end; return which."""
    told_to_end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_end.set)
    serving = asyncio.create_task(_serve(server))
    ending = asyncio.create_task(told_to_end.wait())
    await asyncio.wait({serving, ending}, return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    if serving.done():
        serving.result()
        return "the client closed the connection"
    # Not awaited: the SDK's reader blocks in a thread until input arrives, and the process is about to end.
    serving.cancel()
    return "the process was told to end"


async def _serve(server: McpServer) -> None:
    async with stdio_server() as (read, write):
        await server.sdk.run(read, write, server.sdk.create_initialization_options())
