"""What a role does not allow is refused before the engine hears of it."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import docker
import pytest

from tests.engine_proxy import EngineProxy
from tests.protocol.servers import HttpServer, Raw, RawHttp, StdioServer, running

pytestmark = [pytest.mark.engine, pytest.mark.promise("P7")]

CHANGES: Final[dict[str, dict[str, Any]]] = {
    "create-container": {"image": "IMAGE", "name": "NEW"},
    "start-container": {"container_name": "RUNNING"},
    "stop-container": {"container_name": "RUNNING", "timeout": 0},
    "restart-container": {"container_name": "RUNNING", "timeout": 0},
    "remove-container": {"container_name": "RUNNING", "force": True},
    "network-create": {"name": "NEW"},
    "network-remove": {"name": "NEW"},
    "network-connect": {"network": "bridge", "container": "RUNNING"},
    "network-disconnect": {"network": "bridge", "container": "RUNNING"},
    "image-pull": {"image": "IMAGE"},
    "deploy-compose": {"project_name": "new", "compose_yaml": "services: {web: {image: IMAGE}}"},
    "compose-start": {"project_name": "new"},
    "compose-stop": {"project_name": "new"},
    "compose-restart": {"project_name": "new"},
    "compose-down": {"project_name": "new"},
}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProxy]:
    with contextlib.closing(EngineProxy(tmp_path_factory.mktemp("engine") / "docker.sock")) as proxy:
        yield proxy


@pytest.fixture(scope="module", params=["stdio", "http"])
def reader(
    request: pytest.FixtureRequest, watched: EngineProxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Raw]:
    state = tmp_path_factory.mktemp("reader")
    kind: Any = HttpServer if request.param == "http" else StdioServer
    role = {"role": "user"} if request.param == "http" else {"DOCKER_MCP_STDIO_ROLE": "user"}
    server = kind(state, DOCKER_HOST=watched.url, **role)
    with running(server):
        yield RawHttp(server, "modern") if request.param == "http" else server


def test_every_tool_that_changes_something_is_tried() -> None:
    from domain.catalogue import CATALOGUE
    from domain.catalogue.tool import Effect

    assert CHANGES.keys() == {tool.name for tool in CATALOGUE if tool.effect is not Effect.READ}


def test_a_reader_may_read(reader: Raw, watched: EngineProxy, container: str) -> None:
    for tool, arguments in (
        ("list-containers", {}),
        ("inspect-container", {"container_name": container}),
        ("get-logs", {"container_name": container}),
        ("network-list", {}),
        ("image-list", {}),
        ("system-info", {}),
    ):
        answer = reader.ask("tools/call", {"name": tool, "arguments": arguments})["result"]
        assert not answer.get("isError"), answer
    assert "messages" in reader.ask("prompts/get", {"name": "audit-logs", "arguments": {}})["result"]
    assert watched.requests, "the engine is asked through the socket that notes it"
    assert watched.changes() == []


def test_a_reader_may_change_nothing_and_the_engine_is_not_asked(
    reader: Raw,
    watched: EngineProxy,
    engine: docker.APIClient,
    image: str,
    container: str,
    name: Callable[[str], str],
) -> None:
    reader.ask("tools/call", {"name": "system-info", "arguments": {}})  # the connection of the start has been made
    here = {"IMAGE": image, "RUNNING": container, "NEW": name("never")}
    before = engine.inspect_container(container)["State"]
    asked = len(watched.requests)
    for tool, example in CHANGES.items():
        arguments = {key: here.get(str(value), value) for key, value in example.items()}
        answer = reader.ask("tools/call", {"name": tool, "arguments": arguments})["result"]
        error = answer["structuredContent"]["error"]
        assert (answer["isError"], error["code"]) == (True, "denied"), tool
        assert watched.requests[asked:] == [], tool
        received, denied = reader.records.of(error["command_id"])
        assert (received.type, denied.type, denied.status) == ("command.received", "command.denied", "denied")
        assert (denied.tool, denied.role, denied.data["rule"]) == (tool, "user", "role-user")
        assert denied.data["reason"] == error["message"]
        assert denied.data["policy_digest"]
    assert engine.inspect_container(container)["State"] == before
    assert engine.containers(all=True, filters={"name": name("never")}) == []
    assert engine.networks(names=[name("never")]) == []
