"""Every role, tool and transport: what a role does not allow is refused and recorded before the engine hears of it."""

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import docker
import orjson
import pytest

from adapters.private_file import write_private
from domain.access.tokens import fingerprint
from domain.catalogue import CATALOGUE
from domain.catalogue.tool import Surface
from domain.principal import Principal
from server.call import Caller
from tests.conftest import OPENED, Serve
from tests.engine_proxy import EngineProxy
from tests.protocol.records import Row
from tests.protocol.servers import KEY, NO_COMMAND, HttpServer, Message, Raw, RawHttp, StdioServer, running

pytestmark = [pytest.mark.engine, pytest.mark.promise("P7"), pytest.mark.timeout(180)]

ROLES: Final = ("admin", "user", "tools", "effects", "objects", "labels", "images", "denying")
TABLE: Final = """
                    admin user tools effects objects labels images denying
create-container    A     -    A     -       O       O      O      O
list-containers     A     A    A     A       A       A      A      A
inspect-container   A     A    A     A       O       O      A      O
get-logs            A     A    -     A       O       O      A      O
container-stats     A     A    -     A       O       O      A      O
start-container     A     -    A     A       O       O      A      O
stop-container      A     -    A     A       O       O      A      O
restart-container   A     -    A     A       O       O      A      O
remove-container    A     -    A     -       O       O      A      -
network-create      A     -    -     -       O       O      A      -
network-remove      A     -    -     -       O       O      A      A
network-list        A     A    -     A       A       A      A      A
network-inspect     A     A    -     A       O       O      A      A
network-connect     A     -    -     A       O       O      A      O
network-disconnect  A     -    -     A       O       O      A      O
deploy-compose      A     -    -     A       O       O      O      O
compose-list        A     A    -     A       A       A      A      A
compose-ps          A     A    -     A       O       N      A      A
compose-logs        A     A    -     A       O       N      A      A
compose-start       A     -    -     A       O       N      A      A
compose-stop        A     -    -     A       O       N      A      A
compose-restart     A     -    -     A       O       N      A      A
compose-down        A     -    -     O       O       N      A      O
image-list          A     A    -     A       A       A      A      A
image-pull          A     -    -     -       O       N      O      O
system-info         A     A    -     A       A       A      A      A
approvals-list      A     A    -     A       A       A      A      A
approvals-approve   A     -    -     A       N       N      A      A
approvals-refuse    A     -    -     A       N       N      A      A
get-command         A     A    -     A       A       A      A      A
audit-query         A     A    -     A       A       A      A      A
audit-logs          A     A    A     A       A       A      A      A
incident-review     A     A    -     A       A       A      A      A
authenticate        A     A    A     A       A       A      A      A
"""
"""A: allowed, -: never allowed, O: allowed on ours and denied on theirs, N: denied on these."""

_HEADER, *_LINES = (line.split() for line in TABLE.strip().splitlines())
EXPECTED: Final[dict[str, dict[str, str]]] = {name: dict(zip(ROLES, answers, strict=True)) for name, *answers in _LINES}
NO_REGISTRY: Final = "127.0.0.1:1"
"""Where no image comes from."""
LABEL: Final = "dmt-role"


def rules(prefix: str) -> dict[str, Any]:
    """The roles that are not there by themselves."""
    kinds = ("container", "network", "volume", "stack")
    ours = [f"{kind}/{prefix}-ours*" for kind in kinds] + [f"image/{NO_REGISTRY}/ours/*"]
    return {
        "tools": {"allow": [{"tools": ["list-*", "*-container", "audit-logs"]}]},
        "effects": {"allow": [{"effects": ["read", "mutate"]}]},
        "objects": {"allow": [{"objects": ours}]},
        "labels": {"allow": [{"labels": {LABEL: f"{prefix}-o*"}}]},
        "images": {"allow": [{"images": [f"{NO_REGISTRY}/ours/*"]}]},
        "denying": {
            "allow": [{}],
            "deny": [
                {"tools": ["remove-*"]},
                {"tools": ["network-*"], "effects": ["create"]},
                {"tools": ["compose-*"], "effects": ["destroy"]},
                {"objects": [f"container/{prefix}-theirs*"]},
                {"images": [f"{NO_REGISTRY}/theirs/*"]},
            ],
        },
    }


def calls(prefix: str, side: str) -> dict[str, dict[str, Any]]:
    """A call of every tool and prompt that aims at what is ours or theirs."""
    thing, labels = f"{prefix}-{side}", {LABEL: f"{prefix}-{side}"}
    image = f"{NO_REGISTRY}/{side}/app"
    container, network, stack = {"container_name": thing}, {"name": thing}, {"project_name": f"{thing}-stack"}
    link = {"network": thing, "container": thing}
    no_command: dict[str, Any] = NO_COMMAND["arguments"]
    service = {"image": image, "network_mode": "none", "labels": labels}
    return {
        "create-container": {"image": image, "name": f"{thing}-new", "labels": labels},
        "list-containers": {},
        **dict.fromkeys(("inspect-container", "get-logs", "container-stats", "start-container"), container),
        **{key: {**container, "timeout": 0} for key in ("stop-container", "restart-container")},
        "remove-container": container,
        "network-create": {"name": f"{thing}-new", "labels": labels},
        **dict.fromkeys(("network-remove", "network-inspect"), network),
        **dict.fromkeys(("network-connect", "network-disconnect"), link),
        **{key: {} for key in ("network-list", "compose-list", "image-list", "system-info")},
        **{key: {} for key in ("audit-logs", "audit-query")},
        "incident-review": {"object": thing},
        "deploy-compose": {**stack, "compose_yaml": json.dumps({"services": {"web": service}})},
        **dict.fromkeys(("compose-ps", "compose-logs", "compose-start", "compose-stop", "compose-restart"), stack),
        "compose-down": {**stack, "volumes": side == "theirs"},
        "image-pull": {"image": image},
        "approvals-list": {},
        **dict.fromkeys(("approvals-approve", "approvals-refuse", "get-command"), no_command),
        "authenticate": {"username": "alice", "api_key": f"{KEY}alice"},
    }


class Place(NamedTuple):
    """An engine that shows what it is asked and changes nothing, with objects of ours and of theirs on it."""

    proxy: EngineProxy
    prefix: str


@pytest.fixture(scope="module")
def place(engine: docker.APIClient, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    prefix = f"dmt-{uuid.uuid4().hex[:8]}"
    made = []
    for side in ("ours", "theirs"):
        thing, labels = f"{prefix}-{side}", {LABEL: f"{prefix}-{side}"}
        made.append((engine.create_container(image, ["true"], name=thing, labels=labels), thing))
        engine.create_network(thing, labels=labels)
    with contextlib.closing(EngineProxy(tmp_path_factory.mktemp("engine") / "docker.sock")) as proxy:
        proxy.reply("^(POST|PUT|DELETE) ", 409, "this engine changes nothing")
        yield Place(proxy, prefix)
    for container, thing in made:
        engine.remove_container(container["Id"])
        engine.remove_network(thing)


def write_auth(state: Path, prefix: str, users: dict[str, str]) -> None:
    """Give the servers of a state directory users and the roles of the table."""
    known = {user: {"role": role, "key_sha256": fingerprint(KEY + user)} for user, role in users.items()}
    path = state / "config/docker-mcp/docker_mcp_auth.json"
    write_private(path, orjson.dumps({"users": known, "roles": rules(prefix), "host_safety": OPENED}))


Talk = Callable[[str | None], Raw]
"""Begins a talk as alice in a role, None: as nobody."""


@pytest.fixture(scope="module")
def web(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    """An HTTP server with a user for each role."""
    state = tmp_path_factory.mktemp("http")
    server = HttpServer(state, DOCKER_HOST=place.proxy.url)
    with running(server):
        write_auth(state, place.prefix, {"alice": "user"} | {f"in-{role}": role for role in ROLES})
        yield server


@pytest.fixture(scope="module")
def over_stdio(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    """A stdio server for alice, whose role changes, and one for nobody."""
    state = tmp_path_factory.mktemp("stdio")
    write_auth(state, place.prefix, {"alice": "admin"})
    server = StdioServer(state, "modern", DOCKER_HOST=place.proxy.url, DOCKER_MCP_TOKEN=KEY + "alice")
    nobody = StdioServer(state, "legacy", DOCKER_HOST=place.proxy.url)

    def begin(role: str | None) -> Raw:
        if role is None:
            return nobody
        write_auth(state, place.prefix, {"alice": role})
        return server

    with running(server), running(nobody):
        yield begin


@pytest.fixture(scope="module", params=["stdio", "http-legacy", "http-modern"])
def talk(request: pytest.FixtureRequest) -> Talk:
    if request.param == "stdio":
        found: Talk = request.getfixturevalue("over_stdio")
        return found
    era: Any = request.param.removeprefix("http-")
    server: HttpServer = request.getfixturevalue("web")
    return lambda role: RawHttp(server, era, f"in-{role}" if role else None)


def ask(raw: Raw, name: str, arguments: dict[str, Any]) -> tuple[Message, list[Row]]:
    """Return the answer to a call, and what the log holds of it."""
    prompt = CATALOGUE.by_name(name).surface is Surface.PROMPT  # type: ignore[union-attr]
    before = raw.records.head()
    answer = raw.ask("prompts/get" if prompt else "tools/call", {"name": name, "arguments": arguments})
    (command_id,) = raw.records.commands(after=before)
    return answer, raw.records.of(command_id)


def shown(raw: Raw) -> set[str]:
    """The tools and prompts that the caller is told of."""
    tools = raw.ask("tools/list")["result"]["tools"]
    return {entry["name"] for entry in tools + raw.ask("prompts/list")["result"]["prompts"]}


def code_of(answer: Message) -> str | None:
    if "error" in answer:
        return str(answer["error"]["message"]).partition(":")[0]
    error = answer["result"].get("structuredContent", {}).get("error")
    return error["code"] if error else None


def test_the_table_has_every_tool_and_prompt() -> None:
    assert tuple(_HEADER) == ROLES
    assert EXPECTED.keys() == {
        tool.name for surface in (Surface.TOOL, Surface.PROMPT) for tool in CATALOGUE.on(surface)
    }
    assert calls("p", "ours").keys() == EXPECTED.keys()


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_the_table_says_and_nothing_else(talk: Talk, place: Place, role: str) -> None:
    raw = talk(role)
    assert shown(raw) == {name for name, answers in EXPECTED.items() if answers[role] != "-"}
    ours, theirs = calls(place.prefix, "ours"), calls(place.prefix, "theirs")
    for name, answers in EXPECTED.items():
        tries = [(ours[name], answers[role] in ("A", "O"))]
        if answers[role] == "O":
            tries.append((theirs[name], False))
        for arguments, allowed in tries:
            changes = len(place.proxy.changes())
            answer, rows = ask(raw, name, arguments)
            types, told = [row.type for row in rows], (name, arguments, answer)
            assert {row.tool for row in rows} == {name}
            if allowed:
                assert code_of(answer) not in ("denied", "unauthenticated", "invalid_arguments"), told
                assert "command.authorized" in types, told
                continue
            assert code_of(answer) == "denied", told
            assert (types[0], types[-1], rows[-1].status) == ("command.received", "command.denied", "denied"), told
            assert (rows[-1].role, rows[-1].data["rule"]) == (role, f"role-{role}")
            assert place.proxy.changes()[changes:] == [], told


def test_without_credentials_nothing_is_allowed_but_to_authenticate(talk: Talk, place: Place) -> None:
    raw = talk(None)
    assert shown(raw) == {"authenticate"}
    changes = len(place.proxy.changes())
    for name, arguments in calls(place.prefix, "ours").items():
        if name == "authenticate":
            continue
        answer, rows = ask(raw, name, arguments)
        assert code_of(answer) == "unauthenticated", (name, answer)
        assert {(row.principal, row.role) for row in rows} == {("anonymous", "none")}
        assert rows[-1].status in ("denied", "rejected"), name
        assert "execution.started" not in [row.type for row in rows]
    assert place.proxy.changes()[changes:] == []
    answer, rows = ask(raw, "authenticate", {"username": "alice", "api_key": KEY})
    assert code_of(answer) == "unauthenticated"
    assert [row.type for row in rows][:2] == ["command.received", "command.authorized"]


@pytest.mark.anyio
async def test_an_undefined_role_may_nothing(serve: Serve, place: Place) -> None:
    """No transport brings one about, since the auth file is refused; the dispatcher does not rely on that."""
    caller = Caller(principal=Principal("alice", "undefined"), transport="test")
    async with serve(DOCKER_HOST=place.proxy.url) as application:
        changes = len(place.proxy.changes())
        for name, arguments in calls(place.prefix, "ours").items():
            tool = CATALOGUE.by_name(name)
            assert tool
            assert application.dispatcher.offers(caller.principal, tool) == tool.open_to_all
            if not tool.open_to_all:
                answer = await application.dispatcher.dispatch(name, arguments, caller, tool.surface)
                assert answer.error
                assert answer.error.code == "denied", name
        assert place.proxy.changes()[changes:] == []
