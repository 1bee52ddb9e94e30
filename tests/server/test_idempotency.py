"""The same key from the same principal: one effect, and everybody hears of its outcome."""

import asyncio
from collections.abc import Callable
from typing import Any

import docker
import pytest

from adapters.store.location import Location
from adapters.store.migrate import migrate
from domain.chain import verify
from domain.principal import Principal
from server.bootstrap import Application
from server.call import Answer
from tests.conftest import PostgresServer, Serve, caller
from tests.contract.rows import execute
from tests.engine_proxy import EngineProxy

pytestmark = [pytest.mark.anyio, pytest.mark.engine, pytest.mark.promise("P5")]

AUTH: dict[str, Any] = {"MCP_AUTH_SECRET": "0" * 32}


async def call(application: Application, tool: str, arguments: dict[str, Any], key: object, **who: Any) -> Answer:
    return await application.dispatcher.dispatch(tool, arguments, caller(application, idempotency_key=key, **who))


def life(application: Application, answer: Answer) -> list[str]:
    return [event.type for event in application.store.read_stream(answer.command_id)]


async def test_a_repeated_call_gets_the_recorded_outcome_and_changes_nothing(
    serve: Serve, location: Location, proxy: EngineProxy, image: str, name: Callable[[], str]
) -> None:
    create = {"image": image, "name": name(), "environment": {"TOKEN": "s3cret"}, "command": ["sleep", "60"]}
    async with serve(location, DOCKER_HOST=proxy.url, **AUTH) as application:
        first = await call(application, "create-container", create, "k-1")
        changes = len(proxy.changes())
        again = await call(application, "create-container", create, "k-1")
    async with serve(location, DOCKER_HOST=proxy.url, **AUTH) as application:
        after_restart = await call(application, "create-container", create, "k-1")
        repeats = [event for event in application.store.read() if event.status == "cancelled"]
        assert list(verify(application.store.read())) == []

    assert first.error is None
    for answer in (again, after_restart):
        assert (answer.command_id, answer.content()) == (first.command_id, first.content())
    assert len(proxy.changes()) == changes
    assert len(repeats) == 2
    assert all(f"repeats command {first.command_id}" in event.payload()["reason"] for event in repeats)


async def test_a_failure_is_repeated_too(serve: Serve) -> None:
    stop = {"container_name": "no-such-container"}
    async with serve() as application:
        first = await call(application, "stop-container", stop, "k")
        again = await call(application, "stop-container", stop, "k")
    assert first.error is not None
    assert again.error is not None
    assert (again.command_id, again.error.describe()) == (first.command_id, first.error.describe())


async def test_many_at_once_on_two_servers_have_one_effect(
    serve: Serve, location: Location, proxy: EngineProxy, container: str, engine: docker.APIClient
) -> None:
    async with (
        serve(location, DOCKER_HOST=proxy.url, **AUTH) as one,
        serve(location, DOCKER_HOST=proxy.url, **AUTH) as two,
    ):
        restart = {"container_name": container, "timeout": 0}
        answers = await asyncio.gather(
            *(call(each, "restart-container", restart, "k") for each in (one, two) for _ in range(4))
        )
    assert [answer.error for answer in answers] == [None] * 8
    assert len({answer.command_id for answer in answers}) == 1
    assert len(proxy.changes()) == 1


async def test_a_key_belongs_to_one_call_of_one_principal(serve: Serve, container: str) -> None:
    restart = {"container_name": container, "timeout": 0}
    async with serve() as application:
        first = await call(application, "restart-container", restart, "k")
        other = await call(application, "restart-container", restart, "k", principal=Principal("bob", "admin"))
        for tool, arguments in (("restart-container", {**restart, "timeout": 1}), ("stop-container", restart)):
            refused = await call(application, tool, arguments, "k")
            assert refused.error is not None
            assert refused.error.code == "idempotency_key_reused"
            assert life(application, refused) == ["command.received", "command.rejected"]
    assert first.command_id != other.command_id


@pytest.mark.parametrize("theirs", ["another principal's", "nobody's"])
async def test_a_key_that_somebody_has_given_to_another_command_is_refused(
    serve: Serve, sqlite_location: Location, container: str, theirs: str
) -> None:
    stop = {"container_name": container, "timeout": 0}
    async with serve() as application:
        first = await call(application, "stop-container", stop, "k")
        named = first.command_id if theirs != "nobody's" else "nonsense"
        execute(sqlite_location, f"INSERT INTO idempotency_key VALUES ('mallory', 'stolen', '{named}')")
        answer = await call(application, "stop-container", stop, "stolen", principal=Principal("mallory", "admin"))
        assert answer.error is not None
        assert answer.error.code == "read_model_broken"
        assert life(application, answer) == ["command.received", "command.rejected"]


async def test_a_denied_call_claims_nothing(serve: Serve, container: str) -> None:
    restart = {"container_name": container, "timeout": 0}
    reader = Principal("carol", "user")
    async with serve() as application:
        denied = await call(application, "restart-container", restart, "k", principal=reader)
        allowed = await call(application, "restart-container", restart, "k", principal=Principal("carol", "admin"))
    assert denied.error is not None
    assert denied.error.code == "denied"
    assert allowed.error is None


@pytest.mark.parametrize("key", ["", "a b", "x" * 129, 7, "ü", ["k"]])
async def test_a_key_that_is_none_is_refused(serve: Serve, key: object) -> None:
    async with serve() as application:
        answer = await call(application, "stop-container", {"container_name": "web"}, key)
    assert answer.error is not None
    assert answer.error.describe().startswith("invalid_arguments: _meta.idempotency_key is text")


async def test_reads_need_no_key(serve: Serve) -> None:
    async with serve() as application:
        answers = [await call(application, "list-containers", {}, "k") for _ in range(2)]
    assert [answer.error for answer in answers] == [None, None]
    assert answers[0].command_id != answers[1].command_id


@pytest.mark.postgres
async def test_a_call_with_a_key_is_refused_while_the_log_cannot_be_asked(
    serve: Serve, own_postgres: PostgresServer, proxy: EngineProxy, container: str
) -> None:
    location = Location.parse(own_postgres.url(own_postgres.create_database()))
    migrate(location)
    restart = {"container_name": container, "timeout": 0}
    async with serve(location, DOCKER_HOST=proxy.url, **AUTH) as application:
        first = await call(application, "restart-container", restart, "k")
        asked = proxy.changes()
        own_postgres.stop()
        for key in ("k", "other"):
            refused = await call(application, "restart-container", restart, key)
            assert refused.error is not None
            assert refused.error.code == "log_unavailable"
        own_postgres.start()
        again = await call(application, "restart-container", restart, "k")
    assert first.error is None
    assert (again.command_id, again.content()) == (first.command_id, first.content())
    assert proxy.changes() == asked
