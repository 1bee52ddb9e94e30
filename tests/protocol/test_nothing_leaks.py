"""A sweep: unique values in every secret place, through tools, error paths, a crash and reports; none is found."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import pytest

from server.mcp_server import COMMAND_ID_META
from tests.cli.command import docker_mcp
from tests.protocol.servers import KEY, HttpServer, Message, RawHttp, running, write_users

pytestmark = [pytest.mark.engine, pytest.mark.promise("P6"), pytest.mark.timeout(180)]

PLANTED = {
    place: f"planted-{place}-7f3a9c"
    for place in ("environment", "yaml", "config", "option", "broken", "unknown", "image", "wrong-key", "meta")
}


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


@contextmanager
def watched_processes(found: set[str], needles: list[str]) -> Iterator[None]:
    """Notes which of ``needles`` stand on the command line or in the environment of any process meanwhile."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            for folder in Path("/proc").glob("[0-9]*"):
                for file in ("cmdline", "environ"):
                    try:
                        text = (folder / file).read_bytes()
                    except OSError:
                        continue
                    found.update(needle for needle in needles if needle.encode() in text)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def test_no_planted_value_is_found_anywhere(
    tmp_path: Path, engine: docker.APIClient, image: str, name: Callable[[str], str]
) -> None:
    state, temporary = tmp_path / "state", tmp_path / "temporary"
    temporary.mkdir()
    server = HttpServer(state, TMPDIR=temporary)
    needles = [*PLANTED.values(), KEY]
    told: list[str] = []
    on_processes: set[str] = set()

    def ask(talk: RawHttp, method: str, params: Message) -> Any:
        answer = talk.ask(method, params)
        told.append(json.dumps(answer))
        return answer

    with running(server), watched_processes(on_processes, [value for value in needles if "environment" not in value]):
        talk = RawHttp(server, "legacy")
        token = ask(
            talk, "prompts/get", {"name": "authenticate", "arguments": {"username": "admin", "api_key": KEY + "admin"}}
        )["result"]["messages"][0]["content"]["text"]
        needles.append(json.loads(token)["token"])
        told.clear()  # that answer is the one place where a token belongs
        calls: list[tuple[str, Message]] = [
            (
                "create-container",
                {
                    "image": image,
                    "name": name("c"),
                    "environment": {"T": PLANTED["environment"]},
                    "command": ["sleep", "60"],
                },
            ),
            ("create-container", {"image": image, "name": name("c"), "environment": {"T": PLANTED["environment"]}}),
            ("create-container", {"image": f"nosuch.invalid/{name('x')}", "environment": {"T": PLANTED["image"]}}),
            ("create-container", {"image": image, "passwort": PLANTED["unknown"]}),
            ("create-container", {"image": image, "environment": {"A": [PLANTED["broken"]]}}),
            ("inspect-container", {"container_name": name("c")}),
            ("deploy-compose", {"project_name": name("s"), "compose_yaml": stack(image)}),
            ("deploy-compose", {"project_name": name("s"), "compose_yaml": f"services: [{PLANTED['broken']}"}),
            (
                "deploy-compose",
                {
                    "project_name": name("s"),
                    "compose_yaml": f"services: {{a: {{image: x, ports: ['{PLANTED['broken']}:x']}}}}",
                },
            ),
            ("deploy-compose", {"project_name": name("s"), "compose_yaml": stack(image).replace("600", "601") + "#"}),
            ("compose-ps", {"project_name": name("s")}),
            ("compose-logs", {"project_name": name("s")}),
            ("list-containers", {"fields": ["labels", "command"]}),
            ("compose-down", {"project_name": name("s"), "timeout": 0}),
            ("no-such-tool", {"x": PLANTED["unknown"]}),
        ]
        for tool, arguments in calls:
            meta = {"authorization": f"Bearer {PLANTED['meta']}"} if tool == "list-containers" else {}
            answer = ask(talk, "tools/call", {"name": tool, "arguments": arguments, "_meta": meta})
            if tool == "deploy-compose" and arguments["compose_yaml"] == stack(image):
                assert not answer["result"].get("isError"), answer
                (web,) = engine.containers(filters={"label": f"com.docker.compose.project={name('s')}"})
                assert f"TOKEN={PLANTED['yaml']}" in engine.inspect_container(web["Id"])["Config"]["Env"]
            command = answer.get("result", {}).get("_meta", {}).get(COMMAND_ID_META)
            if command:
                ask(talk, "tools/call", {"name": "get-command", "arguments": {"command_id": command}})
        ask(
            talk,
            "prompts/get",
            {"name": "authenticate", "arguments": {"username": "admin", "api_key": PLANTED["wrong-key"]}},
        )
        ask(talk, "prompts/get", {"name": "audit-logs", "arguments": {"limit": "200"}})
        connection = talk.call_and_leave(
            {
                "name": "create-container",
                "arguments": {
                    "image": image,
                    "name": name("d"),
                    "environment": {"T": PLANTED["environment"]},
                    "command": ["sleep", "60"],
                },
            },
            99,
        )
        server.kill()
        connection.close()
    assert engine.inspect_container(name("c"))["Config"]["Env"] == [f"T={PLANTED['environment']}"]
    again = HttpServer(state, TMPDIR=temporary)
    write_users(state, admin="admin")
    with running(again):
        ask(RawHttp(again, "modern"), "prompts/get", {"name": "audit-logs", "arguments": {"limit": "200"}})
    environment = {"DOCKER_MCP_STATE_DIR": str(state), "XDG_CONFIG_HOME": str(state / "config")}
    for words in (["audit", "--json"], ["doctor", "--json"], ["user", "list"]):
        done = docker_mcp(*words, env=environment)
        told += [done.stdout, done.stderr]

    files = [file for file in (*state.rglob("*"), *temporary.rglob("*")) if file.is_file()]
    assert any(file.name.startswith("ledger.db") for file in files)
    everything = {str(file): file.read_bytes() for file in files} | {"answers": "\n".join(told).encode()}
    found = {(needle, place) for place, text in everything.items() for needle in needles if needle.encode() in text}
    assert found == set()
    assert on_processes <= {PLANTED["yaml"]}, "only the container itself has its environment"
