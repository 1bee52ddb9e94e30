"""The commands that would make the world again as it was: for a person to look at and run. Secrets stay sealed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from domain.canonical import JSON
from domain.catalogue import CATALOGUE
from domain.events import CommandPlanned, CommandReceived, RecordedEvent, decode
from domain.objects import Kind
from domain.plan_record import recorded_plan
from domain.projections.folded import tree_of
from domain.replay.causes import Stream
from domain.replay.entry import EVERYTHING, Wanted
from domain.replay.view import Row, fits
from domain.replay.world import UNKNOWN, Known, World
from domain.restore import NotRestorableError, restored
from domain.secrets import SEALED_MARK, hide_sealed

_NEVER_RUN: Final = frozenset({"created"})


def rebuilding(world: World, stream: Stream, wanted: Wanted = EVERYTHING) -> Iterator[Row]:
    """Yield the calls that would make networks, stacks and containers again, in an order in which they can be made.

    A call is ``tool`` and ``arguments``, as a client makes it; ``made_by`` names the command that it repeats,
    ``fill_in`` the places where a sealed value has to be filled in. Where the log does not tell enough, ``note`` says
    what is missing.
    """
    fit = fits(wanted)
    for kind in (Kind.NETWORK, Kind.STACK, Kind.CONTAINER):
        for known in sorted(filter(fit, world.of(kind)), key=lambda each: each.name):
            if kind is Kind.STACK:
                yield from _stack(known, world, stream)
            elif not known.facts.get("stack"):
                yield from _single(known, stream)


def _single(known: Known, stream: Stream) -> Iterator[Row]:
    name = f"{known.kind}/{known.name}"
    arguments = _arguments(stream(known.made_by)) if known.made_by else None
    if arguments is None:
        image = f" from {known.facts['image']}" if known.facts.get("image") else ""
        yield {"object": name, "note": f"no recorded command made it{image}; make it by hand ({known.told()})"}
        return
    tool, given = arguments
    given = {**given, "name": known.name}
    if known.status in _NEVER_RUN:
        given["start"] = False
    yield _call(name, tool, given, known.made_by)
    if known.kind == Kind.CONTAINER:
        yield from _links(known, given)
        if known.status == "exited":
            yield _call(name, "stop-container", {"container_name": known.name}, None)
        elif known.status not in ("running", *_NEVER_RUN):
            yield {"object": name, "note": f"it was {known.told()}, which no command brings about"}


def _links(known: Known, given: Mapping[str, Any]) -> Iterator[Row]:
    """Yield what takes a new container into the networks that the old one was in, and out of others."""
    if "networks" not in known.facts:
        return
    was = [str(name) for name, *_ in known.facts["networks"]]
    starts_in = list(given.get("networks") or ["bridge"])
    for tool, networks in (
        ("network-connect", [name for name in was if name not in starts_in]),
        ("network-disconnect", [name for name in starts_in if name not in was]),
    ):
        for network in networks:
            link = {"network": network, "container": known.name}
            yield _call(f"container/{known.name}", tool, link, None)


def _stack(known: Known, world: World, stream: Stream) -> Iterator[Row]:
    name = f"stack/{known.name}"
    containers = [each for each in world.members(known.name) if each.kind == Kind.CONTAINER]
    if not containers and known.status != UNKNOWN:
        return
    events = stream(known.made_by) if known.made_by else ()
    decoded = (decode(event.type, event.data) for event in events if event.type == CommandPlanned.type)
    plan = recorded_plan(event for event in decoded if isinstance(event, CommandPlanned))
    if plan is None:
        yield {"object": name, "note": "no recorded command deployed it; deploy it from its file"}
        return
    text = orjson.dumps(hide_sealed(plan), option=orjson.OPT_INDENT_2).decode()
    yield _call(name, "deploy-compose", {"project_name": known.name, "compose_yaml": text}, known.made_by)
    stopped = sorted(each.name for each in containers if each.status == "exited" and each.facts.get("exit_code") != 0)
    if stopped:
        yield {"object": name, "note": f"{', '.join(stopped)} had ended with an error"}


def _arguments(events: Sequence[RecordedEvent]) -> tuple[str, dict[str, JSON]] | None:
    """Return tool and arguments of a recorded creation as a caller gives them, with marks in the place of secrets."""
    received = next((event for event in events if event.type == CommandReceived.type), None)
    tool = CATALOGUE.by_name(received.tool) if received else None
    tree = tree_of(received).get("arguments") if received else None
    if tool is None or not tool.creates or not isinstance(tree, dict):
        return None
    try:
        command = restored(tool.command, tree, lambda _place, _sealed: SEALED_MARK)
    except NotRestorableError:
        return None
    return tool.name, command.model_dump(mode="json", exclude_defaults=True)


def _call(name: str, tool: str, arguments: Mapping[str, JSON], made_by: str | None) -> Row:
    row: Row = {"object": name, "tool": tool, "arguments": dict(arguments)}
    if made_by:
        row["made_by"] = made_by
    if places := list(_sealed_places(arguments, "")):
        row["fill_in"] = places
    return row


def _sealed_places(tree: JSON, place: str) -> Iterator[str]:
    if isinstance(tree, str):
        if SEALED_MARK in tree:
            yield place or "/"
        return
    items = tree.items() if isinstance(tree, Mapping) else enumerate(tree) if isinstance(tree, list) else ()
    for step, value in items:
        yield from _sealed_places(value, f"{place}/{step}")
