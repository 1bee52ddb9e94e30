"""Serves many clients over Streamable HTTP, with health checks beside it."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import orjson
import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.errors import DockerMcpError
from server.bootstrap import Application
from server.mcp_server import McpServer

MOST_BODY_BYTES: Final = 1024 * 1024
"""Larger requests are refused before they are read."""

_HOSTS: Final = ("127.0.0.1", "localhost", "[::1]")


def http_application(application: Application, server: McpServer) -> Starlette:
    """Return the ASGI application: ``/mcp``, ``/healthz`` (the process) and ``/readyz`` (log and engine)."""

    async def healthz(_request: Request) -> Response:
        return _json({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        problems = await application.problems()
        return _json({"status": "not ready" if problems else "ready", **problems}, 503 if problems else 200)

    return server.sdk.streamable_http_app(
        max_request_body_size=MOST_BODY_BYTES,
        transport_security=TransportSecuritySettings(
            enable_dns_rebinding_protection=True,
            allowed_hosts=[f"{host}:*" for host in _HOSTS],
            allowed_origins=[f"{scheme}://{host}:*" for scheme in ("http", "https") for host in _HOSTS],
        ),
        custom_starlette_routes=[Route("/healthz", healthz), Route("/readyz", readyz)],
    )


async def serve_http(application: Application, server: McpServer) -> str:
    """Serve until the process is told to end; running commands then get their grace period and are still answered.

    Raises:
        DockerMcpError: if the port is taken.
    """
    settings = application.settings
    config = uvicorn.Config(
        http_application(application, server),
        host=settings.DOCKER_MCP_HOST,
        port=settings.DOCKER_MCP_PORT,
        http="httptools",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    http_server = _HttpServer(config)

    async def end() -> None:
        await application.dispatcher.close(settings.DOCKER_MCP_SHUTDOWN_GRACE_S)
        http_server.should_exit = True

    ending: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: ending.add(loop.create_task(end())))
    try:
        await http_server.serve()
    except SystemExit:
        raise DockerMcpError(
            f"port {settings.DOCKER_MCP_PORT} cannot be used: another program may have it",
            code="port_in_use",
            hint="stop that program or set DOCKER_MCP_PORT",
        ) from None
    return "the process was told to end"


class _HttpServer(uvicorn.Server):
    """Leaves signals to us: commands finish before connections are closed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _json(content: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
