"""``--read-only`` and ``--toolsets`` narrow a server whatever role the caller has; so do the settings, and together."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest

from domain.catalogue import CATALOGUE
from domain.catalogue.tool import Effect, Surface
from server.settings import TOOLSETS
from tests.cli.command import complaint, docker_mcp
from tests.protocol.servers import HttpServer, Raw, RawHttp, StdioServer, running

pytestmark = [pytest.mark.promise("P7")]

READS = {tool.name for tool in CATALOGUE.on(Surface.TOOL) if tool.effect is Effect.READ}
NETWORKS = {tool.name for tool in CATALOGUE.on(Surface.TOOL) if tool.name.startswith("network-")}
ALWAYS = {tool.name for tool in CATALOGUE.on(Surface.TOOL) if tool.port.__name__.lower() not in TOOLSETS}


def offered(talk: Raw) -> set[str]:
    return {tool["name"] for tool in talk.ask("tools/list")["result"]["tools"]}


def refusal(talk: Raw, tool: str, **arguments: Any) -> str:
    """Return the code with which a call is refused."""
    answer = talk.ask("tools/call", {"name": tool, "arguments": arguments})["result"]
    assert answer["isError"], answer
    code: str = answer["structuredContent"]["error"]["code"]
    return code


@pytest.mark.engine
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_read_only_shows_and_allows_reads_alone(
    transport: str, tmp_path: Path, engine: docker.APIClient, name: Callable[[str], str]
) -> None:
    server: Any = (HttpServer if transport == "http" else StdioServer)(
        tmp_path, module=("server", transport, "--read-only")
    )
    with running(server):
        talk: Raw = RawHttp(server, "modern") if transport == "http" else server
        assert offered(talk) == READS
        assert refusal(talk, "network-create", name=name("never")) == "denied"
        assert not talk.ask("tools/call", {"name": "network-list", "arguments": {}})["result"].get("isError")
    assert engine.networks(names=[name("never")]) == []


@pytest.mark.engine
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_toolsets_show_and_allow_no_others(transport: str, tmp_path: Path, container: str) -> None:
    server: Any = (HttpServer if transport == "http" else StdioServer)(
        tmp_path, module=("server", transport, "--toolsets", "networks")
    )
    with running(server):
        talk: Raw = RawHttp(server, "modern") if transport == "http" else server
        assert offered(talk) == NETWORKS | ALWAYS
        assert refusal(talk, "stop-container", container_name=container, timeout=0) == "denied"
        assert not talk.ask("tools/call", {"name": "network-list", "arguments": {}})["result"].get("isError")


@pytest.mark.parametrize(
    ("flags", "variables", "shown"),
    [
        (["--read-only", "--toolsets", "networks"], {}, (NETWORKS | ALWAYS) & READS),
        (["--toolsets", "networks"], {"DOCKER_MCP_READ_ONLY": "true"}, (NETWORKS | ALWAYS) & READS),
        (["--read-only"], {"DOCKER_MCP_READ_ONLY": "false"}, READS),
        ([], {"DOCKER_MCP_READ_ONLY": "true"}, READS),
        (["--toolsets", "networks,stacks"], {"DOCKER_MCP_TOOLSETS": "containers,networks"}, NETWORKS | ALWAYS),
        (["--toolsets", "stacks"], {"DOCKER_MCP_TOOLSETS": "containers,networks"}, ALWAYS),
        (["--toolsets", ""], {}, ALWAYS),
    ],
    ids=lambda given: str(sorted(given)),  # in one order for all who run tests side by side
)
def test_flags_and_settings_can_only_take_away(
    flags: list[str], variables: dict[str, Any], shown: set[str], tmp_path: Path
) -> None:
    server = StdioServer(tmp_path, module=("server", "stdio", *flags), **variables)
    with running(server):
        assert offered(server) == shown


@pytest.mark.parametrize("command", ["stdio", "http"])
def test_an_unknown_toolset_stops_the_start_with_the_known_ones(command: str) -> None:
    done = docker_mcp(command, "--toolsets", "networks,everything")
    assert done.returncode == 2
    assert complaint(done) == (
        "docker-mcp: configuration: --toolsets: 1 unknown - toolsets: containers, networks, stacks, images, system"
    )
