"""The engine hangs, breaks off or vanishes during a change: the command is unknown until a look has settled it."""

import time
from typing import Any

import anyio
import docker
import pytest

from server.call import Answer
from tests.engine_proxy import EngineProxy, Fault
from tests.real.calls import Calls, Name
from tests.real.registry import Registry
from tests.real.scene import CHANGES, NEW, Scene
from tests.waiting import BUSY_S

pytestmark = [pytest.mark.anyio, pytest.mark.promise("P5")]


@pytest.fixture
async def scene(proxied: Calls, proxy: EngineProxy, engine: docker.APIClient, image: str, name: Name) -> Scene:
    await proxied("system-info")
    return Scene(proxied, proxy, engine, image, name)


@pytest.fixture
async def hasty(impatient: Calls, proxy: EngineProxy, engine: docker.APIClient, image: str, name: Name) -> Scene:
    """The scene with tools that give up after a second."""
    await impatient("system-info")
    return Scene(impatient, proxy, engine, image, name)


@pytest.mark.parametrize(("tool", "given", "request_line"), CHANGES)
async def test_a_change_whose_answer_was_lost_is_found_to_have_happened_once(
    scene: Scene, tool: str, given: dict[str, Any], request_line: str
) -> None:
    arguments = scene.arrange(given)
    before = scene.state()
    scene.proxy.fail(request_line, Fault.CUT)
    answer = await scene.call.answer(tool, **arguments)
    after = scene.state()
    assert after != before
    outcome = await scene.settled(answer)
    assert scene.call.status(answer) == "success", outcome
    assert scene.state() == after


@pytest.mark.promise("P9")
async def test_changes_that_never_arrived_are_found_not_to_have_happened(hasty: Scene) -> None:
    calls = [(tool, hasty.arrange(given, str(number))) for number, (tool, given, _) in enumerate(CHANGES)]
    before = hasty.state()
    hasty.proxy.fail("^(POST|DELETE) ", Fault.HANG)
    answers: list[Answer] = []

    async def run(tool: str, arguments: dict[str, Any]) -> None:
        answers.append(await hasty.call.answer(tool, **arguments))

    began = time.monotonic()
    async with anyio.create_task_group() as group:
        for tool, arguments in calls:
            group.start_soon(run, tool, arguments)
    assert time.monotonic() - began < BUSY_S
    assert len(answers) == len(CHANGES)
    for answer in answers:
        outcome = await hasty.settled(answer)
        assert (hasty.call.status(answer), outcome["applied"]) == ("failed", "none"), outcome
    assert hasty.state() == before


@pytest.mark.parametrize(
    ("tool", "given", "request_line"), [change for change in CHANGES if "{new}" not in str(change)]
)
async def test_a_change_for_which_no_engine_is_left_has_failed_and_nothing_happened(
    scene: Scene, tool: str, given: dict[str, Any], request_line: str
) -> None:
    """The engine vanishes after the server has looked at the objects and before it asks for the change."""
    arguments = scene.arrange(given)
    before = scene.state()
    scene.proxy.fail("GET .*/containers/.*/json" if "container" in str(arguments) else "GET .*/networks/", Fault.LAST)
    answer = await scene.call.answer(tool, **arguments)
    assert answer.error is not None
    assert (answer.error.code, answer.error.applied) == ("engine_unreachable", "none")
    assert (scene.call.status(answer), scene.call.outcome(answer)["applied"]) == ("failed", "none")
    assert scene.call.started(answer)["pinned"]
    assert scene.state() == before


@pytest.mark.parametrize(
    ("tool", "given", "request_line"),
    [change for change in CHANGES if change[0] in ("create-container", "start-container", "stop-container")],
)
async def test_a_change_that_cannot_be_looked_at_afterwards_is_not_taken_for_a_failure(
    scene: Scene, tool: str, given: dict[str, Any], request_line: str
) -> None:
    """The engine takes the change, says so, and vanishes before the look at what came of it."""
    arguments = scene.arrange(given)
    scene.proxy.fail(request_line, Fault.LAST)
    answer = await scene.call.answer(tool, **arguments)
    after = scene.state()
    scene.proxy.listen()
    await scene.settled(answer)
    assert scene.call.status(answer) == "success"
    assert scene.state() == after


@pytest.mark.parametrize(
    ("request_line", "fault"), [("POST .*/containers/create", Fault.CUT), ("POST .*/start", Fault.HANG)]
)
async def test_a_container_that_was_made_but_perhaps_not_started_is_told_as_partly_done(
    hasty: Scene, request_line: str, fault: Fault
) -> None:
    hasty.proxy.fail(request_line, fault)
    answer = await hasty.call.answer("create-container", **hasty.arrange(NEW))
    outcome = await hasty.settled(answer)
    made = hasty.engine.inspect_container(hasty.name("new"))
    assert (hasty.call.status(answer), outcome["applied"]) == ("failed", "partial")
    assert outcome["touched"] == [{"kind": "container", "id": made["Id"], "name": hasty.name("new")}]
    assert made["State"]["Status"] == "created"


async def test_a_container_that_was_made_and_then_lost_is_told_as_partly_done(scene: Scene) -> None:
    scene.proxy.fail("POST .*/containers/create", Fault.LAST)
    answer = await scene.call.answer("create-container", **scene.arrange(NEW))
    assert answer.error is not None
    assert (answer.error.code, answer.error.applied) == ("partly_applied", "partial")
    assert scene.engine.inspect_container(scene.name("new"))["Id"][:12] in answer.error.message
    assert "remove-container" in answer.error.hint
    assert (scene.call.status(answer), scene.call.outcome(answer)["applied"]) == ("failed", "partial")


async def test_a_container_that_could_neither_start_nor_be_removed_is_told_as_partly_done(scene: Scene) -> None:
    scene.proxy.reply("DELETE .*/containers/", 500, "unable to remove filesystem: device or resource busy")
    arguments = {**scene.arrange(NEW), "command": "no-such-program"}
    answer = await scene.call.answer("create-container", **arguments)
    assert answer.error is not None
    assert (answer.error.code, answer.error.applied) == ("partly_applied", "partial")
    assert scene.engine.inspect_container(scene.name("new"))["Id"][:12] in answer.error.message
    assert '"no-such-program": executable file not found' in answer.error.message
    assert scene.call.outcome(answer)["applied"] == "partial"


async def test_an_answer_that_ends_in_the_middle_leaves_the_change_in_doubt(scene: Scene) -> None:
    scene.proxy.fail("POST .*/networks/create", Fault.TRUNCATE)
    answer = await scene.call.answer("network-create", name=scene.name("new"))
    await scene.settled(answer)
    assert scene.call.status(answer) == "success"


@pytest.mark.promise("P9")
@pytest.mark.parametrize("tool", ["image-pull", "create-container"])
async def test_a_pull_that_makes_no_progress_is_given_up(hasty: Scene, registry: Registry, tool: str) -> None:
    registry.stalled = True
    image = f"{registry.address}/app:one"
    arguments = {"image": image} if tool == "image-pull" else {"image": image, "name": hasty.name("new")}
    began = time.monotonic()
    answer = await hasty.call.answer(tool, **arguments)
    assert time.monotonic() - began < BUSY_S
    outcome = await hasty.settled(answer)
    assert (hasty.call.status(answer), outcome["applied"]) == ("failed", "none")
    assert hasty.engine.images(image) == []
    assert hasty.engine.containers(all=True, filters={"name": hasty.name("new")}) == []


async def test_a_pull_that_breaks_off_is_settled_by_looking(scene: Scene, registry: Registry) -> None:
    image = f"{registry.address}/app:one"
    scene.proxy.fail("POST .*/images/create", Fault.TRUNCATE)
    answer = await scene.call.answer("image-pull", image=image)
    outcome = await scene.settled(answer)
    assert scene.call.status(answer) == "success"
    assert outcome["touched"] == [{"kind": "image", "id": registry.image_id, "name": image}]
