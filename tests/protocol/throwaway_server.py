"""The server with the throw-away tools, as a process: ``… throwaway_server stdio`` or ``http --port N``."""

import asyncio
import logging
import os
import sys

from server.bootstrap import Application, new_id
from server.http import listen, serve_http
from server.mcp_server import McpServer
from server.settings import load_settings
from server.stdio import serve_stdio
from tests.protocol.throwaway import PORTS, WITH_PASTIMES

STDIO = ("tests.protocol.throwaway_server", "stdio")
HTTP = ("tests.protocol.throwaway_server", "http")


async def main(transport: str, port: int | None) -> None:
    settings = load_settings(DOCKER_MCP_PORT=port)
    logging.basicConfig(level=settings.LOG_LEVEL)
    application = Application(settings, transport, WITH_PASTIMES, PORTS)
    await application.start()
    correlation_id = new_id() if transport == "stdio" else None
    callers = application.callers(application.principal)
    server = McpServer(application.dispatcher, callers, transport, correlation_id)
    if transport == "stdio":
        reason = await serve_stdio(server, settings.DOCKER_MCP_SHUTDOWN_GRACE_S)
    else:
        sockets = listen(settings.DOCKER_MCP_HOST, settings.DOCKER_MCP_PORT)
        reason = await serve_http(application, server, callers, sockets)
    in_order = await application.stop(reason)
    os._exit(not in_order)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[3]) if len(sys.argv) > 3 else None))
