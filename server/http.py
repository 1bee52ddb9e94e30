"""Serves many clients over Streamable HTTP, with health checks beside it."""

import asyncio
import errno
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import mcp.types as types
import orjson
import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.errors import ConfigurationError, DockerMcpError
from server.bootstrap import Application
from server.callers import Callers
from server.http_auth import BearerMiddleware, HostMiddleware
from server.http_metrics import ScrapeGuard, metrics_routes
from server.mcp_server import MOST_MESSAGE_BYTES, McpServer
from server.settings import Settings, is_loopback

_MOST_CONNECTIONS: Final = 1000
_READY_WITHIN_S: Final = 2
"""An engine that hangs, or workers that are all busy, must not hang the health check."""

_QUOTING: Final = b'"message":"Validation error: '
"""How the SDK begins a refusal that goes on with what it was sent."""

_NO_MESSAGE: Final = {
    "jsonrpc": "2.0",
    "id": None,
    "error": {"code": types.INVALID_REQUEST, "message": "the body is no JSON-RPC message"},
}


def http_application(application: Application, server: McpServer, callers: Callers) -> Starlette:
    """Return the ASGI application: ``/mcp``, metrics, ``/healthz`` (the process) and ``/readyz`` (log and engine)."""

    async def healthz(_request: Request) -> Response:
        return _json({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        try:
            problems = await asyncio.wait_for(application.problems(), _READY_WITHIN_S)
        except TimeoutError:
            problems = {"server": f"the checks did not end within {_READY_WITHIN_S} s"}
        return _json({"status": "not ready" if problems else "ready", **problems}, 503 if problems else 200)

    settings = application.settings
    hosts = settings.allowed_hosts
    app = server.sdk.streamable_http_app(
        max_request_body_size=MOST_MESSAGE_BYTES,
        transport_security=TransportSecuritySettings(
            enable_dns_rebinding_protection=True,
            allowed_hosts=[allowed for host in hosts for allowed in (host, f"{host}:*")],
            allowed_origins=[
                allowed
                for scheme in ("http", "https")
                for host in hosts
                for allowed in (f"{scheme}://{host}", f"{scheme}://{host}:*")
            ],
        ),
        custom_starlette_routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            *metrics_routes(application.metrics, ScrapeGuard(settings, settings.DOCKER_MCP_HOST)),
        ],
    )
    open_prompts = frozenset(tool.name for tool in server.dispatcher.catalogue if tool.open_to_all)
    app.add_middleware(BearerMiddleware, callers=callers, dispatcher=server.dispatcher, open_prompts=open_prompts)
    app.add_middleware(_WithoutEcho)
    app.add_middleware(HostMiddleware, hosts=hosts)
    app.router.redirect_slashes = False
    return app


async def serve_http(
    application: Application, server: McpServer, callers: Callers, sockets: list[socket.socket]
) -> str:
    """Serve on ``sockets`` until the process is told to end.

    Running commands then get their grace period and are still answered.
    """
    settings = application.settings
    http_server = HttpServer(uvicorn_config(http_application(application, server, callers), settings))

    async def end() -> None:
        unfinished = await application.dispatcher.close(settings.DOCKER_MCP_SHUTDOWN_GRACE_S)
        http_server.force_exit = unfinished > 0  # their time is over, so nobody waits for their answers any more
        http_server.should_exit = True

    ending: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: ending.add(loop.create_task(end())))
    await http_server.serve(sockets)
    return "the process was told to end"


def uvicorn_config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """Return how ``app`` is served: with the TLS files of the settings, within limits, without a log of requests."""
    return uvicorn.Config(
        app,
        ssl_certfile=settings.DOCKER_MCP_TLS_CERT,
        ssl_keyfile=settings.DOCKER_MCP_TLS_KEY,
        http="httptools",
        access_log=False,
        proxy_headers=settings.DOCKER_MCP_TLS is not None,  # else anybody could claim any address
        limit_concurrency=_MOST_CONNECTIONS,
        log_config=None,
        timeout_graceful_shutdown=1,
    )


def check_exposure(settings: Settings, host: str | None = None) -> None:
    """Refuse to speak plain HTTP beyond this machine; ``host`` is listened on, by default that of the settings.

    Raises:
        ConfigurationError: saying what would allow it.
    """
    if bool(settings.DOCKER_MCP_TLS_CERT) != bool(settings.DOCKER_MCP_TLS_KEY):
        raise ConfigurationError("DOCKER_MCP_TLS_CERT and DOCKER_MCP_TLS_KEY belong together")
    for file in filter(None, (settings.DOCKER_MCP_TLS_CERT, settings.DOCKER_MCP_TLS_KEY)):
        if not os.access(file, os.R_OK):
            raise ConfigurationError(f"the TLS file cannot be read: {file}")
    if not (is_loopback(host or settings.DOCKER_MCP_HOST) or settings.DOCKER_MCP_TLS_CERT or settings.DOCKER_MCP_TLS):
        raise ConfigurationError(
            "beyond loopback the server speaks TLS only",
            hint="set DOCKER_MCP_TLS_CERT and DOCKER_MCP_TLS_KEY, or DOCKER_MCP_TLS=terminated-upstream behind a proxy",
        )


def listen(host: str, port: int, instead: str = "set DOCKER_MCP_PORT") -> list[socket.socket]:
    """Return listening sockets on all addresses of ``host``; before anything is recorded or told of a start.

    Raises:
        ConfigurationError: if the host has no address.
        DockerMcpError: if the port cannot be used, with the reason; ``instead`` says how to take another.
    """
    listening: list[socket.socket] = []
    problem = "no such address"
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):  # the latter for what cannot be a name, as with two dots in a row
        raise ConfigurationError(f"{host} has no address here", hint="name an address of this machine") from None
    for family, _, _, _, address in addresses:
        try:
            listening.append(socket.create_server(address, family=family))
        except OSError as error:
            problem = os.strerror(error.errno or 0).lower()
            if error.errno != errno.EADDRNOTAVAIL:  # localhost has an IPv6 address even where there is no IPv6
                break
    else:
        if listening:
            return listening
    for taken in listening:
        taken.close()
    raise DockerMcpError(
        f"port {port} cannot be used: {problem}",
        code="port_in_use",
        hint=f"stop the program that uses it or {instead}",
    )


class HttpServer(uvicorn.Server):
    """Leaves signals to us: commands finish before connections are closed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _WithoutEcho:
    """Keeps the SDK from quoting a body that is no message when it refuses it: a secret may stand there."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        held: list[Message] = []

        async def checked(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 400:
                held.append(message)
            elif held and _QUOTING in message.get("body", b""):
                held.clear()
                await _json(_NO_MESSAGE, 400)(scope, receive, send)
            else:
                while held:
                    await send(held.pop())
                await send(message)

        await self._app(scope, receive, checked)


def _json(content: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
