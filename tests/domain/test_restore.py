"""A recorded command comes back from its record exactly, or not at all."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.canonical import JSON, canonical_json
from domain.catalogue.containers import CreateContainer
from domain.catalogue.stacks import DeployCompose
from domain.catalogue.tool import AnyTool
from domain.restore import NotRestorableError, restored, unsealed
from domain.secrets import SEALED_MARK, argument_tree, clear
from tests.domain.catalogue.examples import CALLS, TOOLS

WORDS = st.text("ab 0=:/[]", min_size=1, max_size=6)


def seal(place: str, value: str) -> JSON:
    return {"$sealed": {"place": place, "value": value}}


def digest(value: str) -> JSON:
    return {"$sealed": {"bytes": len(value)}}


def opened(place: str, sealed: Mapping[str, Any]) -> str:
    assert sealed["$sealed"]["place"] == place
    return str(sealed["$sealed"]["value"])


def recorded(command: Any) -> dict[str, JSON]:
    """The arguments as the log gives them back."""
    tree: dict[str, JSON] = orjson.loads(canonical_json(argument_tree(command, seal, digest)))
    return tree


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool.deferrable], ids=lambda tool: tool.name)
def test_every_command_comes_back(tool: AnyTool) -> None:
    command = tool.parse(CALLS[tool.name])
    if tool.name == "authenticate":
        return  # nothing is recorded of its key, and nobody has to approve it

    again = restored(tool.command, recorded(command), opened)

    if tool.command is DeployCompose:
        assert again == command.model_copy(update={"compose_yaml": SEALED_MARK})
    else:
        assert argument_tree(again, clear) == argument_tree(command, clear)


@given(
    environment=st.dictionaries(st.sampled_from("AB"), WORDS | st.booleans() | st.integers(-5, 5)),
    ports=st.sampled_from([{}, [], {"80": None}, {"80": ["8080", 8081]}, {"80": 8080}, ["8080:80"], ["80"]]),
    labels=st.dictionaries(WORDS, WORDS, max_size=2),
    command=st.lists(WORDS, min_size=1, max_size=3),
)
def test_arguments_of_every_shape_come_back(
    environment: dict[str, Any], ports: Any, labels: dict[str, str], command: list[str]
) -> None:
    asked = CreateContainer(image="a", environment=environment, ports=ports, labels=labels, command=command)

    again = restored(CreateContainer, recorded(asked), opened)

    assert argument_tree(again, clear) == argument_tree(asked, clear)
    assert again.ports == asked.ports or not asked.ports
    assert again.labels == asked.labels


@pytest.mark.parametrize(
    "change", [{"image": 3}, {"command": [["a", "b"]]}, {"bogus": 1}, {"environment": "all"}, {"start": "yes"}]
)
def test_a_record_of_another_form_yields_nothing(change: dict[str, JSON]) -> None:
    tree = recorded(CreateContainer(image="nginx"))

    with pytest.raises(NotRestorableError):
        restored(CreateContainer, {**tree, **change}, opened)


def test_a_plan_is_opened_at_its_places() -> None:
    plan = {
        "services": {"a/b": {"environment": {"T~": seal("/plan/services/a~1b/environment/T~0", "x")}, "ports": [1]}}
    }

    assert unsealed(plan, opened, "plan") == {"services": {"a/b": {"environment": {"T~": "x"}, "ports": [1]}}}
