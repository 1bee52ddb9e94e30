"""What is not a right call is refused, by the name of the argument and never by its value."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.canonical import canonical_json
from domain.catalogue import CATALOGUE
from domain.catalogue.tool import AnyTool, Command, Surface
from domain.errors import InvalidArgumentsError
from domain.secrets import argument_tree, clear
from tests.domain.catalogue.examples import CALLS, TOOLS, Path, at, changed, label, maps, places

every_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
MARKER = "marker4711"
ODD_TEXT = st.text(st.characters(), max_size=20).map(lambda text: f"{text}{MARKER}{text}")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ODD_TEXT,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def refused(tool: AnyTool, arguments: Any) -> InvalidArgumentsError:
    with pytest.raises(InvalidArgumentsError) as error:
        tool.parse(arguments)
    told = error.value.describe()
    assert error.value.code == "invalid_arguments"
    assert error.value.message.startswith(f"{tool.name}: ")
    assert len(told) < 4_000
    assert "\n" not in told
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__ or error.value.__context__ is None
    return error.value


@every_tool
def test_the_example_with_all_arguments_is_understood(tool: AnyTool) -> None:
    command = tool.parse(CALLS[tool.name])

    assert command.model_dump() == CALLS[tool.name]
    assert canonical_json(argument_tree(command, clear))


@every_tool
def test_required_arguments_are_enough_and_none_of_them_can_be_missing(tool: AnyTool) -> None:
    required = {name for name, field in tool.command.model_fields.items() if field.is_required()}
    least = {name: value for name, value in CALLS[tool.name].items() if name in required}

    tool.parse(least)
    for missing in required:
        error = refused(tool, {name: value for name, value in least.items() if name != missing})
        assert f"{missing}: Field required" in error.message
        assert missing in error.hint


@every_tool
def test_arguments_that_are_no_object_are_refused(tool: AnyTool) -> None:
    for arguments in (None, [], [MARKER], MARKER, 5, True, [("container_name", MARKER)]):
        assert MARKER not in refused(tool, arguments).describe()


def objects_of(tool: AnyTool) -> Iterator[Path]:
    """Places of objects with fixed arguments, not of maps with free keys."""
    command = tool.parse(CALLS[tool.name])
    for place in maps(CALLS[tool.name]):
        value: Any = command
        for step in place:
            value = getattr(value, str(step)) if isinstance(value, Command) else value[step]
        if isinstance(value, Command):
            yield place


@every_tool
@pytest.mark.parametrize(
    "name",
    ["nme", "", " ", "__class__", "model_fields", "\x00", "\ud800", "a" * 100_000, "name\n", "$sealed"],
    ids=range(10),
)
def test_an_unknown_argument_is_refused_wherever_it_stands(tool: AnyTool, name: str) -> None:
    for place in objects_of(tool):
        arguments = copy.deepcopy(CALLS[tool.name])
        at(arguments, place)[name] = MARKER
        error = refused(tool, arguments)
        assert MARKER not in error.describe()
        if "\ud800" not in name:
            assert "no such argument" in error.message
            assert ".".join(map(str, place)) in error.message


def test_a_misspelt_argument_is_answered_with_the_right_one() -> None:
    tool = CATALOGUE.find("stop-container", Surface.TOOL)

    assert "did you mean container_name?" in refused(tool, {"container": "web"}).message
    assert "arguments: container_name, [timeout]" in refused(tool, {"container_name": "web", "seconds": 1}).hint


WRONG: dict[str, list[Any]] = {
    "string": [5, True, [MARKER], {MARKER: MARKER}, 0.5],
    "integer": ["5", MARKER, True, 5.5, 5.0, [5], {}],
    "boolean": ["true", MARKER, 1, 0, "yes", [], None],
    "array": [MARKER, 5, True, {}],
    "object": [MARKER, 5, True, []],
}


def simple_arguments() -> Iterator[Any]:
    for tool in CATALOGUE.on(Surface.TOOL):
        for name, schema in tool.input_schema.get("properties", {}).items():
            if "type" in schema:
                yield pytest.param(tool, name, schema, id=f"{tool.name}-{name}")


@pytest.mark.parametrize(("tool", "name", "schema"), list(simple_arguments()))
def test_nothing_is_coerced(tool: AnyTool, name: str, schema: dict[str, Any]) -> None:
    for value in WRONG[schema["type"]]:
        error = refused(tool, {**CALLS[tool.name], name: value})
        assert f": {name}" in error.message
        assert MARKER not in error.describe()


@pytest.mark.parametrize(("tool", "name", "schema"), list(simple_arguments()))
def test_limits_hold(tool: AnyTool, name: str, schema: dict[str, Any]) -> None:
    beyond: list[Any] = []
    if "maximum" in schema:
        beyond += [schema["maximum"] + 1, schema["minimum"] - 1, 10**400]
        tool.parse({**CALLS[tool.name], name: schema["maximum"]})
        tool.parse({**CALLS[tool.name], name: schema["minimum"]})
    if "maxLength" in schema:
        beyond += ["a" * (schema["maxLength"] + 1), "a" * 1_000_000]
    if "maxItems" in schema:
        beyond += [["a"] * (schema["maxItems"] + 1)]
    if "maxProperties" in schema:
        beyond += [{f"/{number}": "/x" for number in range(schema["maxProperties"] + 1)}]
    for value in beyond:
        assert f": {name}" in refused(tool, {**CALLS[tool.name], name: value}).message


NOT_NAMES = [
    "-web", "--force", "-", "", " ", "..", ".", "../web", "a/b", "/web", "a/../b", "a b", " web", "web ", "web\n",
    "\nweb", "a\x00b", "\ud800", "wéb", "a;b", "$(id)", "`id`", "a%2fb", "a?b", "a#b", "a&b", "a=b", "*", "a@b", "a:b",
    "\u202eweb", "ａ", "x" * 129, "x" * 1_000_000,
]  # fmt: skip
NAMES = [
    pytest.param(tool, name, id=f"{tool.name}-{name}")
    for tool in TOOLS
    for name, schema in tool.input_schema.get("properties", {}).items()
    if schema.get("pattern") == "^[A-Za-z0-9][A-Za-z0-9_.-]*$"
]


def test_there_are_arguments_that_name_objects() -> None:
    assert len(NAMES) == 15


@pytest.mark.parametrize(("tool", "name"), NAMES)
def test_what_is_no_name_is_refused(tool: AnyTool, name: str) -> None:
    for value in NOT_NAMES:
        error = refused(tool, {**CALLS[tool.name], name: value})
        assert f": {name}: " in error.message
        assert len(value) < 4 or value not in error.describe()


ON_STACKS = [tool for tool in TOOLS if "project_name" in tool.command.model_fields]
ON_SERVICES = [tool for tool in ON_STACKS if "service" in tool.command.model_fields]


@pytest.mark.parametrize("tool", ON_STACKS, ids=lambda tool: tool.name)
def test_what_is_no_name_of_a_stack_is_refused(tool: AnyTool) -> None:
    for value in [*NOT_NAMES, "Shop", "_shop", "shop.1", "s" * 64, "shop\n"]:
        error = refused(tool, {**CALLS[tool.name], "project_name": value})
        assert ": project_name: " in error.message
        assert len(value) < 4 or value not in error.describe()
    for value in ["s", "0", "shop-1_b", "s" * 63]:
        assert tool.parse({**CALLS[tool.name], "project_name": value}).project_name == value


@pytest.mark.parametrize("tool", ON_SERVICES, ids=lambda tool: tool.name)
def test_what_is_no_name_of_a_service_is_refused(tool: AnyTool) -> None:
    for value in [name for name in NOT_NAMES if name not in (".", "..")]:
        assert ": service: " in refused(tool, {**CALLS[tool.name], "service": value}).message
    for value in ["web", "Web", "_web", "a.b", "0", "s" * 128]:
        assert tool.parse({**CALLS[tool.name], "service": value}).service == value


@pytest.mark.parametrize("value", ["-web", "../x", "a/b", "", "x\x00"])
@pytest.mark.parametrize(("tool", "name"), [("create-container", "networks"), ("network-connect", "aliases")])
def test_what_is_no_name_is_refused_inside_lists(tool: str, name: str, value: str) -> None:
    refused(CATALOGUE.find(tool, Surface.TOOL), {**CALLS[tool], name: ["front", value]})


@pytest.mark.parametrize("tool", ["create-container", "image-pull"])
@pytest.mark.parametrize(
    "image",
    ["-x", "--all", "", "/a", "a/", "a//b", "a/../b", "../b", "a/./b", "..", "a b", "a\n", "a\x00", "\ud800", "https://x/y",
     "a?tag=b", "a#b", "a%2e%2e", "a/-b", "é", "x" * 385],
    ids=label,
)  # fmt: skip
def test_what_is_no_image_is_refused(tool: str, image: str) -> None:
    assert ": image: " in refused(CATALOGUE.find(tool, Surface.TOOL), {"image": image}).message


@pytest.mark.parametrize(
    "image",
    ["nginx", "nginx:1.27", "library/nginx", "registry.example:5000/a/b-c_d/e.f:v1.2-rc_1", "localhost/a", "a",
     "nginx@sha256:" + "0" * 64, "registry.example/app:1@sha256:" + "f" * 64, "sha256:" + "a" * 64, "UPPER/Case"],
)  # fmt: skip
def test_the_forms_of_an_image_are_taken(image: str) -> None:
    assert CATALOGUE.find("image-pull", Surface.TOOL).parse({"image": image}).image == image


@every_tool
@pytest.mark.parametrize("character", ["\x00", "\ud800"], ids=label)
def test_text_that_the_log_would_alter_is_refused_everywhere(tool: AnyTool, character: str) -> None:
    """Else the log would say one thing and Docker would be told another."""
    for place in places(CALLS[tool.name]):
        value = at(CALLS[tool.name], place)
        if isinstance(value, str):
            error = refused(tool, changed(CALLS[tool.name], place, f"{value}{character}"))
            assert f": {place[0]}" in error.message
    for place in maps(CALLS[tool.name]):
        arguments = copy.deepcopy(CALLS[tool.name])
        at(arguments, place)[f"/x{character}"] = "/y"
        refused(tool, arguments)


@every_tool
def test_deep_nesting_is_refused_without_a_crash(tool: AnyTool) -> None:
    deep_list: Any = MARKER
    deep_map: Any = MARKER
    for _ in range(50_000):
        deep_list, deep_map = [deep_list], {"a": deep_map}
    for place in places(CALLS[tool.name]):
        for value in (deep_list, deep_map):
            assert MARKER not in refused(tool, changed(CALLS[tool.name], place, value)).describe()


@every_tool
def test_very_many_arguments_are_refused(tool: AnyTool) -> None:
    error = refused(tool, {f"{MARKER}{number}": MARKER for number in range(20_000)})

    assert error.message.count("no such argument") == 5 - error.message.count("Field required")


@pytest.mark.promise("P6")
@every_tool
@settings(max_examples=30)  # of each tool
@given(data=st.data())
def test_no_value_of_an_argument_is_repeated(tool: AnyTool, data: st.DataObject) -> None:
    arguments: Any = copy.deepcopy(CALLS[tool.name])
    for _ in range(data.draw(st.integers(1, 3))):
        around = data.draw(st.sampled_from(list(maps(arguments))))
        names = [*at(arguments, around), f"more{len(around)}"]
        at(arguments, around)[data.draw(st.sampled_from(names))] = data.draw(VALUES)
    try:
        told = ""
        canonical_json(argument_tree(tool.parse(arguments), clear))
    except InvalidArgumentsError as error:
        told = error.describe()
    assert MARKER not in told


@pytest.mark.promise("P6")
@every_tool
def test_the_name_of_an_argument_is_shown_only_in_part(tool: AnyTool) -> None:
    long = "k" * 40 + MARKER + "k" * 100
    for place in maps(CALLS[tool.name]):
        arguments = copy.deepcopy(CALLS[tool.name])
        at(arguments, place)[long] = {"bad": [MARKER]}
        assert long not in refused(tool, arguments).describe()
