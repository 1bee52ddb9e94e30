"""Whatever happened, there is an event that can record it."""

import pytest

from domain.catalogue import CATALOGUE
from domain.catalogue.container_results import Removed
from domain.catalogue.tool import sees_all
from domain.errors import DockerMcpError, EngineInterruptedError
from domain.events import MAX_DATA_BYTES
from domain.objects import Kind, ObjectState
from server.call import Caller, Job, Sight
from server.effect import Happened
from server.outcome import outcome_event
from tests.conftest import ADMIN
from tests.contract.events import stream


def job(tool_name: str = "remove-container") -> Job:
    tool = CATALOGUE.by_name(tool_name)
    assert tool
    arguments = {"container_name": "web"} if tool_name == "remove-container" else {}
    return Job(
        tool=tool,
        command=tool.parse(arguments),
        summary="a summary",
        stream=stream(),
        caller=Caller(principal=ADMIN, transport="test"),
        sight=Sight(sees_all, all_records=True),
        policy_digest="0123456789abcdef",
    )


@pytest.mark.parametrize("facts", [{"text": "x" * 70_000}, {"share": 0.5}])
@pytest.mark.parametrize("error", [None, EngineInterruptedError()])
def test_a_state_that_does_not_fit_is_left_out_of_the_outcome(
    facts: dict[str, object], error: DockerMcpError | None
) -> None:
    state = ObjectState(kind=Kind.CONTAINER, id="1", name="web", facts=facts)
    result = None if error else Removed(id="1", name="web")
    happened = Happened(result=result, error=error, change_asked=True, state_after=(state,))
    event = outcome_event(job(), happened, 5)
    assert event.type == ("command.unknown" if error else "command.succeeded")
    assert len(event.encode()) < MAX_DATA_BYTES
    assert "facts" not in event.encode()


@pytest.mark.parametrize(
    ("tool", "asked", "expected"),
    [
        ("remove-container", True, "command.unknown"),
        ("remove-container", False, "command.failed"),
        ("list-containers", False, "command.failed"),
    ],
)
@pytest.mark.parametrize("code", ["engine_interrupted", "internal_error"])
def test_only_a_change_that_was_asked_for_can_be_unknown(tool: str, asked: bool, expected: str, code: str) -> None:
    error = EngineInterruptedError() if code == "engine_interrupted" else DockerMcpError("a bug", code=code)
    assert outcome_event(job(tool), Happened(error=error, change_asked=asked), 5).type == expected


def test_a_command_that_brought_neither_result_nor_error_has_failed() -> None:
    assert outcome_event(job(), Happened(), 5).type == "command.failed"
