"""What to paste into an MCP client."""

import json
import sys
from pathlib import Path

from server.settings import Settings


def how_to_connect(settings: Settings, log: str) -> str:
    """Return the lines that a person needs to connect a client to the running HTTP server, or over stdio instead."""
    host = f"[{settings.DOCKER_MCP_HOST}]" if ":" in settings.DOCKER_MCP_HOST else settings.DOCKER_MCP_HOST
    over_http = {"mcpServers": {"docker": {"type": "http", "url": f"http://{host}:{settings.DOCKER_MCP_PORT}/mcp"}}}
    command, *arguments = stdio_command()
    over_stdio = {"mcpServers": {"docker": {"command": command, "args": arguments}}}
    return (
        f"docker-mcp records every call in {log}\n"
        "Paste into your MCP client (Claude, Cursor, OpenHands, VS Code: key `servers`):\n"
        f"{json.dumps(over_http)}\n"
        "or let the client start its own server; with the same DOCKER_MCP_ variables it shares this log:\n"
        f"{json.dumps(over_stdio)}\n"
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
