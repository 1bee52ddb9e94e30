"""The image: what it is made of is there, and on a real engine it is built and serves."""

import fnmatch
import json
import re
import time
from importlib.metadata import version

import anyio
import docker
import pytest
from mcp import Client, StdioServerParameters

from tests.conftest import free_port
from tests.package.build import ROOT, TOP_LEVEL, run
from tests.package.dockerfile import copied, instructions

SOCKET = "/var/run/docker.sock"


def let_in() -> set[str]:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return {line[1:] for line in lines if line.startswith("!")}


def test_the_build_context_is_what_the_dockerfile_copies() -> None:
    assert set(copied()) == let_in()
    assert set(copied()) >= TOP_LEVEL
    listed = set(run("git", "ls-files").stdout.splitlines())
    for name in copied():
        assert name in listed or any(each.startswith(f"{name}/") for each in listed), name


def test_nothing_private_gets_into_the_build_context() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert [line for line in lines if line and line[0] not in "#!"] == ["*", "**/__pycache__", "**/*.py[cod]"]
    private = ("*.db", "*.key", ".env", "*.pem")
    assert not any(fnmatch.fnmatch(name, pattern) for name in let_in() for pattern in private)


def test_the_image_runs_the_server_as_a_user_of_its_own() -> None:
    last = dict(instructions())
    assert last["USER"] == "10001:10001"
    assert json.loads(last["ENTRYPOINT"]) == ["docker-mcp"]
    assert json.loads(last["CMD"]) == ["stdio"]
    assert "/healthz" in last["HEALTHCHECK"]


def test_the_image_the_registry_entry_and_the_readme_agree() -> None:
    entry = json.loads((ROOT / "server.json").read_text())
    labels = dict(re.findall(r'(\S+)="([^"]*)"', dict(instructions())["LABEL"]))
    assert labels["io.modelcontextprotocol.server.name"] == entry["name"]
    assert f"mcp-name: {entry['name']}" in (ROOT / "README.md").read_text()
    released = version("docker-mcp-ledger")
    assert labels["org.opencontainers.image.version"] == entry["version"] == released
    pypi, oci = entry["packages"]
    assert (pypi["identifier"], pypi["version"]) == ("docker-mcp-ledger", released)
    assert oci["identifier"].endswith(f":{released}")
    assert "version" not in oci


def test_the_registry_entry_keeps_to_its_schema() -> None:
    """The limits of the registry's schema of 2025-12-11."""
    entry = json.loads((ROOT / "server.json").read_text())
    assert entry["$schema"].endswith("/2025-12-11/server.schema.json")
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", entry["name"])
    assert 1 <= len(entry["description"]) <= 100
    assert 1 <= len(entry["title"]) <= 100
    for package in entry["packages"]:
        assert package["registryType"] in ("pypi", "oci")
        assert package["transport"] == {"type": "stdio"}
        for argument in package.get("runtimeArguments", []) + package.get("packageArguments", []):
            assert argument["type"] in ("named", "positional")
            assert set(re.findall(r"{(\w+)}", argument["value"])) == set(argument.get("variables", {}))


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.engine
@pytest.mark.anyio
async def test_the_built_image_serves_stdio_and_reaches_the_engine(built: str, engine: docker.APIClient) -> None:
    group = str((await anyio.Path(SOCKET).stat()).st_gid)
    arguments = ["run", "-i", "--rm", "--group-add", group, "-v", f"{SOCKET}:{SOCKET}", built]
    async with Client(StdioServerParameters(command="docker", args=arguments)) as client:
        assert len((await client.list_tools()).tools) > 10
        listed = await client.call_tool("list-containers", {})
        stacks = await client.call_tool("compose-list", {})
    assert not listed.is_error
    assert not stacks.is_error
    assert engine.inspect_image(built)["Config"]["User"] == "10001:10001"


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.engine
def test_the_built_image_is_healthy_over_http(built: str, engine: docker.APIClient) -> None:
    port = free_port()
    config = engine.create_host_config(network_mode="host")
    made = engine.create_container(built, ["http"], environment={"DOCKER_MCP_PORT": str(port)}, host_config=config)
    try:
        engine.start(made["Id"])
        deadline = time.monotonic() + 90
        while (state := engine.inspect_container(made["Id"])["State"])["Health"]["Status"] == "starting":
            assert time.monotonic() < deadline, engine.logs(made["Id"])
            time.sleep(0.5)
        assert state["Health"]["Status"] == "healthy", state
        engine.stop(made["Id"], timeout=20)
        assert engine.inspect_container(made["Id"])["State"]["ExitCode"] == 0
    finally:
        engine.remove_container(made["Id"], force=True, v=True)
