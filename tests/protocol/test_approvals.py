"""A command that waits for somebody else, as clients meet it: over stdio with a process each, and over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import docker
import pytest

from domain.access.tokens import fingerprint
from tests.conftest import write_rules
from tests.protocol.servers import KEY, HttpServer, Message, Raw, RawHttp, StdioServer, running

pytestmark = [pytest.mark.engine, pytest.mark.promise("P7")]

WAIT_S: Final = 20


class _As(RawHttp):
    """A talk of one user with the HTTP server."""

    def __init__(self, server: HttpServer, name: str) -> None:
        self._name = name
        super().__init__(server, "modern")

    def headers(self, method: str, params: Any) -> dict[str, str]:
        return {**super().headers(method, params), "Authorization": f"Bearer {KEY}{self._name}"}


@contextmanager
def asking_and_approving(transport: str, directory: Path, **changes: Any) -> Iterator[tuple[Raw, Raw]]:
    """What the requester and the approver call through, on servers that are started with ``changes``."""
    state, names = directory / "both", ("admin", "asker")
    state.mkdir()

    def rules() -> None:
        users = {name: {"role": "admin", "key_sha256": fingerprint(KEY + name)} for name in names}
        write_rules(state / "config", users=users, approvals=[{"effects": ["destroy"]}])

    if transport == "http":
        server = HttpServer(state, **changes)
        rules()
        with running(server):
            yield _As(server, "asker"), _As(server, "admin")
        return
    rules()
    asker = StdioServer(state, DOCKER_MCP_TOKEN=KEY + "asker", **changes)
    with running(asker):
        approver = StdioServer(state, DOCKER_MCP_TOKEN=KEY + "admin", **changes)
        with running(approver):
            yield asker, approver


@pytest.fixture(params=["stdio", "http"])
def talks(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Raw, Raw]]:
    with asking_and_approving(request.param, tmp_path) as both:
        yield both


def call(tool: str, meta: Message | None = None, **arguments: Any) -> Message:
    return {"name": tool, "arguments": arguments, **({"_meta": meta} if meta else {})}


def test_one_asks_another_approves_and_the_first_learns_the_outcome(
    talks: tuple[Raw, Raw], container: str, engine: docker.APIClient
) -> None:
    asker, approver = talks
    answer = asker.ask("tools/call", call("remove-container", container_name=container, force=True))["result"]
    told = answer["structuredContent"]
    assert (answer.get("isError", False), told["status"], told["approvers"]) == (False, "deferred", ["admin"])
    command_id = told["command_id"]
    assert engine.containers(filters={"name": container})

    own = asker.ask("tools/call", call("approvals-approve", command_id=command_id))["result"]
    assert own["structuredContent"]["error"]["code"] == "denied"
    listed = approver.ask("tools/call", call("approvals-list"))["result"]["structuredContent"]
    assert [(row["command_id"], row["principal"], row["yours"]) for row in listed["waiting"]] == [
        (command_id, "asker", False)
    ]
    approved = approver.ask("tools/call", call("approvals-approve", command_id=command_id))["result"]
    assert approved["structuredContent"] == {"command_id": command_id, "status": "approved"}

    *progress, story = asker.exchange(
        "tools/call", call("get-command", {"progressToken": "p"}, command_id=command_id, wait=WAIT_S)
    )
    assert story["result"]["structuredContent"]["status"] == "success"
    assert {report["params"]["progressToken"] for report in progress} <= {"p"}
    assert engine.containers(all=True, filters={"name": container}) == []
    assert [row.type for row in asker.records.of(command_id)] == [
        "command.received",
        "command.deferred",
        "command.approved",
        "command.authorized",
        "execution.started",
        "command.succeeded",
    ]
