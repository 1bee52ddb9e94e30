"""What holds for every tool and prompt of the catalogue."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from pydantic import TypeAdapter

from domain.catalogue import CATALOGUE
from domain.catalogue.fields import ImageReference
from domain.catalogue.tool import AnyTool, Command, Effect, PromptCommand, Surface
from domain.objects import Kind
from domain.secrets import digested_fields, dropped_fields, revealing_fields
from tests.domain.catalogue.examples import CALLS, TOOLS
from tests.tokens import MOST_TOKENS, tokens

SNAPSHOTS = Path(__file__).parent / "snapshots"

every_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)


def mcp_form(tool: AnyTool) -> dict[str, Any]:
    """What a client is told of a tool."""
    return {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": tool.shown_schema,
        "annotations": tool.annotations(),
    }


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Every part of a schema."""
    if isinstance(schema, dict):
        yield schema
        for part in schema.values():
            yield from objects(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from objects(part)


def without_names(schema: Any) -> Any:
    """A schema whose arguments have no names of their own, so that an argument called title is no title."""
    if isinstance(schema, dict):
        return {
            key: [without_names(item) for item in part.values()]
            if key in ("properties", "$defs") and isinstance(part, dict)
            else without_names(part)
            for key, part in schema.items()
        }
    return [without_names(part) for part in schema] if isinstance(schema, list) else schema


@every_tool
def test_a_tool_is_as_it_was_last_agreed(tool: AnyTool) -> None:
    """Run with UPDATE_SNAPSHOTS=1 to agree to a change; agents out there rely on what stands here."""
    file = SNAPSHOTS / f"{tool.name}.json"
    now = json.dumps({**mcp_form(tool), "surface": tool.surface, "effect": tool.effect}, indent=2) + "\n"
    if os.environ.get("UPDATE_SNAPSHOTS") == "1":
        file.write_text(now)
    assert file.exists(), f"{tool.name} has no snapshot"
    assert file.read_text() == now


def test_no_snapshot_is_left_of_a_tool_that_is_gone() -> None:
    assert {file.stem for file in SNAPSHOTS.iterdir()} == {tool.name for tool in TOOLS}


def test_names_are_unique_and_speak_one_style() -> None:
    names = [tool.name for tool in TOOLS]

    assert len(set(names)) == len(names)
    assert all(name.replace("-", "").isalpha() and name.islower() for name in names)


def test_the_tools_that_were_asked_for_are_there() -> None:
    asked = {
        "create-container", "list-containers", "get-logs", "start-container", "stop-container", "restart-container",
        "remove-container", "network-create", "network-remove", "network-list", "network-connect",
        "network-disconnect", "network-inspect",
    }  # fmt: skip
    assert asked <= {tool.name for tool in CATALOGUE.on(Surface.TOOL)}
    assert {"audit-logs", "authenticate", "incident-review"} == {tool.name for tool in CATALOGUE.on(Surface.PROMPT)}


def test_the_list_of_tools_is_small_enough_for_an_agent() -> None:
    assert tokens([mcp_form(tool) for tool in CATALOGUE.on(Surface.TOOL)]) < MOST_TOKENS


@pytest.mark.promise("P7")
@every_tool
def test_an_argument_that_names_an_image_is_declared(tool: AnyTool) -> None:
    """So that rules about images see it."""
    pattern = TypeAdapter(ImageReference).json_schema()["pattern"]
    properties = tool.input_schema.get("properties", {})
    assert [name for name, schema in properties.items() if schema.get("pattern") == pattern] == (
        [tool.image] if tool.image else []
    )
    given = tool.parse(CALLS[tool.name])
    assert tool.images(given, None) == (None if tool.prepare else (CALLS[tool.name]["image"],) if tool.image else ())


@every_tool
def test_title_and_description_say_something(tool: AnyTool) -> None:
    assert tool.title
    assert tool.description.endswith(".")
    assert "\n" not in tool.description
    assert "``" not in json.dumps(mcp_form(tool))
    assert "__doc__" in vars(tool.command), "the description is the command's own"


@every_tool
def test_all_four_hints_are_stated_and_agree_with_the_effect(tool: AnyTool) -> None:
    hints = tool.annotations()

    assert set(hints) == {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}
    assert all(isinstance(hint, bool) for hint in hints.values())
    assert hints["readOnlyHint"] == (tool.effect is Effect.READ)
    assert hints["destructiveHint"] == (tool.effect in (Effect.MUTATE, Effect.DESTROY))
    if tool.effect is Effect.READ:
        assert hints["idempotentHint"] == (tool.name != "authenticate"), "each token is another one"


@every_tool
def test_the_schema_is_a_valid_one(tool: AnyTool) -> None:
    jsonschema.Draft202012Validator.check_schema(tool.input_schema)
    assert tool.input_schema["type"] == "object"


@every_tool
def test_no_level_of_the_schema_lets_unknown_arguments_in(tool: AnyTool) -> None:
    for part in objects(tool.input_schema):
        if part.get("type") == "object" and "additionalProperties" not in part:
            pytest.fail(f"open object: {part}")
        if isinstance(part.get("properties"), dict) and "type" in part:
            assert part["additionalProperties"] is False


@every_tool
def test_the_schema_spends_nothing_on_titles_and_nulls(tool: AnyTool) -> None:
    for part in objects(without_names(tool.input_schema)):
        assert "title" not in part
        assert part.get("type") != "null"
        assert "default" not in part or part["default"] is not None


@every_tool
def test_the_schema_has_no_choice_at_its_top(tool: AnyTool) -> None:
    assert not set(tool.input_schema) & {"anyOf", "oneOf", "allOf", "not", "if", "$ref", "enum"}


@every_tool
def test_the_schema_allows_the_example_and_names_its_arguments(tool: AnyTool) -> None:
    jsonschema.Draft202012Validator(tool.input_schema).validate(CALLS[tool.name])
    assert set(tool.input_schema.get("properties", ())) == set(CALLS[tool.name])


@every_tool
def test_the_summary_tells_the_arguments_it_names_and_no_secret(tool: AnyTool) -> None:
    command = tool.parse(CALLS[tool.name])
    model: type[Command] = tool.command
    summary = tool.summarise(command)

    for target in (*tool.targets, *filter(None, (tool.creates,))):
        assert str(getattr(command, target.field)) in summary
        assert target.field not in revealing_fields(model)
    assert "secret" not in summary
    assert "{" not in summary


@every_tool
def test_exactly_the_tools_that_change_something_can_be_recognised(tool: AnyTool) -> None:
    assert (tool.recognise is None) == (tool.effect is Effect.READ)


def test_only_what_is_pulled_and_stacks_may_be_missing_beforehand() -> None:
    """Of a stack that is missing, its tools say themselves whether it was ever deployed."""
    optional = {(tool.name, target.kind) for tool in TOOLS for target in tool.targets if not target.required}
    on_stacks = {tool.name for tool in TOOLS for target in tool.targets if target.kind is Kind.STACK}

    assert optional == {("image-pull", Kind.IMAGE), *((name, Kind.STACK) for name in on_stacks)}
    assert on_stacks == {
        "deploy-compose", "compose-start", "compose-stop", "compose-restart", "compose-down"
    }  # fmt: skip


def test_what_is_made_is_named_by_the_caller() -> None:
    made = {tool.name: (tool.creates.field, tool.creates.kind) for tool in TOOLS if tool.creates}

    assert made == {"create-container": ("name", "container"), "network-create": ("name", "network")}


@every_tool
def test_a_tool_has_time_limits(tool: AnyTool) -> None:
    command = tool.parse(CALLS[tool.name])

    assert 0 < tool.limit_s <= 3600
    assert 0 < tool.settle_s(command) <= 3600


@every_tool
def test_the_port_has_the_method_and_the_method_takes_the_command(tool: AnyTool) -> None:
    method = vars(tool.port)[tool.apply.__name__]

    assert method is tool.apply
    assert issubclass(tool.command, method.__annotations__["command"])


@pytest.mark.promise("P7")
def test_only_removing_a_stack_with_its_volumes_destroys_more_than_its_tool_says() -> None:
    calls = [(tool, tool.parse({**CALLS[tool.name], **more})) for tool in TOOLS for more in ways_of(tool)]
    more = {tool.name for tool, command in calls if tool.effect_of(command) is not tool.effect}
    down = CATALOGUE.find("compose-down", Surface.TOOL)

    assert more == {"compose-down"}
    assert down.effect_of(down.parse({"project_name": "shop"})) is Effect.MUTATE
    assert down.effect_of(down.parse({"project_name": "shop", "volumes": True})) is Effect.DESTROY


def ways_of(tool: AnyTool) -> list[dict[str, Any]]:
    switches = [name for name, part in tool.input_schema["properties"].items() if part.get("type") == "boolean"]
    return [{}, *({name: value} for name in switches for value in (True, False))]


@every_tool
def test_of_an_argument_only_a_digest_is_kept_if_what_is_made_of_it_is_recorded(tool: AnyTool) -> None:
    model: type[Command] = tool.command
    planned = tool.prepare is not None

    assert bool(digested_fields(model)) == planned
    assert planned == (tool.name == "deploy-compose")


@pytest.mark.promise("P6")
def test_of_credentials_nothing_is_kept() -> None:
    models: dict[str, type[Command]] = {tool.name: tool.command for tool in TOOLS}

    assert [(name, field) for name, model in models.items() for field in dropped_fields(model)] == [
        ("authenticate", "api_key")
    ]


@pytest.mark.promise("P7")
def test_without_credentials_one_can_only_ask_for_a_token() -> None:
    assert {(tool.name, tool.surface) for tool in TOOLS if tool.open_to_all} == {("authenticate", Surface.PROMPT)}


@every_tool
def test_what_clients_send_to_a_prompt_is_text(tool: AnyTool) -> None:
    assert issubclass(tool.command, PromptCommand) == (tool.surface is Surface.PROMPT)
