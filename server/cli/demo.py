"""``docker-mcp demo``: a whole round as a real MCP client against a real engine, then the record of it."""

import asyncio
import os
from collections.abc import Coroutine
from typing import Any, Final

import orjson
import typer
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import CallToolResult, TextContent

from adapters.docker.demo_image import provide_image
from adapters.docker.engine import Engine
from domain.errors import DockerMcpError
from server.cli.audit_forms import table
from server.cli.check import check_log
from server.cli.users import token_of_an_admin
from server.clients.connection import stdio_command
from server.settings import Settings

_SHOWN: Final = 140
_SEALED_VALUE: Final = "you will not find this in the log"

_Steps = list[tuple[str, dict[str, Any]]]


async def run_demo(settings: Settings) -> bool:
    """Run the round and print it; return whether every step went as it should.

    Raises:
        DockerMcpError: if there is no engine, or no log to record it in.
    """
    check_log(settings)
    image = provide_image(Engine(settings.docker_environment, settings.DOCKER_MCP_ENGINE_TIMEOUT_S, 2))
    name = f"docker-mcp-demo-{os.getpid()}"
    command, *arguments = stdio_command()
    environment = dict(os.environ)
    if not settings.token and (token := token_of_an_admin(settings)):
        environment["DOCKER_MCP_TOKEN"] = token
    server = StdioServerParameters(command=command, args=arguments, env=environment)
    try:
        async with Client(server) as client:
            done = await _run(client, _round(image, name), _removal(name))
            prompt = await client.get_prompt("audit-logs", {"limit": str(len(done))})
    except (MCPError, ExceptionGroup) as error:
        hint = "`docker-mcp doctor` shows what is wrong"
        raise DockerMcpError("the server of the demo did not answer", code="demo_failed", hint=hint) from error
    typer.echo("\nThe record of it, newest first; `docker-mcp audit` shows it again:")
    typer.echo(table(orjson.loads(_text(prompt.messages[0].content))["entries"]))
    return all(done)


async def _run(client: Client, steps: _Steps, removal: _Steps) -> list[bool]:
    """Go on until a step fails or the person stops it; what was made is removed in either case."""
    done: list[bool] = []
    try:
        for tool, arguments in steps:
            done.append(_tell(tool, await _to_its_end(_call(client, tool, arguments))))
            if not done[-1]:
                break
    finally:  # all calls before the first print: nobody may be reading any more
        removed = [(tool, await _call(client, tool, arguments)) for tool, arguments in removal]
        done += [_tell(tool, result) for tool, result in removed]
    return done


def _round(image: str, name: str) -> _Steps:
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
    ]


def _removal(name: str) -> _Steps:
    return [("remove-container", {"container_name": name, "force": True}), ("network-remove", {"name": f"{name}-net"})]


async def _to_its_end(call: Coroutine[Any, Any, CallToolResult]) -> CallToolResult:
    """Let a call finish that is interrupted: what it makes must be there when it is removed."""
    running = asyncio.create_task(call)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await running
        raise


async def _call(client: Client, tool: str, arguments: dict[str, Any]) -> CallToolResult:
    meta: Any = {"purpose": "docker-mcp demo"}
    return await client.call_tool(tool, arguments, meta=meta)


def _tell(tool: str, result: CallToolResult) -> bool:
    typer.echo(f"{'FAIL' if result.is_error else 'ok':<5}{tool:<20}{_text(result.content[0])[:_SHOWN]}")
    return not result.is_error


def _text(content: object) -> str:
    return content.text if isinstance(content, TextContent) else ""
