"""What to paste into an MCP client."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from server.settings import Settings


def how_to_connect(settings: Settings, log: str, key_file: Path | None, approved: Sequence[str]) -> str:
    """Return the lines that a person needs to connect a client to the running HTTP server, or over stdio instead.

    Args:
        settings: of the HTTP server.
        log: where it records.
        key_file: holds the API key of a user that was just made.
        approved: the tools that clients may call without asking a person.
    """
    host = f"[{settings.DOCKER_MCP_HOST}]" if ":" in settings.DOCKER_MCP_HOST else settings.DOCKER_MCP_HOST
    scheme = "https" if settings.DOCKER_MCP_TLS_CERT else "http"
    url = f"{scheme}://{host}:{settings.DOCKER_MCP_PORT}/mcp"
    headers = {"Authorization": "Bearer YOUR_API_KEY"}
    over_http = {"mcpServers": {"docker": {"type": "http", "url": url, "headers": headers}}}
    made = f"There were no users: made admin, whose API key is in {key_file}\n" if key_file else ""
    command, *arguments = stdio_command()
    key = {"DOCKER_MCP_TOKEN": "YOUR_API_KEY"}
    over_stdio = {"mcpServers": {"docker": {"command": command, "args": arguments, "env": key}}}
    return (
        f"docker-mcp records every call in {log}\n"
        f"{made}"
        "Paste into your MCP client (Claude, Cursor, OpenHands, VS Code: key `servers`):\n"
        f"{json.dumps(over_http)}\n"
        "or let the client start its own server; with the same DOCKER_MCP_ variables it shares this log:\n"
        f"{json.dumps(over_stdio)}\n"
        "A client that asks before each call and takes a list of those that need no asking (OpenHands, Cline) gets it "
        "beside these:\n"
        f'"autoApprove": {json.dumps(approved)}\n'
        "Stop with Ctrl-C; `docker-mcp audit` shows who did what."
    )


def stdio_command() -> list[str]:
    """Return the command line of a stdio server of this installation, which works in every folder.

    The first ``docker-mcp`` on the path may be another program: Docker ships one of that name.
    """
    script = Path(sys.executable).with_name("docker-mcp")
    if script.exists():
        return [str(script), "stdio"]
    return [sys.executable, "-P", "-m", "server", "stdio"]
