"""A sweep: unique values in every secret place, through every tool, error paths, a crash and reports; none is found."""

import base64
import json
import logging
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import docker
import psycopg
import pytest

from adapters.store.location import Location
from domain.catalogue import CATALOGUE
from domain.catalogue.tool import AnyTool, Surface
from server.mcp_server import COMMAND_ID_META
from tests.cli.command import docker_mcp
from tests.conftest import SEALING_KEY, PostgresServer, Serve, caller
from tests.otlp import Receiver
from tests.protocol.planted import (
    MARK,
    Sighting,
    found_in,
    planted,
    planted_fields,
    secrets_of,
    watched_processes,
    with_secrets,
)
from tests.protocol.servers import KEY, HttpServer, Message, Raw, RawHttp, StdioServer, running, write_users
from tests.waiting import wait_for

pytestmark = [pytest.mark.engine, pytest.mark.promise("P6"), pytest.mark.timeout(240)]

PLACES: Final = ("environment", "yaml", "config", "option", "broken", "unknown", "image", "wrong-key", "meta")
PLANTED: Final = {place: planted(place) for place in PLACES}
SIGNING: Final = base64.b64encode(b"signing-secret-of-the-sweep-0123").decode()


def stack(image: str) -> str:
    """A stack with a secret in every place that may hold one."""
    return json.dumps(
        {
            "services": {
                "web": {
                    "image": image,
                    "command": ["sleep", "600"],
                    "stop_grace_period": "0s",
                    "environment": {"TOKEN": PLANTED["yaml"]},
                    "logging": {"driver": "json-file", "options": {"tag": PLANTED["option"]}},
                    "configs": ["site"],
                }
            },
            "configs": {"site": {"content": PLANTED["config"]}},
        }
    )


def special_calls(image: str, name: Callable[[str], str]) -> list[tuple[str, Message]]:
    """Calls that succeed, and calls that fail in ways that tempt to quote a value."""
    made = {"image": image, "name": name("c"), "environment": {"T": PLANTED["environment"]}, "command": ["sleep", "60"]}
    on_stack = {"project_name": name("s")}
    return [
        ("create-container", made),
        ("create-container", made),  # the name is taken
        ("create-container", {"image": f"nosuch.invalid/{name('x')}", "environment": {"T": PLANTED["image"]}}),
        ("create-container", {"image": image, "passwort": PLANTED["unknown"]}),
        ("create-container", {"image": image, "environment": {"A": [PLANTED["broken"]]}}),
        ("inspect-container", {"container_name": name("c")}),
        ("deploy-compose", {**on_stack, "compose_yaml": stack(image)}),
        ("deploy-compose", {**on_stack, "compose_yaml": f"services: [{PLANTED['broken']}"}),
        (
            "deploy-compose",
            {**on_stack, "compose_yaml": f"services: {{a: {{image: x, ports: ['{PLANTED['broken']}:x']}}}}"},
        ),
        ("deploy-compose", {**on_stack, "compose_yaml": stack(image).replace("600", "601") + "#"}),
        ("compose-ps", on_stack),
        ("compose-logs", on_stack),
        ("list-containers", {"fields": ["labels", "command"]}),
        ("compose-down", {**on_stack, "timeout": 0}),
        ("no-such-tool", {"x": PLANTED["unknown"]}),
    ]


def aimed(tool: AnyTool, image: str, name: Callable[[str], str]) -> dict[str, Any]:
    """A call of ``tool`` with secrets in all places, aimed at objects of this test or at none."""
    own = {
        "image": image if tool.name == "create-container" else f"nosuch.invalid/{name('x')}",
        "container_name": name("e"),
        "container": name("e"),
        "network": name("n"),
        "project_name": name("p"),
        "name": name("e" if tool.name == "create-container" else "n"),
    }
    left_out = {"compose_file", "ports", "volumes", "networks", "user", "working_dir"}
    given = {key: value for key, value in with_secrets(tool).items() if key not in left_out}
    return {key: own.get(key, value) for key, value in given.items()}


class Asking:
    """Calls tools, and keeps every answer."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __call__(self, talk: Raw, method: str, params: Message) -> Any:
        answer = talk.ask(method, params)
        self.told.append(json.dumps(answer))
        command = (answer.get("result") or {}).get("_meta", {}).get(COMMAND_ID_META)
        if command and params["name"] != "get-command":
            self(talk, "tools/call", {"name": "get-command", "arguments": {"command_id": command}})
        return answer

    def every_tool(self, talk: Raw, image: str, name: Callable[[str], str]) -> None:
        for tool in CATALOGUE:
            method = "tools/call" if tool.surface is Surface.TOOL else "prompts/get"
            self(talk, method, {"name": tool.name, "arguments": aimed(tool, image, name)})


def tempt(ask: Asking, talk: Raw, engine: docker.APIClient, image: str, name: Callable[[str], str]) -> None:
    for tool, arguments in special_calls(image, name):
        meta = {"authorization": f"Bearer {PLANTED['meta']}"} if tool == "list-containers" else {}
        answer = ask(talk, "tools/call", {"name": tool, "arguments": arguments, "_meta": meta})
        if tool == "deploy-compose" and arguments["compose_yaml"] == stack(image):
            assert not answer["result"].get("isError"), answer
            (web,) = engine.containers(filters={"label": f"com.docker.compose.project={name('s')}"})
            assert f"TOKEN={PLANTED['yaml']}" in engine.inspect_container(web["Id"])["Config"]["Env"]
    wrong = {"username": "admin", "api_key": PLANTED["wrong-key"]}
    ask(talk, "prompts/get", {"name": "authenticate", "arguments": wrong})
    ask(talk, "prompts/get", {"name": "audit-logs", "arguments": {"limit": "200"}})


def token_of(talk: Raw) -> str:
    """The one answer in which a token belongs."""
    arguments = {"username": "admin", "api_key": KEY + "admin"}
    answer = talk.ask("prompts/get", {"name": "authenticate", "arguments": arguments})
    token: str = json.loads(answer["result"]["messages"][0]["content"]["text"])["token"]
    return token


def test_every_secret_field_of_the_catalogue_is_planted() -> None:
    assert {(tool.name, name) for tool in CATALOGUE for name in secrets_of(tool)} >= {
        ("create-container", "environment"),
        ("deploy-compose", "compose_yaml"),
        ("authenticate", "api_key"),
    }
    for tool in CATALOGUE:
        text = json.dumps(with_secrets(tool))
        assert all(planted(f"{tool.name}-{name}") in text for name in secrets_of(tool))


def test_no_planted_value_is_found_anywhere(
    tmp_path: Path, engine: docker.APIClient, image: str, name: Callable[[str], str], receiver: Receiver
) -> None:
    state, temporary = tmp_path / "state", tmp_path / "temporary"
    temporary.mkdir()
    of_server: dict[str, Any] = {"TMPDIR": temporary, "MCP_AUTH_SECRET": SIGNING, **receiver.variables}
    server = HttpServer(state, **of_server)
    key_file = state / "ledger.db.key"
    needles = [*PLANTED.values(), *planted_fields(), KEY, SIGNING]
    ask = Asking()
    seen: set[Sighting] = set()
    servers = {server.process.pid}

    def check_files() -> None:
        """Also while a server has just been killed, when the write-ahead log still holds the last records."""
        sealing_key = key_file.read_text().strip()
        assert found_in([state, temporary], [*needles, sealing_key], {key_file: sealing_key}) == set()

    with running(server), watched_processes(seen, [*needles, key_file.read_text().strip()]):
        talk = RawHttp(server, "legacy")
        needles.append(token_of(talk))
        tempt(ask, talk, engine, image, name)
        ask.every_tool(talk, image, name)
        scraped = server.request("GET", "/metrics")[1].decode()
        assert 'docker_mcp_commands_total{outcome="success",role="admin",tool="deploy-compose"}' in scraped
        ask.told.append(scraped)
        _, new = special_calls(image, name)[0]
        new = {**new, "name": name("d")}
        connection = talk.call_and_leave({"name": "create-container", "arguments": new}, 99)
        server.kill()
        connection.close()
        check_files()

        again = HttpServer(state, **of_server)
        write_users(state, admin="admin")
        servers.add(again.process.pid)
        with running(again):
            ask(RawHttp(again, "modern"), "prompts/get", {"name": "audit-logs", "arguments": {"limit": "200"}})
            assert "DEBUG" in again.stderr(), "the most talkative level is the one that is tried"

        given: dict[str, Any] = {
            "DOCKER_MCP_TOKEN": KEY + "admin",
            "DOCKER_MCP_SEALING_KEY": key_file.read_text().strip(),
        }
        stdio = StdioServer(state, "modern", **of_server, **given)
        servers.add(stdio.process.pid)
        with running(stdio):
            ask.every_tool(stdio, image, name)
            ask.told += [line.decode() for line in stdio.raw_lines]
    assert engine.inspect_container(name("c"))["Config"]["Env"] == [f"T={PLANTED['environment']}"]

    environment = {"DOCKER_MCP_STATE_DIR": str(state), "XDG_CONFIG_HOME": str(state / "config"), "LOG_LEVEL": "DEBUG"}
    for words in (["audit", "--json"], ["doctor", "--json"], ["user", "list"]):
        done = docker_mcp(*words, env=environment)
        ask.told += [done.stdout, done.stderr]
    check_files()
    traces = b"".join(receiver.bodies)
    assert b"projector deploy-compose" in traces
    assert [needle for needle in needles if needle.encode() in traces] == []
    answers = "\n".join(ask.told)
    assert [needle for needle in [*needles, key_file.read_text().strip()] if needle in answers] == []
    assert {each for each in seen if each.where == "cmdline" or each.parent in servers} == set()


@pytest.mark.anyio
@pytest.mark.postgres
async def test_no_planted_value_is_found_in_postgres(
    serve: Serve,
    postgres: PostgresServer,
    postgres_location: Location,
    image: str,
    name: Callable[[str], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serve(postgres_location, MCP_AUTH_SECRET=SIGNING) as application:
        calls = [(tool, arguments, Surface.TOOL) for tool, arguments in special_calls(image, name)]
        calls += [(tool.name, aimed(tool, image, name), tool.surface) for tool in CATALOGUE]
        for tool, arguments, surface in calls:
            answer = await application.dispatcher.dispatch(tool, arguments, caller(application), surface)
            assert MARK not in answer.text() + (answer.error.describe() if answer.error else "")
    needles = [*PLANTED.values(), *planted_fields(), SIGNING, SEALING_KEY]
    tables = ("event", "data_key", "open_command", "audit_trail")
    with psycopg.connect(postgres_location.url) as connection:
        rows = [connection.execute(f"SELECT t::text FROM {table} t".encode()).fetchall() for table in tables]
    assert len(rows[0]) > len(calls)
    assert [needle for needle in needles if needle in str(rows)] == []
    assert found_in([postgres.data], needles, {}) == set()
    assert [needle for needle in needles if needle in caplog.text] == []


def test_the_sweep_finds_what_is_there(tmp_path: Path) -> None:
    """In a file as text and as the bytes that text stands for, in a file that others can read, and in a process."""
    secret, seen = base64.b64encode(b"x" * 32).decode(), set[Sighting]()
    for file, content in (("text", secret.encode()), ("bytes", b"x" * 32), ("hex", (b"x" * 32).hex().encode())):
        (tmp_path / file).write_bytes(b"before " + content + b" after")
    assert found_in([tmp_path], [secret], {}) == {(secret, str(tmp_path / file)) for file in ("text", "bytes", "hex")}
    with pytest.raises(AssertionError):
        found_in([tmp_path], [secret], {tmp_path / "text": secret})
    with watched_processes(seen, [secret, "600.73914"]):
        started = subprocess.Popen(["sleep", "600"], env={"SECRET": secret, "PATH": os.environ["PATH"]})
        other = subprocess.Popen(["sleep", "600.73914"])
        try:
            wait_for(lambda: len(seen) >= 2, what="both to be seen")
        finally:
            for process in (started, other):
                process.kill()
                process.wait()
    assert {(each.value, each.where, each.pid) for each in seen} == {
        (secret, "environ", started.pid),
        ("600.73914", "cmdline", other.pid),
    }
