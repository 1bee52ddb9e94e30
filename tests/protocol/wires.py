"""Real MCP clients on every transport in both eras."""

import getpass
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import Implementation, TextContent

from server.mcp_server import McpServer
from tests.conftest import Serve
from tests.protocol.records import Records
from tests.protocol.servers import CLIENT, ROOT, Era, HttpServer, bearer, environment

WIRES = [(transport, era) for transport in ("memory", "stdio", "http") for era in ("legacy", "modern")]
PRINCIPAL = f"local:{getpass.getuser()}"


@dataclass(frozen=True)
class Wire:
    """A connected client, and the log of the server at the other end."""

    client: Client
    records: Records
    transport: str
    era: Era
    principal: str
    start: int
    """The position of the log before this client came."""


Connect = Callable[[], AbstractAsyncContextManager[Wire]]


def connecting(transport: str, era: Era, serve: Serve, state: Path, http_server: Callable[[], HttpServer]) -> Connect:
    @asynccontextmanager
    async def connect() -> AsyncIterator[Wire]:
        if transport == "memory":
            async with serve() as application:
                path = application.store.location.path
                assert path
                server = McpServer(
                    application.dispatcher, application.callers(application.principal), "memory", "memory-talk"
                )
                async with _client(server.sdk, era) as client:
                    yield Wire(client, Records(path), transport, era, PRINCIPAL, Records(path).head())
        elif transport == "stdio":
            parameters = StdioServerParameters(
                command=sys.executable, args=["-m", "server", "stdio"], env=environment(state), cwd=ROOT
            )
            with (state / "stderr").open("w") as stderr:
                async with _client(stdio_client(parameters, stderr), era) as client:
                    yield Wire(client, Records(state / "ledger.db"), transport, era, PRINCIPAL, 0)
        else:
            running = http_server()
            start = running.records.head()
            async with http_client(running, era) as client:
                yield Wire(client, running.records, transport, era, "admin", start)

    return connect


@asynccontextmanager
async def http_client(server: HttpServer, era: Era) -> AsyncIterator[Client]:
    """A client of an HTTP server, with the API key of the tests."""
    async with (
        httpx2.AsyncClient(headers=bearer(), timeout=60) as talk,
        _client(streamable_http_client(server.url, http_client=talk), era) as client,
    ):
        yield client


def _client(server: Any, era: Era) -> Client:
    mode = "legacy" if era == "legacy" else "auto"
    return Client(server, mode=mode, client_info=Implementation.model_validate(CLIENT), read_timeout_seconds=60)


def text_of(content: object) -> str:
    assert isinstance(content, TextContent)
    return content.text
