"""Commands that wait until somebody else approves them: nothing happens before, and exactly the recorded once after."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import docker
import orjson
import pytest

from adapters.private_file import write_private
from adapters.store.location import Location
from domain.chain import verify
from domain.events import RecordedEvent
from domain.principal import Principal
from server.bootstrap import Application
from server.call import Answer, Caller
from tests.conftest import Serve
from tests.engine_proxy import EngineProxy
from tests.real.stack_files import SLEEPER
from tests.waiting import WAIT_S, until

pytestmark = [pytest.mark.anyio, pytest.mark.engine, pytest.mark.promise("P7")]

USERS = {
    name: {"role": role, "key_sha256": f"{number:064x}"}
    for number, (name, role) in enumerate(
        {"alice": "admin", "bob": "admin", "carol": "operator", "dave": "user"}.items()
    )
}
CARRIED_OUT = ["command.authorized", "execution.started", "command.succeeded"]

Rules = Callable[..., Path]


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    """Writes the auth file; by default every destruction waits for an admin."""

    def write(*approvals: dict[str, Any], **sections: Any) -> Path:
        file = tmp_path / "rules" / "auth.json"
        content = {
            "users": USERS,
            "roles": {"operator": {"allow": [{}]}},
            "approvals": list(approvals) or [{"effects": ["destroy"]}],
            **sections,
        }
        write_private(file, orjson.dumps(content))
        return file

    return write


class Desk:
    """Calls as one of several users, and looks at what the log holds of it."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def call(self, who: str, tool: str, /, **arguments: Any) -> Answer:
        user = self.application.auth.current().users[who]
        caller = Caller(principal=Principal(who, user.role), transport="test", purpose="testing")
        return await self.application.dispatcher.dispatch(tool, arguments, caller)

    async def deferred(self, who: str, tool: str, /, **arguments: Any) -> str:
        """Make a call that has to wait; return its command id."""
        answer = await self.call(who, tool, **arguments)
        assert answer.error is None, answer.error
        assert answer.content()["status"] == "deferred"
        assert answer.content()["command_id"] == answer.command_id
        assert self.types(answer.command_id)[-1] == "command.deferred"
        return answer.command_id

    async def refused(self, who: str, tool: str, command_id: str) -> str:
        """Make a decision that is not taken; return the code."""
        answer = await self.call(who, tool, command_id=command_id)
        assert answer.error is not None
        return answer.error.code

    async def approve(self, who: str, command_id: str) -> list[str]:
        """Approve, wait for the outcome, and return the types of the events since the deferral."""
        answer = await self.call(who, "approvals-approve", command_id=command_id, comment="as agreed")
        assert answer.error is None, answer.error.describe()
        story = await self.call(who, "get-command", command_id=command_id, wait=WAIT_S)
        assert story.error is None, story.error
        types = self.types(command_id)
        return types[types.index("command.deferred") + 1 :]

    def events(self, command_id: str) -> list[RecordedEvent]:
        return self.application.store.read_stream(command_id)

    def types(self, command_id: str) -> list[str]:
        return [event.type for event in self.events(command_id)]


@pytest.fixture
async def desk(serve: Serve, proxy: EngineProxy, rules: Rules) -> AsyncIterator[Desk]:
    async with serve(DOCKER_HOST=proxy.url, DOCKER_MCP_AUTH_FILE=rules()) as application:
        yield Desk(application)
        assert list(verify(application.store.read())) == []


def exists(engine: docker.APIClient, name: str) -> bool:
    return any(f"/{name}" in found["Names"] for found in engine.containers(all=True))


async def test_a_command_waits_and_the_engine_is_not_asked_to_change_anything(
    desk: Desk, proxy: EngineProxy, container: str, engine: docker.APIClient
) -> None:
    answer = await desk.call("carol", "remove-container", container_name=container, force=True)

    received, deferred = desk.events(answer.command_id)
    assert (deferred.type, deferred.status, deferred.principal) == ("command.deferred", "deferred", "carol")
    data = deferred.payload()
    assert (data["rule"], data["approvers"]) == ("approval-1", ["admin"])
    assert [(pin["kind"], pin["name"]) for pin in data["pinned"]] == [("container", container)]
    assert data["policy_digest"] == desk.application.policy().digest
    assert 3_500_000 < data["expires_at_ms"] - received.occurred_at_ms <= 3_600_500
    assert answer.content()["approvers"] == ["admin"]
    assert proxy.changes() == []
    assert exists(engine, container)


@pytest.mark.promise("P5")
async def test_an_approved_command_is_carried_out_once(
    desk: Desk, container: str, engine: docker.APIClient, proxy: EngineProxy
) -> None:
    command_id = await desk.deferred("carol", "remove-container", container_name=container, force=True)

    assert await desk.approve("alice", command_id) == ["command.approved", *CARRIED_OUT]

    approved = next(event for event in desk.events(command_id) if event.type == "command.approved").payload()
    assert (approved["by"], approved["by_role"], approved["comment"]) == ("alice", "admin", "as agreed")
    assert desk.types(approved["decision"])[-1] == "command.succeeded"
    assert desk.events(approved["decision"])[-1].object == f"command/{command_id}"
    assert not exists(engine, container)
    assert len(proxy.changes()) == 1
    assert await desk.refused("bob", "approvals-approve", command_id) == "not_waiting"
    assert len(proxy.changes()) == 1


@pytest.mark.parametrize("tool", ["approvals-approve", "approvals-refuse"])
@pytest.mark.parametrize(("asks", "decides"), [("alice", "alice"), ("alice", "carol"), ("carol", "dave")])
async def test_neither_who_asks_nor_who_may_not_can_decide(
    desk: Desk, container: str, engine: docker.APIClient, tool: str, asks: str, decides: str
) -> None:
    command_id = await desk.deferred(asks, "remove-container", container_name=container, force=True)

    answer = await desk.call(decides, tool, command_id=command_id)

    assert answer.error is not None
    assert answer.error.code == "denied"
    assert desk.types(answer.command_id) == ["command.received", "command.denied"]
    assert desk.types(command_id)[-1] == "command.deferred"
    assert exists(engine, container)


async def test_a_refused_command_is_never_carried_out(desk: Desk, container: str, engine: docker.APIClient) -> None:
    command_id = await desk.deferred("carol", "remove-container", container_name=container, force=True)

    answer = await desk.call("alice", "approvals-refuse", command_id=command_id, comment="still needed")

    assert answer.content() == {"command_id": command_id, "status": "refused"}
    refused = desk.events(command_id)[-1]
    assert (refused.type, refused.status) == ("command.refused", "refused")
    assert refused.payload()["reason"] == "refused by alice: still needed"
    assert await desk.refused("bob", "approvals-approve", command_id) == "not_waiting"
    assert exists(engine, container)


async def test_who_asked_learns_the_outcome_and_others_do_not(desk: Desk, container: str) -> None:
    command_id = await desk.deferred("carol", "remove-container", container_name=container, force=True)
    told: asyncio.Queue[tuple[int, int | None, str]] = asyncio.Queue()
    carol = Caller(
        principal=Principal("carol", "operator"), transport="test", progress=lambda *step: told.put_nowait(step)
    )
    waiting = asyncio.create_task(
        desk.application.dispatcher.dispatch("get-command", {"command_id": command_id, "wait": WAIT_S}, carol)
    )
    step = await told.get()
    await desk.call("alice", "approvals-approve", command_id=command_id)
    story = (await waiting).content()
    assert story["status"] == "success"
    assert step[1:] == (WAIT_S, "remove-container: deferred")
    assert await desk.refused("dave", "get-command", command_id) == "command_not_found"


async def test_the_list_shows_what_one_may_decide_or_has_asked_for(desk: Desk, container: str) -> None:
    carols = await desk.deferred("carol", "remove-container", container_name=container)
    alices = await desk.deferred("alice", "remove-container", container_name=container)

    async def seen(who: str) -> list[tuple[str, bool]]:
        listed = (await desk.call(who, "approvals-list")).content()
        assert listed["total"] == len(listed["waiting"])
        return [(row["command_id"], row["yours"]) for row in listed["waiting"]]

    assert await seen("alice") == [(carols, False), (alices, True)]
    assert await seen("carol") == [(carols, True)]
    assert await seen("dave") == []
    row = (await desk.call("bob", "approvals-list", limit=1)).content()
    assert row["total"] == 2
    assert row["waiting"][0]["summary"] == f"remove container {container}"
    assert row["waiting"][0]["purpose"] == "testing"


async def test_a_command_that_nobody_approves_in_time_expires(
    desk: Desk, container: str, engine: docker.APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    command_id = await desk.deferred("carol", "remove-container", container_name=container, force=True)
    other = await desk.deferred("carol", "remove-container", container_name=container, force=True)
    desk.application.approvals._clock = lambda: desk.events(other)[-1].payload()["expires_at_ms"]

    assert await desk.refused("alice", "approvals-approve", command_id) == "not_waiting"
    desk.application.approvals.expire()

    for each in (command_id, other):
        expired = desk.events(each)[-1]
        assert (expired.type, expired.status) == ("command.expired", "expired")
        assert expired.payload()["reason"].startswith("nobody approved it until ")
    assert (await desk.call("alice", "approvals-list")).content()["waiting"] == []
    assert exists(engine, container)


async def test_an_object_of_the_same_name_is_not_what_was_approved(
    desk: Desk, container: str, image: str, engine: docker.APIClient
) -> None:
    command_id = await desk.deferred("carol", "remove-container", container_name=container, force=True)
    engine.remove_container(container, force=True)
    engine.create_container(image, ["sleep", "600"], name=container)

    assert await desk.approve("alice", command_id) == ["command.approved", "command.denied"]

    assert "replaced" in desk.events(command_id)[-1].payload()["reason"]
    assert exists(engine, container)


async def test_the_rules_of_the_moment_decide_about_an_approved_command(
    desk: Desk, container: str, engine: docker.APIClient, rules: Rules
) -> None:
    command_id = await desk.deferred("carol", "remove-container", container_name=container, force=True)
    rules(roles={"operator": {"allow": [{"effects": ["read"]}]}})

    assert await desk.approve("alice", command_id) == ["command.approved", "command.denied"]

    denied = desk.events(command_id)[-1].payload()
    assert denied["policy_digest"] == desk.application.policy().digest
    assert exists(engine, container)


async def test_who_may_not_approve_any_more_has_approved_nothing(
    desk: Desk, container: str, engine: docker.APIClient, rules: Rules
) -> None:
    command_id = await desk.deferred("carol", "remove-container", container_name=container, force=True)
    rules({"effects": ["destroy"], "approvers": ["user"]})

    assert await desk.approve("alice", command_id) == ["command.approved", "command.denied"]

    assert desk.events(command_id)[-1].payload()["reason"] == "role admin may not approve it any more"
    assert exists(engine, container)


async def test_an_approved_command_of_a_user_who_is_gone_is_given_up(
    desk: Desk, container: str, engine: docker.APIClient, rules: Rules
) -> None:
    command_id = await desk.deferred("carol", "remove-container", container_name=container, force=True)
    rules(users={name: user for name, user in USERS.items() if name != "carol"})

    assert await desk.approve("alice", command_id) == ["command.approved", "command.cancelled"]

    assert "may not call any more" in desk.events(command_id)[-1].payload()["reason"]
    assert exists(engine, container)


@pytest.mark.promise("P5", "P6")
async def test_a_container_is_made_with_the_very_values_that_were_asked_for(
    desk: Desk, rules: Rules, image: str, name: Callable[..., str], engine: docker.APIClient
) -> None:
    rules({"tools": ["create-container"]})
    asked = {
        "image": image,
        "name": name("made"),
        "environment": {"TOKEN": "pl4nted-secret", "DEBUG": True, "WORKERS": 4},
        "labels": {"a": "1", "b": "2"},
        "volumes": {name("data"): "/data"},
        "command": ["sleep", "600"],
        "resources": {"memory": "64m"},
    }
    command_id = await desk.deferred("alice", "create-container", **asked)
    assert not exists(engine, name("made"))

    assert await desk.approve("bob", command_id) == ["command.approved", *CARRIED_OUT]

    made = engine.inspect_container(name("made"))
    assert {"TOKEN=pl4nted-secret", "DEBUG=true", "WORKERS=4"} <= set(made["Config"]["Env"])
    assert {"a": "1", "b": "2", "docker-mcp.command": command_id, "docker-mcp.principal": "alice"}.items() <= made[
        "Config"
    ]["Labels"].items()
    assert [mount["Name"] for mount in made["Mounts"]] == [name("data")]
    assert made["HostConfig"]["Memory"] == 64 * 1024 * 1024
    assert "pl4nted-secret" not in "".join(event.data for event in desk.application.store.read())


@pytest.mark.promise("P6")
async def test_a_stack_is_deployed_as_it_was_planned(
    desk: Desk, rules: Rules, image: str, name: Callable[..., str], engine: docker.APIClient
) -> None:
    rules({"objects": ["stack/*"]})
    web = {"image": image, "command": SLEEPER, "environment": {"TOKEN": "pl4nted-secret"}}
    yaml = orjson.dumps({"services": {"web": web}}).decode()
    command_id = await desk.deferred("alice", "deploy-compose", project_name=name("s"), compose_yaml=yaml)
    assert desk.types(command_id) == ["command.received", "command.planned", "command.deferred"]
    assert not exists(engine, f"{name('s')}-web-1")

    assert await desk.approve("bob", command_id) == ["command.approved", *CARRIED_OUT]

    assert "TOKEN=pl4nted-secret" in engine.inspect_container(f"{name('s')}-web-1")["Config"]["Env"]
    assert "pl4nted-secret" not in "".join(event.data for event in desk.application.store.read())
    again = await desk.call("alice", "compose-ps", project_name=name("s"))
    assert again.content()["deployed_by"] == command_id
    await desk.approve("bob", await desk.deferred("alice", "compose-down", project_name=name("s")))


async def test_a_command_whose_values_were_forgotten_is_given_up(
    desk: Desk, rules: Rules, image: str, name: Callable[..., str], engine: docker.APIClient, sqlite_location: Location
) -> None:
    import sqlite3

    rules({"tools": ["create-container"]})
    command_id = await desk.deferred("alice", "create-container", image=image, name=name(), environment={"A": "b"})
    with sqlite3.connect(sqlite_location.path or "") as connection:
        connection.execute("DELETE FROM data_key")

    assert await desk.approve("bob", command_id) == ["command.approved", "command.cancelled"]

    assert "forgotten" in desk.events(command_id)[-1].payload()["reason"]
    assert not exists(engine, name())


@pytest.mark.promise("P9")
async def test_only_so_many_commands_wait(serve: Serve, rules: Rules, container: str, image: str) -> None:
    file = rules({})
    async with serve(DOCKER_MCP_AUTH_FILE=file, DOCKER_MCP_WAITING_LIMIT=1) as application:
        desk = Desk(application)
        await desk.deferred("carol", "remove-container", container_name=container)
        for tool, arguments in (
            ("remove-container", {"container_name": container}),
            ("create-container", {"image": image}),
        ):
            answer = await desk.call("carol", tool, **arguments)
            assert answer.error is not None
            assert answer.error.describe() == "denied: 1 commands wait for approval already"
            assert desk.types(answer.command_id)[-1] == "command.denied"


async def test_who_waits_does_not_keep_the_server_from_stopping(serve: Serve, rules: Rules, container: str) -> None:
    async with serve(DOCKER_MCP_AUTH_FILE=rules()) as application:
        desk = Desk(application)
        command_id = await desk.deferred("carol", "remove-container", container_name=container)
        waiting = asyncio.create_task(desk.call("carol", "get-command", command_id=command_id, wait=600))
        await until(lambda: [event for event in application.store.read() if event.tool == "get-command"])
        await asyncio.sleep(0.2)
        assert await application.dispatcher.close(WAIT_S) == 0
        assert (await waiting).content()["status"] == "deferred"


async def test_only_changes_wait_and_decisions_do_not(desk: Desk, rules: Rules, container: str) -> None:
    rules({})

    assert (await desk.call("alice", "inspect-container", container_name=container)).error is None
    command_id = await desk.deferred("alice", "stop-container", container_name=container, timeout=0)
    assert await desk.approve("bob", command_id) == ["command.approved", *CARRIED_OUT]


async def test_rules_say_whose_calls_on_what_wait(
    desk: Desk, rules: Rules, container: str, image: str, name: Callable[..., str], engine: docker.APIClient
) -> None:
    engine.start(engine.create_container(image, ["sleep", "600"], name=name("free"))["Id"])
    rules({"objects": [f"container/{container}"], "roles": ["op*"], "approvers": ["operator"], "expires_s": 60})

    assert (await desk.call("carol", "restart-container", container_name=name("free"), timeout=0)).error is None
    assert (
        "status" not in (await desk.call("alice", "restart-container", container_name=container, timeout=0)).content()
    )
    waiting = await desk.deferred("carol", "restart-container", container_name=container, timeout=0)
    assert desk.events(waiting)[-1].payload()["approvers"] == ["operator"]
    assert await desk.refused("alice", "approvals-approve", waiting) == "denied"


async def test_what_is_not_there_or_not_allowed_does_not_wait(desk: Desk, rules: Rules, image: str) -> None:
    rules({})

    missing = await desk.call("alice", "remove-container", container_name="no-such-container")
    assert missing.error is not None
    assert missing.error.code == "container_not_found"
    assert desk.types(missing.command_id)[-1] == "command.failed"
    reader = await desk.call("dave", "remove-container", container_name="no-such-container")
    assert reader.error is not None
    assert reader.error.code == "denied"
    host = await desk.call("alice", "create-container", image=image, volumes={"/etc": "/x"})
    assert host.error is not None
    assert host.error.code == "denied"


@pytest.mark.promise("P5")
async def test_two_who_approve_at_once_have_it_carried_out_once(
    serve: Serve,
    rules: Rules,
    proxy: EngineProxy,
    container: str,
    location: Location,
    engine: docker.APIClient,
    image: str,
) -> None:
    settings = {"DOCKER_HOST": proxy.url, "DOCKER_MCP_AUTH_FILE": rules(), "MCP_AUTH_SECRET": "0" * 32}
    async with serve(location, **settings) as first, serve(location, **settings) as second:
        desks = [Desk(first), Desk(second)]
        for _ in range(3):
            changes = len(proxy.changes())
            command_id = await desks[0].deferred("carol", "remove-container", container_name=container, force=True)
            answers = await asyncio.gather(
                *(
                    desk.call(who, "approvals-approve", command_id=command_id)
                    for desk in desks
                    for who in ("alice", "bob")
                )
            )
            codes = [answer.error.code for answer in answers if answer.error]
            assert codes == ["not_waiting"] * 3
            await desks[1].call("alice", "get-command", command_id=command_id, wait=WAIT_S)
            assert desks[1].types(command_id)[-4:] == ["command.approved", *CARRIED_OUT]
            assert len(proxy.changes()) == changes + 1
            engine.create_container(image, ["true"], name=container)


@pytest.mark.promise("P5")
async def test_what_was_approved_and_not_begun_when_the_server_died_is_carried_out_by_the_next(
    serve: Serve, rules: Rules, container: str, engine: docker.APIClient
) -> None:
    file = rules()
    async with serve(DOCKER_MCP_AUTH_FILE=file) as application:
        desk = Desk(application)
        waiting = await desk.deferred("carol", "remove-container", container_name=container, force=True)
        still = await desk.deferred("carol", "remove-container", container_name=container, force=True)
        application.approvals._go_on = lambda _command_id: None  # as if it had died here
        await desk.call("alice", "approvals-approve", command_id=waiting)
        assert desk.types(waiting)[-1] == "command.approved"
    async with serve(DOCKER_MCP_AUTH_FILE=file) as application:
        desk = Desk(application)
        story = await desk.call("carol", "get-command", command_id=waiting, wait=WAIT_S)
        assert story.content()["status"] == "success"
        assert desk.types(waiting)[-4:] == ["command.approved", *CARRIED_OUT]
        assert desk.types(still)[-1] == "command.deferred", "what waits for a person waits on"
        assert not exists(engine, container)
