"""``docker-mcp reconcile``: what is open is settled by a look; what no look can tell, by a person who says so."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import docker
import pytest

from adapters.docker.describe import container_state
from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from domain.catalogue.fields import COMMAND_LABEL
from domain.chain import verify
from domain.command_stream import CommandStream
from domain.events import CommandDeferred, CommandReceived, CommandRefused, Event, ExecutionStarted
from domain.objects import Kind, ObjectState
from server.bootstrap import new_id, now_ms
from tests.cli.command import complaint, docker_mcp, log_at
from tests.contract.events import AUTHORIZED, RECEIVED, SUCCEEDED, UNKNOWN, life, stream

pytestmark = pytest.mark.promise("P5")

WAIT_S = 30


@pytest.fixture
def log(location: Location) -> Iterator[SqlEventStore]:
    """The log as a server left it that is dead now."""
    with closing(SqlEventStore(location, now_ms, new_id())) as store:
        store.check()
        yield store


def left_open(log: SqlEventStore, tool: str, *events: Event, **arguments: Any) -> str:
    """Record a command with these last events; return its id."""
    received = CommandReceived(
        summary=f"{tool} of a test", arguments=arguments, transport="test", executor="no-such-process"
    )
    command: CommandStream = stream(tool=tool)
    log.append(life(received, AUTHORIZED, *events, of=command)).result(WAIT_S)
    log.executors.release()
    return command.context.command_id


def started(*pinned: Any, executor: str = "no-such-process") -> ExecutionStarted:
    return ExecutionStarted(executor=executor, pinned=pinned, not_after_ms=1, settle_s=0)


def findings(location: Location, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    done = docker_mcp("reconcile", *arguments, "--json", env=log_at(location))
    assert done.returncode == code, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.engine
def test_what_is_unknown_and_what_the_dead_left_open_is_settled_by_a_look(
    log: SqlEventStore, location: Location, engine: docker.APIClient, container: str
) -> None:
    before = container_state(engine.inspect_container(container))
    engine.stop(container, timeout=0)
    stop = left_open(log, "stop-container", started(before), UNKNOWN, container_name=container)
    restart = left_open(log, "restart-container", started(before), UNKNOWN, container_name=container)
    never = left_open(log, "stop-container", container_name=container)
    read = left_open(log, "list-containers", started())
    done = left_open(log, "stop-container", started(before), SUCCEEDED)

    found = {each["command_id"]: each for each in findings(location, code=1)}

    assert {name: (each["was"], each["status"]) for name, each in found.items()} == {
        stop: ("unknown", "success"),
        restart: ("unknown", "unknown"),
        never: ("authorized", "cancelled"),
        read: ("running", "failed"),
    }
    assert done not in found
    assert found[stop]["found"] == "the container has ended since"
    assert found[stop]["observed"][0]["facts"]["running"] is False
    assert found[restart]["found"] == "the container has ended and was not started again"
    endings = {name: log.read_stream(name)[-1] for name in (stop, never, read)}
    assert {endings[name].status for name in (stop, never, read)} == {"success", "cancelled", "failed"}
    assert endings[stop].payload()["reconciled"] is True
    assert "settled_by" not in endings[stop].payload()
    assert [each.command_id for each in log.open_commands()] == [restart]
    assert list(verify(log.read())) == []
    assert [each["command_id"] for each in findings(location, code=1)] == [restart], "the others are settled"


@pytest.mark.engine
def test_two_networks_with_the_label_of_one_command_are_for_a_person_to_sort_out(
    log: SqlEventStore, location: Location, engine: docker.APIClient, name: Callable[[str], str]
) -> None:
    command = left_open(log, "network-create", started(), name=name("net"))
    made = [engine.create_network(name("net"), labels={COMMAND_LABEL: command})["Id"]]
    second = name("net") if int(engine.version()["Version"].split(".")[0]) < 25 else name("net2")
    made.append(engine.create_network(second, labels={COMMAND_LABEL: command})["Id"])
    (found,) = findings(location, code=1)
    assert (found["status"], found["found"]) == (
        "unknown",
        "2 networks carry the command's label: remove all but one",
    )
    assert {each["id"] for each in found["observed"]} == set(made)
    engine.remove_network(made[1])
    (found,) = findings(location, command)
    assert found["status"] == "success"
    assert log.read_stream(command)[-1].payload()["touched"][0]["id"] == made[0]


def test_a_decision_of_a_dead_server_is_recognised_in_the_log(log: SqlEventStore, location: Location) -> None:
    asked = CommandDeferred(
        summary="s", rule="approval-1", policy_digest="d", approvers=("admin",), expires_at_ms=2**45
    )
    decided, asks = stream(tool="approvals-refuse"), stream()
    by = decided.context.command_id
    refused = CommandRefused(summary="s", by="bob", by_role="admin", decision=by, reason="refused by bob")
    log.append(life(RECEIVED, asked, refused, of=asks)).result(WAIT_S)
    pinned = started(ObjectState(kind=Kind.COMMAND, id=asks.context.command_id, name=asks.context.command_id))
    log.append(life(RECEIVED, AUTHORIZED, pinned, of=decided)).result(WAIT_S)
    other = left_open(log, "approvals-approve", pinned)
    found = {each["command_id"]: each for each in findings(location)}
    assert {name: (each["status"], each["found"]) for name, each in found.items()} == {
        by: ("success", "the decision is recorded"),
        other: ("failed", "the decision is not recorded"),
    }


@pytest.mark.parametrize(("status", "recorded"), [("succeeded", "success"), ("failed", "failed")])
def test_a_person_settles_what_no_look_can_tell(
    log: SqlEventStore, location: Location, status: str, recorded: str
) -> None:
    command = left_open(log, "restart-container", started(), UNKNOWN, container_name="web")
    arguments = ("reconcile", command, "--as", status, "--comment", "seen by Zoë", "--json")
    done = docker_mcp(*arguments, env=log_at(location))
    assert (done.returncode, done.stderr) == (0, "")
    (finding,) = json.loads(done.stdout)
    assert (finding["command_id"], finding["was"], finding["status"]) == (command, "unknown", recorded)
    assert finding["found"].startswith("settled by local:")
    ending = log.read_stream(command)[-1]
    told = ending.payload()
    assert (ending.status, ending.principal, told["reconciled"], told["comment"]) == (
        recorded,
        "alice",
        True,
        "seen by Zoë",
    )
    assert told["settled_by"].startswith("local:")
    assert log.open_commands() == []
    again = docker_mcp("reconcile", command, "--as", status, "--comment", "again", env=log_at(location))
    assert again.returncode == 1
    assert complaint(again).startswith(f"docker-mcp: not_unknown: command {command} is not unknown but {recorded}")
    assert list(verify(log.read())) == []


def test_only_an_unknown_command_is_settled_by_a_person(sqlite_location: Location) -> None:
    with closing(SqlEventStore(sqlite_location, now_ms, new_id())) as log:
        log.check()
        running = left_open(log, "restart-container", started())
        told = ("--as", "succeeded", "--comment", "I think so")
        for command, code in ((running, "not_unknown"), (new_id(), "command_not_found")):
            done = docker_mcp("reconcile", command, *told, env=log_at(sqlite_location))
            assert done.returncode == 1
            assert complaint(done).startswith(f"docker-mcp: {code}: ")
        assert log.read_stream(running)[-1].type == "execution.started"


@pytest.mark.parametrize(
    "arguments",
    [
        ("ID", "--as", "succeeded"),
        ("ID", "--as", "perhaps", "--comment", "x"),
        ("ID", "--comment", "x"),
        ("--as", "failed", "--comment", "x"),
    ],
)
def test_half_an_answer_settles_nothing(sqlite_location: Location, arguments: tuple[str, ...]) -> None:
    done = docker_mcp("reconcile", *arguments, env=log_at(sqlite_location))
    assert done.returncode == 2
    assert "--as" in complaint(done) or "--comment" in complaint(done)


@pytest.mark.promise("P7")
def test_who_may_only_read_settles_nothing(sqlite_location: Location) -> None:
    with closing(SqlEventStore(sqlite_location, now_ms, new_id())) as log:
        log.check()
        command = left_open(log, "restart-container", started(), UNKNOWN)
        for arguments in ((), (command,), (command, "--as", "failed", "--comment", "x")):
            reader = {**log_at(sqlite_location), "DOCKER_MCP_STDIO_ROLE": "user"}
            done = docker_mcp("reconcile", *arguments, env=reader)
            assert complaint(done).startswith("docker-mcp: denied: role user may only read")
        assert log.read_stream(command)[-1].status == "unknown"


def test_a_command_of_a_living_server_is_left_to_it(sqlite_location: Location) -> None:
    living = new_id()
    with closing(SqlEventStore(sqlite_location, now_ms, living)) as log:
        log.check()
        command = stream()
        log.append(life(RECEIVED, AUTHORIZED, started(executor=living), of=command)).result(WAIT_S)
        done = docker_mcp("reconcile", command.context.command_id, env=log_at(sqlite_location))
        assert complaint(done).startswith("docker-mcp: still_running: ")
        assert findings(sqlite_location) == []


def test_an_engine_that_does_not_answer_is_told_and_nothing_is_settled(sqlite_location: Location) -> None:
    with closing(SqlEventStore(sqlite_location, now_ms, new_id())) as log:
        log.check()
        command = left_open(log, "network-create", started(), UNKNOWN, name="net")
        away = {**log_at(sqlite_location), "DOCKER_HOST": "unix:///no/such/engine.sock"}
        done = docker_mcp("reconcile", env=away)
        assert complaint(done).startswith("docker-mcp: engine_unreachable: ")
        assert log.read_stream(command)[-1].status == "unknown"
