"""``docker-mcp demo``: a whole round as a real MCP client against a real engine, then the record of it."""

import os
import sys
from typing import Any, Final

import orjson
import typer
from mcp import Client, StdioServerParameters
from mcp.types import TextContent

from adapters.docker.demo_image import provide_image
from adapters.docker.engine import Engine
from server.cli.audit import table
from server.settings import load_settings

_SHOWN: Final = 140
_SEALED_VALUE: Final = "you will not find this in the log"


async def run_demo() -> bool:
    """Run the round and print it; return whether every step went as it should.

    Raises:
        EngineError: if there is no engine.
    """
    settings = load_settings()
    image = provide_image(Engine(settings.docker_environment, settings.DOCKER_MCP_ENGINE_TIMEOUT_S, 2))
    steps = _round(image, f"docker-mcp-demo-{os.getpid()}")
    server = StdioServerParameters(command=sys.executable, args=["-m", "server", "stdio"], env=dict(os.environ))
    async with Client(server) as client:
        done = [await _step(client, tool, arguments) for tool, arguments in steps]
        prompt = await client.get_prompt("audit-logs", {"limit": str(len(steps))})
    typer.echo("\nThe record of it, newest first; `docker-mcp audit` shows it again:")
    typer.echo(table(orjson.loads(_text(prompt.messages[0].content).partition("\n")[2])["entries"]))
    return all(done)


def _round(image: str, name: str) -> list[tuple[str, dict[str, Any]]]:
    network = f"{name}-net"
    created = {
        "image": image,
        "name": name,
        "command": ["sh", "-c", "echo hello; sleep 600"],
        "environment": {"TOKEN": _SEALED_VALUE},
    }
    return [
        ("create-container", created),
        ("list-containers", {}),
        ("get-logs", {"container_name": name}),
        ("network-create", {"name": network}),
        ("network-connect", {"network": network, "container": name}),
        ("network-disconnect", {"network": network, "container": name}),
        ("stop-container", {"container_name": name, "timeout": 0}),
        ("remove-container", {"container_name": name, "force": True}),
        ("network-remove", {"name": network}),
    ]


async def _step(client: Client, tool: str, arguments: dict[str, Any]) -> bool:
    meta: Any = {"purpose": "docker-mcp demo"}
    result = await client.call_tool(tool, arguments, meta=meta)
    typer.echo(f"{'FAIL' if result.is_error else 'ok':<5}{tool:<20}{_text(result.content[0])[:_SHOWN]}")
    return not result.is_error


def _text(content: object) -> str:
    return content.text if isinstance(content, TextContent) else ""
