"""What to paste into an MCP client."""

import json
import shutil
import sys

from server.settings import Settings


def how_to_connect(settings: Settings, log: str) -> str:
    """Return the lines that a person needs to connect a client to the running HTTP server, or over stdio instead."""
    host = f"[{settings.DOCKER_MCP_HOST}]" if ":" in settings.DOCKER_MCP_HOST else settings.DOCKER_MCP_HOST
    over_http = {"mcpServers": {"docker": {"type": "http", "url": f"http://{host}:{settings.DOCKER_MCP_PORT}/mcp"}}}
    over_stdio = {"mcpServers": {"docker": {"command": _command(), "args": ["stdio"]}}}
    return (
        f"docker-mcp records every call in {log}\n"
        "Paste into your MCP client (Claude, Cursor, OpenHands, VS Code: key `servers`):\n"
        f"{json.dumps(over_http)}\n"
        "or let the client start its own server, which shares the same log:\n"
        f"{json.dumps(over_stdio)}\n"
        "Stop with Ctrl-C; `docker-mcp audit` shows who did what."
    )


def _command() -> str:
    return shutil.which("docker-mcp") or sys.argv[0]
