"""The server as it is, but for short times to settle, armed failpoints, and a clock that the test sets."""

import asyncio
import ctypes
import dataclasses
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from adapters.store import audit_trail, migrate, postgres  # noqa: F401 (imported once, before the processes are forked)
from domain.catalogue import CATALOGUE
from domain.catalogue.tool import Catalogue
from server import bootstrap
from server.bootstrap import Application, new_id
from server.http import listen, serve_http
from server.mcp_server import McpServer
from server.settings import load_settings
from server.stdio import serve_stdio
from tests.torture import failpoints

SETTLE_S: Final = 6
"""Longer than anything that the tests ask of the engine takes, also on a loaded machine."""
LIMIT_S: Final = 60
_DIE_WITH_PARENT: Final = 1


def quick() -> Catalogue:
    """All tools, with short times."""
    return Catalogue(
        dataclasses.replace(tool, settle_s=lambda _command: SETTLE_S, limit_s=min(tool.limit_s, LIMIT_S))
        for tool in CATALOGUE
    )


def run(
    transport: str, port: int, pipe: socket.socket | None, environment: Mapping[str, str], stderr: str, rules: str
) -> None:
    """Serve until the end, in a process of its own; ``rules`` say what happens at failpoints."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    os.environ.clear()
    os.environ.update(environment)
    descriptor = os.open(stderr, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    os.dup2(descriptor, 2)
    if pipe:
        os.dup2(pipe.fileno(), 0)
        os.dup2(pipe.fileno(), 1)
        pipe.close()
    failpoints.arm(rules)
    bootstrap.now_ms = _clock(Path(environment["TORTURE_CLOCK"]))
    asyncio.run(_serve(transport, port))


async def _serve(transport: str, port: int) -> None:
    settings = load_settings(DOCKER_MCP_PORT=port or None)
    logging.basicConfig(level=settings.LOG_LEVEL, format="%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s")
    application = Application(settings, transport, quick())
    try:
        sockets = listen(settings.DOCKER_MCP_HOST, port) if port else []
        await application.start()
        callers = application.callers(application.principal if transport == "stdio" else None)
        server = McpServer(application.dispatcher, callers, transport, new_id() if transport == "stdio" else None)
        if transport == "stdio":
            reason = await serve_stdio(server, settings.DOCKER_MCP_SHUTDOWN_GRACE_S)
        else:
            reason = await serve_http(application, server, callers, sockets)
        code = not await application.stop(reason)
    except Exception:
        logging.getLogger(__name__).exception("the server failed")
        code = True
    logging.shutdown()
    os._exit(code)


def _clock(file: Path) -> Callable[[], int]:
    def now_ms() -> int:
        return time.time_ns() // 1_000_000 + int(file.read_text() or 0)

    return now_ms
