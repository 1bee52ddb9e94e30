"""Each client's file gets the form that this client reads."""

import json
from pathlib import Path
from typing import Any

import pytest

from domain.errors import InvalidArgumentsError
from server.clients.connection import Http, Stdio
from server.clients.file import ClientFile
from server.clients.forms import CLIENTS, client_named

HTTP_CREDENTIALS = {
    "openhands": "YOUR_API_KEY",
    "claude-code": "${DOCKER_MCP_TOKEN}",
    "cursor": "${env:DOCKER_MCP_TOKEN}",
    "vscode": "${input:docker-mcp-token}",
}


def tree_of(client: str, server: Stdio | Http, before: bytes | None = None) -> Any:
    form = client_named(client)
    return json.loads(ClientFile(form, Path("mcp.json"), before).with_server(server, ["get-logs"], form.name))


def entry_of(client: str, server: Stdio | Http) -> Any:
    (entry,) = tree_of(client, server)["servers" if client == "vscode" else "mcpServers"].values()
    return entry


@pytest.mark.parametrize("client", CLIENTS)
def test_a_server_that_the_client_starts(client: str) -> None:
    entry = entry_of(client, Stdio("/bin/docker-mcp", ["stdio"], {"LOG_LEVEL": "INFO"}, "a-key"))
    assert (entry["command"], entry["args"]) == ("/bin/docker-mcp", ["stdio"])
    assert entry["env"] == {"LOG_LEVEL": "INFO", "DOCKER_MCP_TOKEN": "a-key"}
    assert entry.get("type") == {"vscode": "stdio", "claude-code": "stdio"}.get(client)
    assert ("autoApprove" in entry) == ("metadata" in entry) == (client == "openhands")


@pytest.mark.parametrize("client", HTTP_CREDENTIALS)
def test_a_server_that_the_client_reaches(client: str) -> None:
    entry = entry_of(client, Http("https://docker.example/mcp", "a-key"))
    assert entry["url"] == "https://docker.example/mcp"
    assert entry["headers"] == {"Authorization": "Bearer a-key"}
    assert entry.get("type", entry.get("transport")) == (None if client == "cursor" else "http")


@pytest.mark.parametrize(("client", "stands"), HTTP_CREDENTIALS.items())
def test_what_stands_for_a_credential_that_the_client_asks_for_itself(client: str, stands: str) -> None:
    assert client_named(client).unknown == stands


def test_visual_studio_code_asks_its_person_once() -> None:
    server = Http("https://docker.example/mcp", client_named("vscode").unknown)
    tree = tree_of("vscode", server)
    assert [(each["id"], each["password"]) for each in tree["inputs"]] == [("docker-mcp-token", True)]
    assert tree_of("vscode", server, json.dumps(tree).encode()) == tree
    assert "inputs" not in tree_of("vscode", Http("https://docker.example/mcp", "a-key"))


def test_claude_desktop_is_not_told_an_address_that_it_would_not_read() -> None:
    with pytest.raises(InvalidArgumentsError, match="reaches none over HTTP"):
        tree_of("claude-desktop", Http("https://docker.example/mcp", "a-key"))
