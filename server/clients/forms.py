"""One declaration per client: where its configuration is, and which form a server has in it.

Sources: the clients' own pages on MCP configuration (OpenHands, Claude, Cursor, Visual Studio Code).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from domain.errors import InvalidArgumentsError
from server.clients.connection import Http, Stdio

Entry = dict[str, Any]

NO_CREDENTIAL: Final = "YOUR_API_KEY"
"""Stands where a person has to put a credential in."""

_LONGEST_CALL_S: Final = 1800
"""What OpenHands waits for one call, in its form of TOML; a deployment with pulls takes more than its usual 60 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What is particular to one client.

    ``place`` is its file unless another is named; ``servers`` the key under which it has its servers; ``name`` what
    this server is called there; ``unknown`` what stands for a credential that is not known, which the client itself
    replaces if it can; ``inputs`` what has to stand in the file for that.
    """

    title: str
    place: str
    stdio: Callable[[Stdio, Sequence[str]], Entry]
    http: Callable[[Http], Entry] | None
    servers: str = "mcpServers"
    name: str = "docker"
    unknown: str = NO_CREDENTIAL
    comments: bool = False
    inputs: Entry | None = None


def _started(server: Stdio, _approved: Sequence[str] = ()) -> Entry:
    token = {"DOCKER_MCP_TOKEN": server.credential} if server.credential else {}
    return {"command": server.command, "args": server.args, "env": {**server.env, **token}}


def _reached(server: Http) -> Entry:
    return {"url": server.url, "headers": {"Authorization": f"Bearer {server.credential}"}}


def _openhands(server: Stdio, approved: Sequence[str]) -> Entry:
    metadata = {"metadata": {"authorization": server.credential}} if server.credential else {}
    return {**_started(server), "autoApprove": list(approved), **metadata}


def _openhands_http(server: Http) -> Entry:
    return {"url": server.url, "transport": "http", **_reached(server)}


def _typed(server: Stdio, _approved: Sequence[str]) -> Entry:
    return {"type": "stdio", **_started(server)}


def _typed_http(server: Http) -> Entry:
    return {"type": "http", **_reached(server)}


CLIENTS: Final[Mapping[str, Client]] = {
    "openhands": Client(
        title="OpenHands",
        place="~/.openhands/mcp.json",
        stdio=_openhands,
        http=_openhands_http,
        name="docker-mcp",
    ),
    "claude-code": Client(
        title="Claude Code", place=".mcp.json", stdio=_typed, http=_typed_http, unknown="${DOCKER_MCP_TOKEN}"
    ),
    "claude-desktop": Client(
        title="Claude Desktop", place="~/.config/Claude/claude_desktop_config.json", stdio=_started, http=None
    ),
    "cursor": Client(
        title="Cursor", place="~/.cursor/mcp.json", stdio=_started, http=_reached, unknown="${env:DOCKER_MCP_TOKEN}"
    ),
    "vscode": Client(
        title="Visual Studio Code",
        place=".vscode/mcp.json",
        stdio=_typed,
        http=_typed_http,
        servers="servers",
        unknown="${input:docker-mcp-token}",
        comments=True,
        inputs={
            "type": "promptString",
            "id": "docker-mcp-token",
            "description": "API key or token for docker-mcp",
            "password": True,
        },
    ),
}

_ALIASES: Final = {"openhands-docker-mcp": "openhands", "claude": "claude-code"}


def client_named(name: str) -> Client:
    """Return the declaration of a client.

    Raises:
        InvalidArgumentsError: if there is none of that name.
    """
    client = CLIENTS.get(_ALIASES.get(name, name))
    if client is None:
        raise InvalidArgumentsError("there is no client of that name", hint=f"clients: {', '.join(CLIENTS)}")
    return client


def toml_entry(server: Stdio | Http, name: str) -> tuple[str, str, Entry]:
    """Return how OpenHands has a server in TOML.

    That is the list in the table ``mcp``, the key that tells one entry of it from another, and the entry.
    """
    if isinstance(server, Stdio):
        return "stdio_servers", "name", {"name": name, **_started(server)}
    timed = {"api_key": server.credential, "timeout": _LONGEST_CALL_S}
    return "shttp_servers", "url", {"url": server.url, **timed}
