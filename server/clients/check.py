"""Starts or reaches a server as a client does that has read its configuration file."""

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import anyio
import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from domain.errors import DockerMcpError
from domain.trees import with_texts
from server.clients.forms import Entry

_LIMIT_S: Final = 60
_VARIABLE: Final = re.compile(r"\$\{(?:env:|input:)?([A-Za-z0-9_-]+)(?::-([^}]*))?\}")
_INPUTS: Final = {"docker-mcp-token": "DOCKER_MCP_TOKEN"}


class Answer(NamedTuple):
    """What a server said: name and version, and its tools."""

    server: str
    tools: list[str]


async def ask(entry: Entry) -> Answer:
    """Return what the server of an entry says of itself.

    Raises:
        DockerMcpError: if it does not answer.
    """
    try:
        with anyio.fail_after(_LIMIT_S):
            async with _connected(_expanded(entry)) as client:
                tools = [tool.name for tool in (await client.list_tools()).tools]
                info = client.server_info
                return Answer(f"{info.name} {info.version}" if info else "a server without a name", tools)
    except (MCPError, OSError, httpx2.HTTPError, ExceptionGroup) as error:
        raise DockerMcpError(
            f"the server did not answer: {_reason(error)}",
            code="client_check_failed",
            hint="what it wrote stands above; `docker-mcp doctor` shows what is wrong on this machine",
        ) from error


@asynccontextmanager
async def _connected(entry: Entry) -> AsyncIterator[Client]:
    if "command" in entry:
        server = StdioServerParameters(command=entry["command"], args=entry.get("args", []), env=entry.get("env"))
        async with Client(server) as client:
            yield client
        return
    headers = entry.get("headers") or {"Authorization": f"Bearer {entry.get('api_key', '')}"}
    async with (
        httpx2.AsyncClient(headers=headers) as talk,
        Client(streamable_http_client(entry["url"], http_client=talk)) as client,
    ):
        yield client


def _expanded(value: Any) -> Any:
    """Replace variables as clients do, and what they would ask a person for by ``DOCKER_MCP_TOKEN``."""

    def expanded(text: str) -> str:
        return _VARIABLE.sub(lambda found: os.environ.get(_INPUTS.get(found[1], found[1])) or found[2] or "", text)

    return with_texts(value, expanded)


def _reason(error: BaseException) -> str:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, httpx2.HTTPStatusError):
        return f"HTTP status {error.response.status_code}"
    if isinstance(error, MCPError):
        return str(error)
    return getattr(error, "strerror", None) or type(error).__name__
