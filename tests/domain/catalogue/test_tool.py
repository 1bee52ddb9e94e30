"""A declaration with a mistake is refused when it is made; a catalogue finds what it holds."""

import time
from typing import Annotated, Any, Protocol

import pytest

from domain.catalogue import CATALOGUE
from domain.catalogue.recognise import Evidence, Verdict
from domain.catalogue.tool import AnyTool, Catalogue, Command, Effect, Result, Run, Surface, Target, Tool
from domain.errors import UnknownToolError
from domain.objects import Kind, ObjectState
from domain.secrets import SECRET


class Login(Command):
    password: Annotated[str, SECRET]


class Knock(Command):
    """Knock at a door."""

    door: str
    times: int | None = None
    key: Annotated[str, SECRET] | None = None
    login: Login | None = None


class Door(Protocol):
    def knock(self, command: Knock, run: Run) -> Result: ...


def declared(**changes: Any) -> AnyTool:
    given: dict[str, Any] = {
        "name": "knock",
        "title": "Knock",
        "command": Knock,
        "port": Door,
        "apply": Door.knock,
        "effect": Effect.READ,
        "idempotent": True,
        "summary": "knock at {door}",
    }
    return Tool(**{**given, **changes})


def judged(_evidence: Evidence) -> Verdict:
    return Verdict("yes", "always")


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        ({"summary": "knock at {window}"}, "window"),
        ({"summary": "knock at {door.name}"}, "door.name"),
        ({"summary": "{}"}, "no such fields"),
        ({"summary": "{0}"}, "no such fields"),
        ({"targets": (Target("window", Kind.CONTAINER),)}, "window"),
        ({"creates": Target("window", Kind.CONTAINER)}, "window"),
        ({"summary": "knock with {key}"}, "key"),
        ({"summary": "knock as {login}"}, "login"),
        ({"targets": (Target("key", Kind.CONTAINER),)}, "key"),
        ({"creates": Target("key", Kind.CONTAINER)}, "key"),
        ({"effect": Effect.MUTATE}, "recogniser"),
        ({"recognise": judged}, "recogniser"),
    ],
)
def test_a_declaration_with_a_mistake_is_refused(mistake: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        declared(**mistake)


def test_a_summary_shows_what_was_left_out_as_a_dash() -> None:
    tool = declared(summary="knock {times} times at {door}")

    assert tool.summarise(Knock(door="front")) == "knock - times at front"
    assert tool.summarise(Knock(door="front", times=3)) == "knock 3 times at front"


def test_a_summary_is_one_safe_line() -> None:
    assert declared().summarise(Knock(door="a\nb\x1b[31m" + "x" * 1000)).startswith("knock at a\\u000ab\\u001b[31mxxx")
    assert len(declared().summarise(Knock(door="x" * 1000))) == 256


def test_a_summary_cannot_be_used_to_format_anything_else() -> None:
    assert declared().summarise(Knock(door="{times} {door.__class__} %s")) == "knock at {times} {door.__class__} %s"


def test_the_object_is_what_is_made_or_else_the_first_that_is_named() -> None:
    made, named = Target("door", Kind.NETWORK), Target("door", Kind.CONTAINER)

    assert declared().object_name(Knock(door="front")) is None
    assert declared(targets=(named,)).object_name(Knock(door="front")) == "container/front"
    assert declared(targets=(named,), creates=made).object_name(Knock(door="front")) == "network/front"
    assert declared(targets=(Target("times", Kind.IMAGE),)).object_name(Knock(door="front")) is None


def test_a_tool_is_found_by_name_and_surface() -> None:
    tool = declared()
    prompt = declared(name="ask", surface=Surface.PROMPT)
    catalogue = Catalogue([tool, prompt])

    assert list(catalogue) == [tool, prompt]
    assert catalogue.on(Surface.TOOL) == [tool]
    assert catalogue.on(Surface.PROMPT) == [prompt]
    assert catalogue.find("knock", Surface.TOOL) is tool
    assert catalogue.by_name("ask") is prompt
    assert catalogue.by_name("knok") is catalogue.by_name(None) is catalogue.by_name("") is None


@pytest.mark.parametrize(("name", "surface"), [("knock", Surface.PROMPT), ("ask", Surface.TOOL), ("", Surface.TOOL)])
def test_a_name_on_the_wrong_surface_is_unknown(name: str, surface: Surface) -> None:
    with pytest.raises(UnknownToolError):
        Catalogue([declared(), declared(name="ask", surface=Surface.PROMPT)]).find(name, surface)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("list-container", "did you mean list-containers?"),
        ("create_container", "did you mean create-container?"),
        ("network-connct", "did you mean network-connect?"),
        ("x", "tools: "),
        ("marker" * 1_000_000, "tools: "),
        ("\x00\ud800", "tools: "),
    ],
    ids=["missing s", "underscore", "typo", "far off", "very long", "odd"],
)
def test_an_unknown_tool_is_answered_with_what_there_is(name: str, hint: str) -> None:
    with pytest.raises(UnknownToolError) as refused:
        CATALOGUE.find(name, Surface.TOOL)

    assert refused.value.hint.startswith(hint)
    assert "marker" not in refused.value.describe()


@pytest.mark.promise("P9")
def test_a_flood_of_a_name_costs_no_time() -> None:
    began = time.process_time()
    with pytest.raises(UnknownToolError):
        CATALOGUE.find("list-container" * 1_000_000, Surface.TOOL)
    assert time.process_time() - began < 0.5


def test_two_tools_cannot_have_one_name() -> None:
    with pytest.raises(ValueError, match="two tools are named knock"):
        Catalogue([declared(), declared(surface=Surface.PROMPT)])


def test_a_run_acts_on_the_object_that_was_pinned() -> None:
    container = ObjectState(kind=Kind.CONTAINER, id="1", name="web")
    network = ObjectState(kind=Kind.NETWORK, id="2", name="front")
    run = Run(command_id="c", principal="alice", pinned=(network, container))

    assert run.target(Kind.CONTAINER) is container
    assert run.target(Kind.NETWORK) is network
