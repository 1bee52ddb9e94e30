"""Rules of single arguments, beyond what the schema says."""

from typing import Any

import pytest

from domain.catalogue import CATALOGUE
from domain.catalogue.tool import Surface
from domain.errors import InvalidArgumentsError
from domain.lifecycle import Status
from tests.domain.catalogue.examples import label


def create(**arguments: Any) -> Any:
    return CATALOGUE.find("create-container", Surface.TOOL).parse({"image": "nginx", **arguments})


@pytest.mark.parametrize(
    "arguments",
    [
        {"environment": {}},
        {"environment": {"A": "", "b": "x=y", "C": 0, "D": False, "E": 2**53 - 1, "with space": "ü"}},
        {"volumes": {"data": {"bind": "/data"}}},
        {"volumes": {"data": {"bind": "/data", "mode": "ro,z"}}},
        {"resources": {}},
        {"resources": {"cpu": 2}},
        {"resources": {"cpu": 0.5, "memory": 536870912}},
        {"resources": {"memory": "1.5g"}},
        {"health_check": {"cmd": "true"}},
        {"health_check": {"cmd": "true # don't", "interval": None}},
        {"labels": {"team": "", "a.b/c": "x"}},
        {"ports": ["8080:80"]},
        {"command": "sh -c 'sleep 1'"},
        {"command": ["sleep", "1"], "entrypoint": [""]},
        {"name": None, "user": None, "networks": []},
        {"user": "0"},
        {"user": "www-data:www-data"},
        {"restart_policy": "unless-stopped"},
        {"working_dir": "/"},
    ],
    ids=label,
)
def test_containers_can_be_asked_for_like_this(arguments: dict[str, Any]) -> None:
    given = create(**arguments).model_dump(exclude_unset=True)

    assert set(given) == {"image", *arguments}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"environment": {"": "x"}}, "environment: a variable's name"),
        ({"environment": {"A=B": "x"}}, "environment: a variable's name"),
        ({"environment": {"A": 1.5}}, "environment.A"),
        ({"environment": {"A": None}}, "environment.A"),
        ({"environment": {"A": ["x"]}}, "environment.A"),
        ({"environment": {"A": 2**53}}, "environment: a number beyond 2^53"),
        ({"environment": {"A": 10**5000}}, "environment: a number beyond 2^53"),
        ({"environment": ["A=B"]}, "environment: Input should be a valid dictionary"),
        ({"volumes": {"data": "data"}}, "volumes: the container side"),
        ({"volumes": {"data": {"bind": "/data:ro"}}}, "volumes: 1 unknown mount option"),
        ({"volumes": {"data": {"bind": "/data", "mode": "rox"}}}, "volumes: 1 unknown mount option"),
        ({"volumes": {"data": {"target": "/data"}}}, "volumes.data.MountPoint.bind: Field required"),
        ({"volumes": ["data:/data"]}, "volumes: Input should be a valid dictionary"),
        ({"resources": {"cpu": 0}}, "resources.cpu: a CPU limit"),
        ({"resources": {"cpu": -1}}, "resources.cpu: a CPU limit"),
        ({"resources": {"cpu": True}}, "resources.cpu"),
        ({"resources": {"cpu": False}}, "resources.cpu: Input should be a valid string"),
        ({"resources": {"cpu": float("nan")}}, "resources.cpu"),
        ({"resources": {"cpu": float("inf")}}, "resources.cpu"),
        ({"resources": {"memory": 0}}, "resources.memory: a size"),
        ({"resources": {"memory": "0.5"}}, "resources.memory: a size"),
        ({"resources": {"memory": 10**5000}}, "resources.memory: Input should be a valid string"),
        ({"resources": {"memory": "9" * 33}}, "resources.memory: String should have at most 32"),
        ({"resources": {"swap": "1g"}}, "resources.swap: no such argument"),
        ({"health_check": {"interval": "30s"}}, "health_check.cmd: Field required"),
        ({"health_check": {"cmd": ""}}, "health_check.cmd: a health check needs a command"),
        ({"health_check": {"cmd": "true", "interval": 30}}, "health_check.interval: Input should be a valid string"),
        ({"health_check": {"cmd": "true", "interval": "30"}}, "health_check.interval: a duration"),
        ({"health_check": {"cmd": "true", "retries": 0}}, "health_check.retries"),
        ({"health_check": {"cmd": "true", "retries": 1001}}, "health_check.retries"),
        ({"labels": {"docker-mcp.command": "x"}}, "labels: labels that start with docker-mcp."),
        ({"labels": {"Docker-MCP.principal": "x"}}, "labels: labels that start with docker-mcp."),
        ({"labels": {"": "x"}}, "labels: a label needs a name"),
        ({"labels": {"a": 1}}, "labels.a: Input should be a valid string"),
        ({"labels": ["a=b"]}, "labels: Input should be a valid dictionary"),
        ({"ports": "8080:80"}, "ports"),
        ({"ports": [8080]}, "ports"),
        ({"ports": {"80": "x"}}, "ports: a port is a number"),
        ({"command": ""}, "command: at least one word"),
        ({"entrypoint": []}, "entrypoint: at least one word"),
        ({"command": "it's"}, "command: quotes are not balanced"),
        ({"command": ["sleep", 1]}, "command"),
        ({"command": "a" * 40_000}, "command: a line has at most 32768 characters"),
        ({"restart_policy": "sometimes"}, "restart_policy: one of no, always"),
        ({"working_dir": "srv"}, "working_dir: String should match"),
        ({"user": "-1"}, "user: String should match"),
        ({"user": "a b"}, "user: String should match"),
        ({"networks": "front"}, "networks: Input should be a valid list"),
        ({"networks": ["front"] * 33}, "networks: List should have at most 32"),
    ],
    ids=label,
)
def test_containers_cannot_be_asked_for_like_this(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidArgumentsError) as refused:
        create(**arguments)
    assert told in refused.value.message


@pytest.mark.parametrize("status", [*Status, *(status.upper() for status in Status)])
def test_the_audit_log_is_filtered_by_any_status(status: str) -> None:
    parsed = CATALOGUE.find("audit-logs", Surface.PROMPT).parse({"status": status})

    assert parsed.model_dump()["status"] == status.lower()


def test_the_audit_log_takes_succeeded_for_success() -> None:
    assert (
        CATALOGUE.find("audit-logs", Surface.PROMPT).parse({"status": "Succeeded"}).model_dump()["status"] == "success"
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"status": "done"}, "status: a status is one of running, success"),
        ({"status": ""}, "status: a status is one of"),
        ({"limit": "0"}, "limit"),
        ({"limit": "501"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"limit": "1.5"}, "limit"),
        ({"username": ""}, "username"),
        ({"username": "x" * 257}, "username"),
        ({"user": "x"}, "user: no such argument"),
        ({"since": "tomorrow"}, "since: a time is written like 10m, 2h or 3d (ago), today, yesterday, or 2026-01-31"),
        ({"until": "3 days"}, "until: a time is written like"),
        ({"effect": "delete"}, "effect: Input should be 'read', 'create', 'mutate' or 'destroy'"),
        ({"object": ""}, "object"),
        ({"cursor": "12"}, "cursor: not made by this server; pass next_cursor of the page before, unchanged"),
        ({"cursor": "p"}, "cursor: not made"),
        ({"cursor": "p1;DROP"}, "cursor: not made"),
        ({"cursor": "p" + "9" * 19}, "cursor: not made"),
        ({"cursor": "p١"}, "cursor: not made"),
    ],
)
def test_what_the_audit_log_cannot_be_asked(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidArgumentsError) as refused:
        CATALOGUE.find("audit-logs", Surface.PROMPT).parse(arguments)
    assert told in refused.value.message


def test_the_tool_takes_the_arguments_of_the_prompt_with_their_types() -> None:
    prompt, tool = (CATALOGUE.find("audit-logs", Surface.PROMPT), CATALOGUE.find("audit-query", Surface.TOOL))
    assert tool.command.model_fields.keys() == prompt.command.model_fields.keys()
    assert tool.parse({"limit": 10}).model_dump() == prompt.parse({"limit": "10"}).model_dump()
    with pytest.raises(InvalidArgumentsError, match="limit: Input should be a valid integer"):
        tool.parse({"limit": "10"})


@pytest.mark.parametrize(
    "command_id",
    ["", "x", "01970000-0000-7000-8000-00000000000", "01970000-0000-7000-8000-00000000000G",
     "01970000-0000-7000-8000-000000000001\n", "01970000000070008000000000000001", "../x",
     "01970000-0000-7000-8000-0000000000011", "01970000-0000-7000-8000-00000000000A"],
)  # fmt: skip
def test_what_is_no_command_id(command_id: str) -> None:
    with pytest.raises(InvalidArgumentsError):
        CATALOGUE.find("get-command", Surface.TOOL).parse({"command_id": command_id})
