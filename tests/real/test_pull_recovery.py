"""A server dies while the engine pulls an image; and every tool that changes something has such a test."""

import docker
import pytest

from adapters.store.location import Location
from domain.catalogue import CATALOGUE
from domain.catalogue.tool import Effect
from tests.conftest import Serve
from tests.engine_proxy import EngineProxy, Fault
from tests.real.registry import Registry
from tests.server import test_recovery, test_stack_recovery
from tests.server.quick import dying_server, settled, settling_in
from tests.waiting import until

pytestmark = pytest.mark.promise("P5")

PULL = "image-pull"
ABOUT_THE_LOG = {"approvals-approve", "approvals-refuse"}
"""They change no engine; tests/cli/test_reconcile.py has them."""


@pytest.mark.anyio
@pytest.mark.parametrize(("fault", "status"), [(Fault.MUTE, "success"), (Fault.HANG, "failed")], ids=str)
async def test_an_interrupted_pull_is_settled_by_what_is_seen(
    serve: Serve,
    sqlite_location: Location,
    proxy: EngineProxy,
    registry: Registry,
    engine: docker.APIClient,
    fault: Fault,
    status: str,
) -> None:
    wanted = f"{registry.address}/app:one"
    async with dying_server(sqlite_location, proxy, PULL, {"image": wanted}, fault, "POST .*/images/create") as process:
        if status == "success":
            await until(lambda: engine.images(wanted))
        process.kill()
    async with serve(catalogue=settling_in(0)) as application:
        assert (await settled(application))[-1].status == status


def test_every_tool_that_changes_something_is_interrupted_by_a_test() -> None:
    changing = {tool.name for tool in CATALOGUE if tool.effect is not Effect.READ}
    assert all(tool.recognise for tool in CATALOGUE if tool.name in changing)
    interrupted = {case.tool for case in test_recovery.CASES} | {tool for tool, *_ in test_stack_recovery.OPERATIONS}
    assert interrupted | {PULL, "deploy-compose"} | ABOUT_THE_LOG == changing
