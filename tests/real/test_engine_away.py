"""An engine that is not there, hangs, or breaks off while it is read: every call ends in time and says why."""

import time
from typing import Any

import anyio
import docker
import pytest

from server.call import Answer
from tests.conftest import Serve
from tests.engine_proxy import EngineProxy, Fault
from tests.real.calls import Calls, Name, eventually
from tests.waiting import BUSY_S

pytestmark = pytest.mark.anyio


@pytest.fixture
async def talking(engine: docker.APIClient, image: str, name: Name) -> dict[str, str]:
    """The names of two containers that have printed something, one of them on a terminal."""
    for suffix, tty in (("plain", False), ("terminal", True)):
        command = ["sh", "-c", "echo a long line of text; exec sleep 600"]
        engine.start(engine.create_container(image, command, name=name(suffix), tty=tty))
        await eventually(lambda suffix=suffix: engine.logs(name(suffix)))  # type: ignore[misc]
    return {suffix: name(suffix) for suffix in ("plain", "terminal")}


def failed(call: Calls, answer: Answer, code: str) -> None:
    assert answer.error is not None, answer.content()
    assert answer.error.code == code, answer.error.describe()
    assert (call.status(answer), call.outcome(answer)["applied"]) == ("failed", "none")


@pytest.mark.promise("P9")
async def test_reads_of_a_hanging_engine_fail_in_time(
    impatient: Calls, proxy: EngineProxy, talking: dict[str, str]
) -> None:
    reads: list[tuple[str, dict[str, Any]]] = [
        ("list-containers", {}),
        ("network-list", {}),
        ("image-list", {}),
        ("system-info", {}),
        ("network-inspect", {"name": "bridge"}),
        ("inspect-container", {"container_name": "silent"}),
        ("container-stats", {"container_name": talking["plain"]}),
        ("get-logs", {"container_name": talking["plain"]}),
        ("get-logs", {"container_name": talking["terminal"]}),
    ]
    await impatient("system-info")
    proxy.fail("/logs", Fault.STALL)
    proxy.fail("/stats", Fault.STALL)
    proxy.fail("/containers/silent/json", Fault.HANG)
    proxy.fail("/(info|networks|images/json|containers/json)", Fault.HANG)
    began = time.monotonic()
    answers: list[Answer] = []

    async def run(tool: str, arguments: dict[str, Any]) -> None:
        answers.append(await impatient.answer(tool, **arguments))

    async with anyio.create_task_group() as group:
        for tool, arguments in reads:
            group.start_soon(run, tool, arguments)
    assert time.monotonic() - began < BUSY_S
    for answer in answers:
        failed(impatient, answer, "engine_interrupted")


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.TRUNCATE])
@pytest.mark.parametrize(
    ("tool", "arguments", "request_line"),
    [
        ("list-containers", {"all": True}, "GET .*/containers/json"),
        ("network-list", {}, "GET .*/networks"),
        ("image-list", {}, "GET .*/images/json"),
        ("system-info", {}, "GET .*/info"),
    ],
)
async def test_a_read_whose_answer_breaks_off_fails(
    proxied: Calls, proxy: EngineProxy, tool: str, arguments: dict[str, Any], request_line: str, fault: Fault
) -> None:
    await proxied("system-info")
    proxy.fail(request_line, fault)
    failed(proxied, await proxied.answer(tool, **arguments), "engine_interrupted")
    proxy.heal()
    await proxied(tool, **arguments)


async def test_logs_that_break_off_are_not_taken_for_the_whole_log(
    proxied: Calls, proxy: EngineProxy, talking: dict[str, str]
) -> None:
    for fault in (Fault.CUT, Fault.TRUNCATE):
        for container in talking.values():
            proxy.heal()
            assert (await proxied("get-logs", container_name=container))["lines"] == ["a long line of text"]
            proxy.fail("GET .*/logs", fault)
            failed(proxied, await proxied.answer("get-logs", container_name=container), "engine_interrupted")


@pytest.mark.promise("P9")
async def test_calls_that_wait_for_a_hanging_engine_wait_side_by_side(
    serve: Serve, image: str, proxy: EngineProxy
) -> None:
    proxy.fail(".", Fault.HANG)
    codes: list[str] = []

    async def list_containers(call: Calls) -> None:
        codes.append((await call.refused("list-containers")).code)

    began = time.monotonic()
    async with (
        serve(DOCKER_HOST=proxy.url, DOCKER_MCP_ENGINE_TIMEOUT_S=4) as application,
        anyio.create_task_group() as group,
    ):
        for _each in range(8):
            group.start_soon(list_containers, Calls(application))
    assert codes == ["engine_unreachable"] * 8
    assert time.monotonic() - began < BUSY_S


@pytest.mark.parametrize("where", ["unix:///no/such/docker.sock", "tcp://127.0.0.1:1", "tcp://no-such-host.invalid:1"])
async def test_without_an_engine_the_server_starts_and_every_call_says_what_is_wrong(serve: Serve, where: str) -> None:
    async with serve(DOCKER_HOST=where) as application:
        call = Calls(application)
        calls: list[tuple[str, dict[str, Any]]] = [
            ("list-containers", {}),
            ("create-container", {"image": "x"}),
            ("stop-container", {"container_name": "x"}),
        ]
        for tool, arguments in calls:
            answer = await call.answer(tool, **arguments)
            failed(call, answer, "engine_unreachable")
            assert answer.error is not None
            assert answer.error.retryable
            assert "DOCKER_HOST" in answer.error.hint
        assert "engine" in await application.problems()


@pytest.mark.parametrize(
    "where",
    [
        "nonsense://x",
        "tcp://",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:99999",
        "tcp://127.0.0.1:x",
        "ssh://a@b",
        "fd://",
        "/run/docker.sock",
    ],
)
async def test_an_address_that_no_engine_can_have_is_a_configuration_error(serve: Serve, where: str) -> None:
    async with serve(DOCKER_HOST=where) as application:
        answer = await Calls(application).answer("list-containers")
        failed(Calls(application), answer, "configuration")
        assert answer.error is not None
        assert answer.error.hint


async def test_an_engine_that_comes_back_is_used_again(proxied: Calls, proxy: EngineProxy) -> None:
    await proxied("system-info")
    proxy.refuse()
    failed(proxied, await proxied.answer("system-info"), "engine_unreachable")
    proxy.listen()
    await proxied("system-info")


@pytest.mark.parametrize(("status", "message"), [(403, "forbidden by policy"), (400, "Client sent an HTTP request")])
async def test_whoever_refuses_at_the_address_of_the_engine_is_quoted(
    serve: Serve, image: str, proxy: EngineProxy, status: int, message: str
) -> None:
    proxy.reply("GET /version", status, message)
    async with serve(DOCKER_HOST=proxy.url) as application:
        answer = await Calls(application).answer("list-containers")
        failed(Calls(application), answer, "engine_unreachable")
        assert answer.error is not None
        assert message in answer.error.message
