"""``docker-mcp approvals``, as a person decides about what an agent asked for."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import docker
import pytest

from adapters.store.location import Location
from domain.access.tokens import fingerprint
from domain.principal import Principal
from server.bootstrap import Application
from server.call import Caller
from tests.cli.command import Outcome, complaint, docker_mcp
from tests.conftest import settings_for, url_of, write_rules

pytestmark = [pytest.mark.engine, pytest.mark.promise("P7")]

KEY = "dmk_of-bob"


@pytest.fixture(autouse=True)
def _rules(tmp_path: Any) -> None:
    users = {
        "alice": {"role": "admin", "key_sha256": "1" * 64},
        "bob": {"role": "admin", "key_sha256": fingerprint(KEY)},
    }
    write_rules(tmp_path / "config", users=users, approvals=[{"effects": ["destroy"]}])


@pytest.fixture
def waiting(sqlite_location: Location, container: str) -> Callable[[], str]:
    """Has a container's removal wait for approval; returns the command's id."""

    async def ask() -> str:
        application = Application(settings_for(sqlite_location), "test")
        application.open()
        caller = Caller(principal=Principal("alice", "admin"), transport="test")
        arguments = {"container_name": container, "force": True}
        answer = await application.dispatcher.dispatch("remove-container", arguments, caller)
        await application.stop("done")
        assert answer.content()["status"] == "deferred"
        return answer.command_id

    return lambda: asyncio.run(ask())


@pytest.fixture
def approvals(sqlite_location: Location) -> Callable[..., Outcome]:
    from tests.conftest import SEALING_KEY

    log = {"DOCKER_MCP_DATABASE_URL": url_of(sqlite_location), "DOCKER_MCP_SEALING_KEY": SEALING_KEY}

    def run(*arguments: str, key: str | None = None) -> Outcome:
        return docker_mcp("approvals", *arguments, env={**log, "DOCKER_MCP_TOKEN": key})

    return run


def test_a_person_sees_what_waits_approves_it_and_sees_the_outcome(
    approvals: Callable[..., Outcome], waiting: Callable[[], str], container: str, engine: docker.APIClient
) -> None:
    assert approvals("list").stdout == "no commands wait for approval\n"
    command_id = waiting()

    listed = approvals("list")
    assert listed.stdout.split("\n")[0].split()[:4] == ["SINCE", "PRINCIPAL", "TOOL", "OBJECT"]
    assert f"remove container {container}" in listed.stdout
    assert command_id in listed.stdout
    done = approvals("approve", command_id, "--comment", "as agreed", "--json")

    told = json.loads(done.stdout)
    assert (done.returncode, told["status"], told["outcome"]["name"]) == (0, "approved and carried out", container)
    assert engine.containers(all=True, filters={"name": container}) == []
    assert json.loads(approvals("list", "--json").stdout) == {"total": 0, "waiting": []}


def test_a_person_refuses(
    approvals: Callable[..., Outcome], waiting: Callable[[], str], container: str, engine: docker.APIClient
) -> None:
    command_id = waiting()

    assert approvals("refuse", command_id, key=KEY).stdout == f"{command_id}: refused\n"

    late = approvals("approve", command_id)
    assert late.returncode == 1
    assert complaint(late).startswith("docker-mcp: not_waiting: the command does not wait for approval: refused")
    assert engine.containers(filters={"name": container})


def test_who_may_not_decide_is_told_why(approvals: Callable[..., Outcome], waiting: Callable[[], str]) -> None:
    command_id = waiting()

    wrong = approvals("approve", command_id, key="dmk_wrong")
    assert complaint(wrong).startswith("docker-mcp: unauthenticated: ")
    unknown = approvals("approve", "01970000-0000-7000-8000-000000000001")
    assert complaint(unknown).startswith("docker-mcp: command_not_found: ")
    bogus = complaint(approvals("approve", "bogus"))
    assert bogus.startswith("docker-mcp: invalid_arguments: that is no command id - `docker-mcp audit` shows the ids")


def test_an_approved_command_that_fails_says_so(
    approvals: Callable[..., Outcome], waiting: Callable[[], str], container: str, engine: docker.APIClient
) -> None:
    command_id = waiting()
    engine.remove_container(container, force=True)

    done = approvals("approve", command_id)

    assert done.returncode == 1
    assert complaint(done).startswith("docker-mcp: denied: what it was approved for is gone or was replaced since")
