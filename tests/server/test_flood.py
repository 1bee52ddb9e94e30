"""Floods of refused calls, on both databases: the log holds the first of a minute and the number of the others."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import docker
import pytest

from adapters.store.location import Location
from domain.catalogue.tool import Surface
from domain.chain import verify
from domain.errors import AuthenticationError
from domain.events import RecordedEvent
from domain.principal import ANONYMOUS, Principal
from server.bootstrap import Application
from server.call import Answer
from tests.conftest import READER, Serve, caller, write_rules
from tests.engine_proxy import EngineProxy
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.promise("P2", "P9")]

LIMIT = 4
FLOOD = 25
OTHER = Principal("another", "user")


@pytest.fixture
async def application(serve: Serve, location: Location) -> AsyncIterator[Application]:
    async with serve(location, DOCKER_MCP_REFUSALS_PER_MINUTE=LIMIT) as started:
        yield started


async def call(application: Application, tool: str, /, by: Principal = READER, **arguments: Any) -> Answer:
    return await application.dispatcher.dispatch(tool, arguments, caller(application, principal=by))


def rows(application: Application) -> list[RecordedEvent]:
    found, after = [], 0
    while page := application.store.read(after):
        found += page
        after = page[-1].position
    assert list(verify(found)) == []
    return found


def suppressed(application: Application) -> list[tuple[str, dict[str, Any]]]:
    return [(row.principal, row.payload()) for row in rows(application) if row.type == "calls.suppressed"]


def endings(application: Application, *types: str) -> Counter[str]:
    return Counter(row.principal for row in rows(application) if row.type in types)


REFUSALS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "denied": ("denied", "network-create", {"name": "never"}),
    "unknown tool": ("unknown_tool", "no-such-tool", {}),
    "malformed": ("invalid_arguments", "list-containers", {"limit": "many"}),
}


@pytest.mark.parametrize("kind", REFUSALS)
async def test_of_a_flood_the_log_holds_the_first_and_the_number_of_the_others(
    application: Application, kind: str
) -> None:
    code, tool, arguments = REFUSALS[kind]
    answers = [await call(application, tool, **arguments) for _ in range(FLOOD)]
    assert {answer.error.code for answer in answers if answer.error} == {code}
    assert [bool(answer.command_id) for answer in answers] == [True] * LIMIT + [False] * (FLOOD - LIMIT)
    for answer in answers[:LIMIT]:
        assert len(application.store.read_stream(answer.command_id)) == 2
        assert answer.error
        assert "counted" not in answer.error.hint
    for answer in answers[LIMIT:]:
        assert answer.error
        assert "this call was counted in the log, not recorded" in answer.error.hint
    assert suppressed(application) == []
    await application.refusals.turn()
    ((who, found),) = suppressed(application)
    assert (who, found["total"], found["codes"]) == (READER.name, FLOOD - LIMIT, [[code, FLOOD - LIMIT]])
    assert "source" not in found


async def test_a_flood_of_one_hides_nothing_of_another_and_nothing_allowed(application: Application) -> None:
    for _ in range(FLOOD):
        await call(application, "network-create", name="never")
    denied = await call(application, "network-create", name="never", by=OTHER)
    assert application.store.read_stream(denied.command_id)[-1].type == "command.denied"
    allowed = await call(application, "get-command", command_id=denied.command_id)
    assert application.store.read_stream(allowed.command_id)[-1].status in ("success", "failed")
    assert endings(application, "command.denied") == {READER.name: LIMIT, OTHER.name: 1}


async def test_callers_without_credentials_share_the_budget_of_their_address(application: Application) -> None:
    async def nobody(address: str) -> Answer:
        who = caller(application, principal=ANONYMOUS, address=address)
        return await application.dispatcher.dispatch("list-containers", {}, who)

    first = [await nobody("192.0.2.1") for _ in range(FLOOD)]
    other = await nobody("192.0.2.2")
    assert {answer.error.code for answer in first if answer.error} == {"unauthenticated"}
    assert sum(bool(answer.command_id) for answer in first) == LIMIT
    assert other.command_id
    await application.refusals.turn()
    ((who, found),) = suppressed(application)
    assert (who, found["source"]) == ("anonymous", "192.0.2.1")
    assert found["codes"] == [["unauthenticated", FLOOD - LIMIT]]


async def test_wrong_credentials_and_guesses_by_the_prompt_keep_to_the_same_budget(application: Application) -> None:
    for _ in range(FLOOD):
        with pytest.raises(AuthenticationError):
            application.authenticator.identify("dmk_wrong", "192.0.2.1")
    guess = {"username": "alice", "api_key": "dmk_wrong"}
    who = caller(application, principal=ANONYMOUS, address="192.0.2.1")
    answer = await application.dispatcher.dispatch("authenticate", guess, who, Surface.PROMPT)
    assert answer.error
    assert (answer.error.code, answer.command_id) == ("too_many_refusals", "")
    await application.refusals.turn()
    await until(lambda: sum(row.type == "authentication.failed" for row in rows(application)) == LIMIT)
    ((_, found),) = suppressed(application)
    assert found["codes"] == [["authentication.failed", FLOOD - LIMIT], ["too_many_refusals", 1]]
    assert found["total"] == FLOOD - LIMIT + 1


async def test_guesses_by_the_prompt_spend_the_budget_of_their_address(application: Application) -> None:
    async def guess(address: str) -> Answer:
        who = caller(application, principal=ANONYMOUS, address=address)
        wrong = {"username": "alice", "api_key": "dmk_wrong"}
        return await application.dispatcher.dispatch("authenticate", wrong, who, Surface.PROMPT)

    answers = [await guess("192.0.2.1") for _ in range(FLOOD)]
    codes = Counter(answer.error.code for answer in answers if answer.error)
    assert codes == {"unauthenticated": LIMIT / 2, "too_many_refusals": FLOOD - LIMIT / 2}, "each guess is two records"
    assert sum(bool(answer.command_id) for answer in answers) == LIMIT / 2
    assert (await guess("192.0.2.2")).command_id


@pytest.mark.engine
async def test_denials_that_need_a_look_at_the_object_keep_to_the_budget(
    serve: Serve, location: Location, proxy: EngineProxy, container: str, tmp_path: Path
) -> None:
    """Such a command stands in the log before it is judged; so past the budget it is not looked at."""
    team = {"allow": [{"tools": ["*"], "objects": ["container/team-*"]}]}
    rules = write_rules(tmp_path / "rules", roles={"team": team})
    limits = {"DOCKER_MCP_AUTH_FILE": rules, "DOCKER_MCP_REFUSALS_PER_MINUTE": LIMIT}
    member = Principal("member", "team")
    async with serve(location, DOCKER_HOST=proxy.url, **limits) as application:
        answers = [await call(application, "stop-container", by=member, container_name=container) for _ in range(FLOOD)]
        codes = [answer.error.code for answer in answers if answer.error]
        assert codes == ["denied"] * LIMIT + ["too_many_refusals"] * (FLOOD - LIMIT)
        assert [bool(answer.command_id) for answer in answers] == [True] * LIMIT + [False] * (FLOOD - LIMIT)
        assert endings(application, "command.received") == {"member": LIMIT}
        assert application.store.open_commands() == []
        assert proxy.changes() == []
        await application.refusals.turn()
        again = await call(application, "stop-container", by=member, container_name=container)
        assert again.error
        assert again.error.code == "denied", "a new minute, a new look"


@pytest.mark.engine
async def test_stacks_that_are_refused_after_their_beginning_was_recorded_keep_to_the_budget(
    application: Application, name: Callable[[str], str], engine: docker.APIClient
) -> None:
    bad = {"project_name": name("s"), "compose_yaml": "services: {web: {image: x, privileged: true}}"}
    worse = {"project_name": name("s"), "compose_yaml": "services: {web: {image: x, build: .}}"}
    for _ in range(LIMIT):
        for arguments in (bad, worse):
            await call(application, "deploy-compose", by=application.principal, **arguments)
    held = endings(application, "command.denied", "command.rejected")
    assert held == {application.principal.name: LIMIT}
    listed = await call(application, "list-containers", by=application.principal)
    assert listed.error is None, "what needs no look before it is judged goes on"
    assert engine.containers(all=True, filters={"name": name("s")}) == []


async def test_counts_are_recorded_when_the_server_stops(serve: Serve, location: Location) -> None:
    async with serve(location, DOCKER_MCP_REFUSALS_PER_MINUTE=LIMIT) as application:
        for _ in range(FLOOD):
            await call(application, "no-such-tool")
    async with serve(location) as application:
        ((who, found),) = suppressed(application)
        assert (who, found["codes"]) == (READER.name, [["unknown_tool", FLOOD - LIMIT]])
        types = [row.type for row in rows(application)]
        assert types.index("calls.suppressed") < types.index("server.stopped")


async def test_counts_that_the_log_cannot_take_are_not_lost(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "log" / "ledger.db"
    limits = {"DOCKER_MCP_REFUSALS_PER_MINUTE": LIMIT, "DOCKER_MCP_APPEND_TIMEOUT_S": 1}
    async with serve(Location(path=path), **limits) as application:
        for _ in range(FLOOD):
            await call(application, "no-such-tool")
        path.rename(path.with_suffix(".away"))
        await application.refusals.turn()
        for _ in range(FLOOD):
            await call(application, "no-such-tool")
        path.with_suffix(".away").rename(path)
        await application.refusals.turn()
        ((_, found),) = suppressed(application)
        assert found["total"] == 2 * (FLOOD - LIMIT)


async def test_a_minute_ends_by_itself(serve: Serve, location: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.flood._MINUTE_S", 0.2)
    async with serve(location, DOCKER_MCP_REFUSALS_PER_MINUTE=LIMIT) as application:
        for _ in range(FLOOD):
            await call(application, "no-such-tool")
        await until(lambda: suppressed(application))
        assert (await call(application, "no-such-tool")).command_id
