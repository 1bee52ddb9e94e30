"""The leanest client there is: JSON lines to a server's standard input, so that its own cost is small and fixed."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NOOP_SERVER = """
import anyio, mcp.types as t
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
async def tools(ctx, params): return t.ListToolsResult(tools=[t.Tool(name="noop", input_schema={"type": "object"})])
async def call(ctx, params): return t.CallToolResult(content=[t.TextContent(type="text", text="{}")])
async def main():
    server = Server("noop", version="1", on_list_tools=tools, on_call_tool=call)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())
anyio.run(main, backend_options={"use_uvloop": True})
"""
OUR_SERVER = ["-m", "server", "stdio"]


def own_environment(state: Path) -> dict[str, str]:
    """What a server with a log and rules of its own is started with, whatever this machine's are."""
    return {**os.environ, "DOCKER_MCP_STATE_DIR": str(state), "XDG_CONFIG_HOME": str(state / "config")}


class Wire:
    """One stdio server process and its answers."""

    def __init__(self, arguments: Sequence[str], environment: dict[str, str], program: str = sys.executable) -> None:
        self.process = subprocess.Popen(
            [program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self._number = 0

    def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return its result."""
        self._number += 1
        self._send({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params})
        assert self.process.stdout
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer["result"]  # type: ignore[no-any-return]

    def initialize(self) -> None:
        client = {"name": "benchmark", "version": "1"}
        self.request("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client})
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        result = self.request("tools/call", {"name": tool, "arguments": arguments})
        assert not result.get("isError"), result
        return result

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(30)
        assert self.process.stdout
        self.process.stdout.close()

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()


@contextmanager
def wire(arguments: Sequence[str], environment: dict[str, str], program: str = sys.executable) -> Iterator[Wire]:
    opened = Wire(arguments, environment, program)
    try:
        opened.initialize()
        yield opened
    finally:
        opened.close()
