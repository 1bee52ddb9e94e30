"""``docker-mcp http``: what it prints to paste into a client works, and what it reads as settings."""

import json
import os
import re
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from server.cli.clients import how_to_connect
from server.clients.connection import stdio_command
from server.settings import load_settings
from tests.cli.command import docker_mcp, environment, http_server
from tests.conftest import free_port, write_rules

pytestmark = pytest.mark.anyio


def to_paste(printed: str) -> list[dict[str, Any]]:
    """Return the server entries that a person is asked to paste."""
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    assert all(line.keys() == {"mcpServers"} and line["mcpServers"].keys() == {"docker"} for line in lines)
    return [line["mcpServers"]["docker"] for line in lines]


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
async def test_the_address_it_prints_reaches_it(host: str, shown: str, tmp_path: Path) -> None:
    with http_server(tmp_path / "errors", env={"DOCKER_MCP_HOST": host}) as (_, port):
        printed = (tmp_path / "errors").read_text()
        over_http, _over_stdio = to_paste(printed)
        url, headers = f"http://{shown}:{port}/mcp", {"Authorization": "Bearer YOUR_API_KEY"}
        assert over_http == {"type": "http", "url": url, "headers": headers}
        (key_file,) = re.findall(r"made admin, whose API key is in (\S+)", printed)
        key = {"Authorization": f"Bearer {await anyio.Path(key_file).read_text()}".strip()}
        async with (
            httpx2.AsyncClient(headers=key) as talk,
            Client(streamable_http_client(url, http_client=talk)) as client,
        ):
            assert {tool.name for tool in (await client.list_tools()).tools} >= {"create-container", "get-logs"}


def test_it_serves_under_its_other_words_too(tmp_path: Path) -> None:
    with http_server(tmp_path / "errors", words=("start", "docker-mcp")) as (_, port):
        assert f"http://127.0.0.1:{port}/mcp" in (tmp_path / "errors").read_text()


def test_it_prints_which_tools_need_no_asking(tmp_path: Path) -> None:
    """As the auth file corrects it."""
    auto_approve = {"add": ["start-container"], "remove": ["get-logs"]}
    rules = write_rules(tmp_path / "config", auto_approve=auto_approve, host_safety={})
    with http_server(tmp_path / "errors", env={"DOCKER_MCP_AUTH_FILE": str(rules)}):
        printed = (tmp_path / "errors").read_text()
    (line,) = [line for line in printed.splitlines() if line.startswith('"autoApprove"')]
    approved = set(json.loads(f"{{{line}}}")["autoApprove"])
    assert {"list-containers", "compose-ps", "start-container"} <= approved
    assert not approved & {"get-logs", "stop-container", "remove-container"}


async def test_the_stdio_command_it_prints_works_from_every_folder(tmp_path: Path) -> None:
    _over_http, over_stdio = to_paste(how_to_connect(load_settings(), "a log", None, []))
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "__init__.py").write_text("raise SystemExit('this is not docker-mcp')")
    assert Path(over_stdio["command"]).is_absolute()
    assert os.access(over_stdio["command"], os.X_OK)
    server = StdioServerParameters(
        command=over_stdio["command"], args=over_stdio["args"], cwd=tmp_path, env=environment()
    )
    async with Client(server) as client:
        prompt = await client.get_prompt("audit-logs", {})
    assert prompt.messages


def test_without_its_script_the_interpreter_starts_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert stdio_command() == [str(tmp_path / "python"), "-P", "-m", "server", "stdio"]
    (tmp_path / "docker-mcp").touch()
    assert stdio_command() == [str(tmp_path / "docker-mcp"), "stdio"]


def test_ctrl_c_ends_it_in_good_order(tmp_path: Path) -> None:
    with http_server(tmp_path / "errors") as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_a_taken_port_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = docker_mcp("http", "--port", str(port))
    assert done.returncode == 1
    assert f"docker-mcp: port_in_use: port {port} cannot be used" in done.stderr.splitlines()[-1]


def test_only_http_reads_the_env_file_of_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOG_LEVEL=loud\n")
    (tmp_path / ".env").chmod(0o600)
    assert docker_mcp("stdio", cwd=tmp_path).returncode == 0
    done = docker_mcp("http", cwd=tmp_path)
    assert done.returncode == 2
    assert "LOG_LEVEL" in done.stderr


def test_http_refuses_an_env_file_that_others_can_write(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"DOCKER_MCP_PORT={free_port()}\n")
    (tmp_path / ".env").chmod(0o666)
    done = docker_mcp("http", cwd=tmp_path)
    assert done.returncode == 2
    assert str(tmp_path / ".env") in done.stderr
    assert "chmod 600" in done.stderr
