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
from pydantic import BaseModel, ConfigDict, ValidationError

from domain.errors import DockerMcpError
from domain.trees import with_texts
from server.clients.connection import is_http_url
from server.clients.forms import Entry

_LIMIT_S: Final = 60
_STARTED: Final = "what it wrote stands above; `docker-mcp doctor` shows what is wrong on this machine"
_REACHED: Final = "is `docker-mcp http` running there, and is the credential one of its users'?"
_VARIABLE: Final = re.compile(r"\$\{(?:env:|input:)?([A-Za-z0-9_-]+)(?::-([^}]*))?\}")
_INPUTS: Final = {"docker-mcp-token": "DOCKER_MCP_TOKEN"}


class Answer(NamedTuple):
    """What a server said: name and version, and its tools."""

    server: str
    tools: list[str]


class _Server(BaseModel):
    """What of an entry says how to start or to reach the server; a client reads no other types here either."""

    model_config = ConfigDict(strict=True)

    command: str | None = None
    args: list[str] = []
    env: dict[str, str] | None = None
    url: str = ""
    headers: dict[str, str] = {}
    api_key: str | None = None


async def ask(entry: Entry) -> Answer:
    """Return what the server of an entry says of itself.

    Raises:
        DockerMcpError: if it does not answer, or the entry tells neither how to start nor how to reach one.
    """
    server = _server(entry)
    try:
        with anyio.fail_after(_LIMIT_S):
            async with _connected(server) as client:
                tools = [tool.name for tool in (await client.list_tools()).tools]
                info = client.server_info
                return Answer(f"{info.name} {info.version}" if info else "a server without a name", tools)
    except (MCPError, OSError, httpx2.HTTPError, ExceptionGroup) as error:
        raise DockerMcpError(
            f"the server did not answer: {_reason(error)}",
            code="client_check_failed",
            hint=_STARTED if server.command else _REACHED,
        ) from error


def _server(entry: Entry) -> _Server:
    try:
        server = _Server.model_validate(_expanded(entry))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    else:
        if server.command or is_http_url(server.url):
            return server
        problem = "it has neither a command nor a URL that begins with http:// or https://"
    raise DockerMcpError(
        f"the entry is not that of a server: {problem}",
        code="client_check_failed",
        hint="write it anew: the same command without --check",
    )


@asynccontextmanager
async def _connected(server: _Server) -> AsyncIterator[Client]:
    if server.command:
        async with Client(StdioServerParameters(command=server.command, args=server.args, env=server.env)) as client:
            yield client
        return
    key = {"Authorization": f"Bearer {server.api_key}"} if server.api_key else {}
    headers = {name: value.strip() for name, value in (server.headers or key).items()}
    async with (
        httpx2.AsyncClient(headers=headers) as talk,
        Client(streamable_http_client(server.url, http_client=talk)) as client,
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
    if isinstance(error, httpx2.ConnectError):
        return "there is no connection to it"
    if isinstance(error, MCPError):
        return str(error)
    return getattr(error, "strerror", None) or type(error).__name__
