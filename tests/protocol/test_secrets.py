"""Secrets pass through to the container and stay nowhere else, however much is logged."""

import json
from collections.abc import Callable
from typing import Final

import docker
import pytest

from tests.protocol.servers import HttpServer, Raw, RawHttp, StdioServer

SECRET: Final = "correct-horse-battery-staple"


def stderr_of(raw: Raw) -> str:
    server = raw.server if isinstance(raw, RawHttp) else raw
    assert isinstance(server, HttpServer | StdioServer)
    return server.stderr()


@pytest.mark.engine
@pytest.mark.promise("P6")
def test_a_secret_reaches_the_container_and_no_record_answer_or_log_line(
    raw: Raw, engine: docker.APIClient, image: str, name: Callable[[str], str]
) -> None:
    environment = {"TOKEN": SECRET}
    asked = {"image": image, "name": name("sealed"), "command": ["sleep", "600"], "environment": environment}
    calls = [
        ("create-container", asked),
        ("create-container", asked),  # the name is taken: the engine's own words come back
        ("create-container", {**asked, "name": name("other"), "networks": [name("none")]}),
        ("create-container", {**asked, "environment": {"TOKEN": [SECRET]}}),
        ("create-container", {**asked, "enviroment": environment}),
        ("inspect-container", {"container_name": name("sealed")}),
        ("list-containers", {"fields": ["command", "labels", "mounts"]}),
        ("create-kontainer", asked),
    ]
    answers = [raw.ask("tools/call", {"name": tool, "arguments": arguments}) for tool, arguments in calls]
    created = answers[0]["result"]
    story = {"name": "get-command", "arguments": {"command_id": created["_meta"]["docker-mcp/command-id"]}}
    answers.append(raw.ask("tools/call", story))
    answers.append(raw.ask("prompts/get", {"name": "audit-logs", "arguments": {"limit": 10}}))
    answers.append(raw.ask("tools/call", {"name": "create-container", "arguments": [asked]}))
    assert f"TOKEN={SECRET}" in engine.inspect_container(name("sealed"))["Config"]["Env"]
    assert "«sealed»" in json.dumps(answers, ensure_ascii=False)
    assert SECRET not in json.dumps(answers)
    assert SECRET.encode() not in raw.records.text()
    assert SECRET not in stderr_of(raw)
    assert "DEBUG" in stderr_of(raw), "the most talkative level is the one that is tried"


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_standard_output_carries_nothing_but_the_protocol(era: str, request: pytest.FixtureRequest) -> None:
    server: StdioServer = request.getfixturevalue(f"stdio_{era}")
    for tool in ("list-containers", "no-such-tool", "system-info", "network-list"):
        server.ask("tools/call", {"name": tool, "arguments": {}})
    server.write(b"rubbish")
    server.ask("tools/list")
    assert len(server.raw_lines) >= 6
    for line in server.raw_lines:
        assert json.loads(line)["jsonrpc"] == "2.0"
        assert line.endswith(b"\n")
