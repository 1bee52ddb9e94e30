"""A mistake in the server never leaves a command open: what had not begun is given up, what had is looked at."""

from typing import Any

import docker
import pytest

from domain.lifecycle import FINAL
from tests.conftest import Serve, caller
from tests.server.quick import settling_in
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.engine, pytest.mark.promise("P5")]


def _broken(*_arguments: Any, **_named: Any) -> Any:
    raise ZeroDivisionError("words that nobody may read")


@pytest.mark.parametrize(
    ("place", "ending"),
    [
        ("server.effect.EffectRunner.pin", "command.cancelled"),
        ("server.projector.outcome_event", "command.succeeded"),
    ],
)
async def test_a_command_ends_whatever_goes_wrong(
    serve: Serve, container: str, engine: docker.APIClient, monkeypatch: pytest.MonkeyPatch, place: str, ending: str
) -> None:
    async with serve(catalogue=settling_in(0)) as application:
        monkeypatch.setattr(place, _broken)
        arguments = {"container_name": container, "timeout": 0}
        answer = await application.dispatcher.dispatch("stop-container", arguments, caller(application))
        assert answer.error is not None
        assert answer.error.describe() == "internal_error: unexpected ZeroDivisionError in the server"

        def last() -> Any:
            return application.store.read_stream(answer.command_id)[-1]

        await until(lambda: last().status in FINAL)
        assert last().type == ending
        assert engine.inspect_container(container)["State"]["Running"] == (ending == "command.cancelled")
