"""Each failpoint is really passed, and nothing in the product gives one an effect."""

import signal
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from adapters.store.location import Location
from domain import failpoints
from domain.failpoints import Failpoint
from tests.conftest import Serve, caller
from tests.engine_proxy import EngineProxy, Fault
from tests.real.stack_files import one_service
from tests.server.quick import dying_server, settled_down, settling_in
from tests.torture.failpoints import arm, parse

ROOT = Path(__file__).parents[2]


@pytest.mark.anyio
@pytest.mark.engine
async def test_every_failpoint_is_passed_by_some_command(
    serve: Serve,
    sqlite_location: Location,
    proxy: EngineProxy,
    container: str,
    image: str,
    name: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passed: dict[Failpoint, set[str]] = {}
    monkeypatch.setattr(failpoints, "reach", lambda point, detail: passed.setdefault(point, set()).add(detail))
    restart = {"container_name": container, "timeout": 0}
    async with dying_server(
        sqlite_location, proxy, "restart-container", restart, Fault.HANG, "POST .*/restart"
    ) as process:
        process.kill()
    deploy = {"project_name": name("stack"), "compose_yaml": orjson.dumps(one_service(image)).decode()}
    async with serve(catalogue=settling_in(0)) as application:
        await settled_down(application)
        for tool, arguments in (("restart-container", restart), ("deploy-compose", deploy)):
            answer = await application.dispatcher.dispatch(tool, arguments, caller(application))
            assert answer.error is None, answer.error.describe()
    assert set(passed) == set(Failpoint)
    for point in (Failpoint.BEFORE_APPEND, Failpoint.IN_APPEND, Failpoint.AFTER_COMMIT):
        assert {"execution.started", "command.succeeded"} <= {word for told in passed[point] for word in told.split()}
    for point in (Failpoint.BEFORE_REQUEST, Failpoint.AFTER_REQUEST):
        assert any(told.startswith("POST ") and "/restart" in told for told in passed[point])
    assert any(" up " in told for told in passed[Failpoint.IN_COMPOSE])
    assert passed[Failpoint.BEFORE_SETTLING] == {"restart-container"}
    assert passed[Failpoint.SETTLING] == {"command.failed"}


def test_nothing_happens_at_a_failpoint_of_the_product() -> None:
    assert failpoints.reach is failpoints.nothing
    for package in ("adapters", "domain", "server", "migrations"):
        for file in (ROOT / package).rglob("*.py"):
            if file != ROOT / "domain/failpoints.py":
                assert "failpoints.arm" not in file.read_text(), f"{file} arms failpoints"


def test_a_rule_acts_once_at_the_passing_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr("os.kill", lambda _pid, number: sent.append(number))
    monkeypatch.setattr(failpoints, "reach", failpoints.nothing)
    arm("before-request/POST.*=kill@2 after-commit=stop")
    for detail in ("POST /a", "GET /b", "POST /c", "POST /d"):
        failpoints.reach(Failpoint.BEFORE_REQUEST, detail)
    assert sent == [signal.SIGKILL]
    failpoints.reach(Failpoint.AFTER_COMMIT, "")
    assert sent == [signal.SIGKILL, signal.SIGSTOP]


@pytest.mark.parametrize("text", ["after-commit", "after-commit=explode", "nowhere=kill"])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"rule|Failpoint"):
        parse(text)
