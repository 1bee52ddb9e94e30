"""One catalogue entry and one adapter method make a tool: all the rest follows."""

import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, Protocol

import docker
import pytest
from mcp import Client
from mcp.client.client import ConnectMode
from pydantic import Field

from domain.catalogue import CATALOGUE
from domain.catalogue.recognise import Verdict
from domain.catalogue.tool import Catalogue, Command, Effect, Result, Run, Target, Tool
from domain.errors import ConflictError
from domain.objects import Kind
from domain.secrets import SECRET
from server.bootstrap import Application
from server.mcp_server import COMMAND_ID_META, McpServer
from tests.conftest import Serve
from tests.protocol.records import Records

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

PASSWORD = "open-sesame-4711"


# The whole of what a new tool takes: a command, an adapter with one method, an entry.


class KnockContainer(Command):
    """Knock at a container. It opens
    when the password is right."""

    container_name: str
    times: Annotated[int, Field(ge=1, le=3, description="how often")] = 1
    password: Annotated[str, SECRET]


class Knocked(Result):
    """What was heard inside."""

    id: str
    knocks: int


class Doors(Protocol):
    def knock(self, command: KnockContainer, run: Run) -> Knocked: ...


class RealDoors:
    def knock(self, command: KnockContainer, run: Run) -> Knocked:
        run.before_change()
        if command.password != PASSWORD:
            raise ConflictError(f"{command.password} is wrong", code="door_stays_shut", hint="find the password")
        if command.times == 3:
            raise ZeroDivisionError(command.password)
        return Knocked(id=run.target(Kind.CONTAINER).id, knocks=command.times)


ENTRY = Tool(
    name="knock-container",
    title="Knock",
    command=KnockContainer,
    port=Doors,
    apply=Doors.knock,
    effect=Effect.MUTATE,
    idempotent=False,
    summary="knock {times} times at {container_name}",
    targets=(Target("container_name", Kind.CONTAINER),),
    recognise=lambda _evidence: Verdict("no", "a knock leaves no trace"),
)

# That was all.


Open = Callable[..., Any]


@pytest.fixture
def doors(serve: Serve) -> Open:
    @asynccontextmanager
    async def opened(**settings: Any) -> AsyncIterator[tuple[Client, Records]]:
        catalogue = Catalogue((*CATALOGUE, ENTRY))
        async with serve(catalogue=catalogue, more_ports={Doors: RealDoors()}, **settings) as application:
            server = McpServer(application.dispatcher, application.callers(application.principal), "memory", None)
            async with Client(server.sdk) as client:
                yield client, records_of(application)

    return opened


def records_of(application: Application) -> Records:
    path = application.store.location.path
    assert path
    return Records(path)


async def test_a_new_tool_is_listed_with_schema_and_annotations(doors: Open) -> None:
    async with doors() as (client, _):
        (listed,) = [tool for tool in (await client.list_tools()).tools if tool.name == ENTRY.name]
    assert listed.title == "Knock"
    assert listed.description == "Knock at a container. It opens when the password is right."
    assert listed.input_schema == {
        "type": "object",
        "additionalProperties": False,
        "required": ["container_name", "password"],
        "properties": {
            "container_name": {"type": "string"},
            "times": {"type": "integer", "default": 1, "description": "how often"},
            "password": {"type": "string"},
        },
    }
    hints = listed.annotations.model_dump(exclude={"title"})
    assert hints == {
        "read_only_hint": False,
        "destructive_hint": True,
        "idempotent_hint": False,
        "open_world_hint": False,
    }


@pytest.mark.promise("P2", "P6")
async def test_a_new_tool_is_recorded_with_summary_object_and_sealed_secret(
    doors: Open, container: str, engine: docker.APIClient
) -> None:
    async with doors() as (client, records):
        asked = {"container_name": container, "times": 2, "password": PASSWORD}
        result = await client.call_tool(ENTRY.name, asked)
        found = engine.inspect_container(container)["Id"]
        assert result.structured_content == {"id": found, "knocks": 2}
        rows = records.of(result.meta[COMMAND_ID_META])
        assert [row.type for row in rows][-1] == "command.succeeded"
        assert {row.tool for row in rows} == {"knock-container"}, "what metrics count it under"
        assert {row.object for row in rows} == {f"container/{container}"}
        assert rows[-1].data["summary"] == f"knock 2 times at {container}"
        assert [state["id"] for state in rows[2].data["pinned"]] == [found]
        assert PASSWORD.encode() not in records.text()


@pytest.mark.promise("P6")
@pytest.mark.parametrize(
    ("changes", "code", "ending"),
    [
        ({"password": "wrong-password"}, "door_stays_shut", "command.failed"),
        ({"times": 3}, "internal_error", "command.unknown"),
        ({"times": 9}, "invalid_arguments", "command.rejected"),
        ({"tymes": 2}, "invalid_arguments", "command.rejected"),
        ({"container_name": "dmt-nobody"}, "container_not_found", "command.failed"),
    ],
)
async def test_a_new_tool_fails_as_all_tools_do(
    doors: Open, container: str, changes: dict[str, Any], code: str, ending: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked = {"container_name": container, "password": PASSWORD} | changes
    async with doors() as (client, records):
        result = await client.call_tool(ENTRY.name, asked)
        error = result.structured_content["error"]
        assert result.is_error
        assert error["code"] == code
        assert records.types(error["command_id"])[-1] == ending
        assert str(asked["password"]) not in str(result)
        assert str(asked["password"]).encode() not in records.text()
        assert str(asked["password"]) not in caplog.text


@pytest.mark.promise("P7")
async def test_a_new_tool_is_authorised_by_its_effect(doors: Open, container: str) -> None:
    async with doors(DOCKER_MCP_STDIO_ROLE="user") as (client, records):
        result = await client.call_tool(ENTRY.name, {"container_name": container, "password": PASSWORD})
        assert result.structured_content["error"]["code"] == "denied"
        denied = records.of(result.meta[COMMAND_ID_META])[-1]
        assert (denied.type, denied.object) == ("command.denied", f"container/{container}")


@pytest.mark.promise("P6")
@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_mistake_in_an_entry_is_answered_without_its_own_words(
    serve: Serve, mode: ConnectMode, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = dataclasses.replace(ENTRY, settle_s=lambda command: int(command.password), targets=())
    async with serve(catalogue=Catalogue((wrong,)), more_ports={Doors: RealDoors()}) as application:
        server = McpServer(application.dispatcher, application.callers(application.principal), "memory", None)
        async with Client(server.sdk, mode=mode) as client:
            answered = await client.call_tool(ENTRY.name, {"container_name": "web", "password": PASSWORD})
            assert answered.is_error
            assert "internal_error: unexpected ValueError in the server" in str(answered.content)
            assert PASSWORD not in str(answered)
            assert (await client.list_tools()).tools
    assert "unexpected ValueError" in caplog.text
    assert PASSWORD not in caplog.text


async def test_a_new_tool_is_in_the_audit_trail(doors: Open, container: str) -> None:
    async with doors() as (client, _):
        await client.call_tool(ENTRY.name, {"container_name": container, "password": PASSWORD})
        prompt = await client.get_prompt("audit-logs", {"tool_name": ENTRY.name, "status": "success"})
        assert f"knock 1 times at {container}" in str(prompt.messages)
        assert PASSWORD not in str(prompt.messages)
