"""The examples of the product's description, sent as they stand there."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import orjson
import pytest

from server.mcp_server import COMMAND_ID_META
from tests.conftest import free_port
from tests.examples import AUDIT, STACK_STORY, STORY
from tests.protocol.servers import Raw

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def server_image(engine: docker.APIClient, image: str) -> Iterator[str]:
    """An image that runs by itself, as nginx does, and ends when it is told to."""
    made = engine.create_container(image, ["true"])
    words = json.dumps(["sh", "-c", "trap 'exit 0' TERM; echo serving; while :; do sleep 0.1; done"])
    tag = f"dmt-nginx-{made['Id'][:8]}"
    engine.commit(made["Id"], tag, "latest", changes=f"CMD {words}")
    engine.remove_container(made["Id"])
    yield f"{tag}:latest"
    engine.remove_image(f"{tag}:latest", force=True)


@pytest.fixture
def fitted(server_image: str, name: Callable[[str], str], tmp_path: Path) -> Callable[[str], Any]:
    """Turns an example into arguments for this machine: image, names, path and port replaced, nothing else."""
    here = {
        "nginx:latest": server_image,
        "my-nginx": name("nginx"),
        "my-network": name("network"),
        "my-stack": name("stack"),
        "/host/path": str(tmp_path),
        "8080": str(free_port()),
    }

    def fit(tree: Any) -> Any:
        if isinstance(tree, dict):
            return {here.get(key, key): fit(value) for key, value in tree.items()}
        if isinstance(tree, list):
            return [fit(item) for item in tree]
        return fit_text(tree) if isinstance(tree, str) else tree

    def fit_text(text: str) -> str:
        if "services:" in text:
            return text.replace("nginx:latest", server_image).replace("8080", here["8080"])
        return here.get(text, text)

    return lambda example: fit(json.loads(example))


def test_every_example_works(
    raw: Raw, fitted: Callable[[str], Any], engine: docker.APIClient, name: Callable[[str], str]
) -> None:
    nginx, network = name("nginx"), name("network")
    answers: dict[str, Any] = {}
    for tool, example in STORY:
        result = raw.ask("tools/call", {"name": tool, "arguments": fitted(example)})["result"]
        assert not result.get("isError"), f"{tool}: {result['content']}"
        answers[tool] = result["structuredContent"]
        if tool == "create-container":
            asked = fitted(example)
            found = engine.inspect_container(nginx)
            assert found["State"]["Running"]
            assert found["Config"]["Image"] == asked["image"]
            assert "ENV_VAR=value" in found["Config"]["Env"]
            assert found["Config"]["Healthcheck"] == {
                "Test": ["CMD-SHELL", "curl -f http://localhost/ || exit 1"],
                "Interval": 30_000_000_000,
                "Timeout": 10_000_000_000,
                "StartPeriod": 30_000_000_000,
                "Retries": 3,
            }
            host = found["HostConfig"]
            assert host["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": asked["ports"]["80"]}]}
            assert [(mount["Source"], mount["Destination"]) for mount in found["Mounts"]] == [
                (path, "/container/path") for path in asked["volumes"]
            ]
            assert (host["NanoCpus"], host["Memory"]) == (500_000_000, 512 * 1024**2)
            assert host["RestartPolicy"]["Name"] == "always"
            assert list(found["NetworkSettings"]["Networks"]) == [network]
        elif tool == "stop-container":
            assert not engine.inspect_container(nginx)["State"]["Running"]
        elif tool in ("start-container", "restart-container"):
            assert engine.inspect_container(nginx)["State"]["Running"]
        elif tool in ("network-disconnect", "network-connect"):
            members = [member["Name"] for member in engine.inspect_network(network)["Containers"].values()]
            assert members == ([nginx] if tool == "network-connect" else [])
    assert nginx in [row["name"] for row in answers["list-containers"]["containers"]]
    assert answers["get-logs"]["lines"] == ["serving"]
    assert network in [row["name"] for row in answers["network-list"]["networks"]]
    assert [member["name"] for member in answers["network-inspect"]["containers"]] == [nginx]
    assert engine.containers(all=True, filters={"name": nginx}) == []
    assert engine.networks(names=[network]) == []


def test_the_audit_example_works_with_its_number_as_a_number(raw: Raw, fitted: Callable[[str], Any]) -> None:
    asked = fitted(AUDIT)
    assert asked["limit"] == 10
    as_it_stands = raw.ask("prompts/get", {"name": "audit-logs", "arguments": asked})["result"]
    assert {entry["principal"] for entry in entries(as_it_stands)} <= {"admin"}
    received = raw.records.of(as_it_stands["_meta"][COMMAND_ID_META])[0]
    assert received.data["arguments"]["limit"] == 10


def test_the_audit_example_tells_what_was_created(
    raw: Raw, server_image: str, name: Callable[[str], str], fitted: Callable[[str], Any]
) -> None:
    created = {"image": server_image, "name": name("nginx"), "start": False}
    made = raw.ask("tools/call", {"name": "create-container", "arguments": created})["result"]
    asked = {**fitted(AUDIT), "username": raw.principal}
    entry = entries(raw.ask("prompts/get", {"name": "audit-logs", "arguments": asked})["result"])[0]
    assert entry["command_id"] == made["_meta"][COMMAND_ID_META]
    wanted = (raw.principal, "create-container", "success", f"container/{name('nginx')}")
    assert (entry["principal"], entry["tool"], entry["status"], entry["object"]) == wanted


def entries(answer: Any) -> list[dict[str, Any]]:
    (message,) = answer["messages"]
    found: list[dict[str, Any]] = orjson.loads(message["content"]["text"])["entries"]
    return found


def test_every_example_for_stacks_works(
    raw: Raw, fitted: Callable[[str], Any], engine: docker.APIClient, name: Callable[[str], str], server_image: str
) -> None:
    web = f"{name('stack')}-web-1"
    answers: dict[str, Any] = {}
    for tool, example in STACK_STORY:
        result = raw.ask("tools/call", {"name": tool, "arguments": fitted(example)})["result"]
        assert not result.get("isError"), f"{tool}: {result['content']}"
        answers[tool] = result["structuredContent"]
        assert engine.inspect_container(web)["State"]["Running"] is (tool != "compose-stop")
    found = engine.inspect_container(web)
    port = fitted(STACK_STORY[0][1])["compose_yaml"].split("'")[-2].split(":")[0]
    assert found["Config"]["Image"] == server_image
    assert found["HostConfig"]["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": port}]}
    assert answers["compose-logs"]["lines"][0] == "web-1 | serving"
    (shown,) = answers["compose-ps"]["services"]
    assert (shown["service"], shown["container"], shown["state"]) == ("web", web, "running")
