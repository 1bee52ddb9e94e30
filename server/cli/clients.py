"""What ``docker-mcp http`` prints for whoever wants to connect a client."""

import json
from collections.abc import Sequence
from pathlib import Path

from server.clients.connection import Http, Stdio, http_url, stdio_command
from server.clients.forms import CLIENTS, NO_CREDENTIAL
from server.settings import Settings


def how_to_connect(settings: Settings, log: str, key_file: Path | None, approved: Sequence[str]) -> str:
    """Return the lines that a person needs to connect a client to the running HTTP server, or over stdio instead.

    Args:
        settings: of the HTTP server.
        log: where it records.
        key_file: holds the API key of a user that was just made.
        approved: the tools that clients may call without asking a person.
    """
    made = f"There were no users: made admin, whose API key is in {key_file}\n" if key_file else ""
    command, *arguments = stdio_command()
    client = CLIENTS["claude-code"]
    over_http = client.http and client.http(Http(http_url(settings), NO_CREDENTIAL))
    over_stdio = client.stdio(Stdio(command, arguments, {}, NO_CREDENTIAL), approved)
    return (
        f"docker-mcp records every call in {log}\n"
        f"{made}"
        f"`docker-mcp config CLIENT --http` writes it into the file of a client ({', '.join(CLIENTS)}); for others:\n"
        f"{json.dumps({client.servers: {client.name: over_http}})}\n"
        "or let the client start its own server; with the same DOCKER_MCP_ variables it shares this log:\n"
        f"{json.dumps({client.servers: {client.name: over_stdio}})}\n"
        "A client that asks before each call and takes a list of those that need no asking (OpenHands, Cline) gets it "
        "beside these:\n"
        f'"autoApprove": {json.dumps(approved)}\n'
        "Stop with Ctrl-C; `docker-mcp audit` shows who did what."
    )
