"""The world as a fold of events: what outcomes of commands record, and what the engine told by itself."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from domain.catalogue import CATALOGUE
from domain.catalogue.tool import Effect
from domain.events import (
    CommandDeferred,
    CommandFailed,
    CommandReceived,
    CommandSucceeded,
    CommandUnknown,
    EngineObserved,
    ExecutionStarted,
    LogContinued,
)
from domain.lifecycle import FINAL
from domain.objects import Kind
from domain.projections.folded import FoldedEvent, tree_of
from domain.replay.engine import fold_engine_event
from domain.replay.seen import Hand
from domain.replay.world import PRESENT, REMOVED, UNKNOWN, Begun, Change, Key, Transition, World

FOLDED_TYPES: Final = (
    CommandReceived.type,
    CommandDeferred.type,
    ExecutionStarted.type,
    CommandSucceeded.type,
    CommandFailed.type,
    CommandUnknown.type,
    "command.rejected",
    "command.denied",
    "command.refused",
    "command.expired",
    "command.cancelled",
    EngineObserved.type,
    LogContinued.type,
)
"""The event types that change a world; a fold may be given others, it goes on past them."""

READS: Final = tuple(sorted(tool.name for tool in CATALOGUE if tool.effects == {Effect.READ}))
"""Tools that change no object; a fold goes past their events."""

OUTSIDE: Final = "outside"
"""Who made a change that no recorded command explains, and that a command found."""

FOUND_SO: Final = "found so"

FINDING: Final = frozenset({ExecutionStarted.type, CommandDeferred.type})
"""The event types that tell how a command finds its objects, not what it does to them."""

# Looked up on the class of an event they would take a tenth of the fold: pydantic's classes are asked in a long way.
_OBSERVED: Final = EngineObserved.type
_CONTINUED: Final = LogContinued.type
_RECEIVED: Final = CommandReceived.type
_READS: Final = frozenset(READS)
_GONE_AFTER: Final = frozenset({"remove-container", "network-remove"})


class WorldEvent(FoldedEvent, Protocol):
    """What a fold of the world reads of an event; ``domain.events.RecordedEvent`` has it."""

    @property
    def occurred_at_ms(self) -> int: ...
    @property
    def object(self) -> str | None: ...


def fold(world: World, event: WorldEvent) -> Sequence[Transition]:
    """Take the next event of the log into ``world``; return which objects it took from which state to which."""
    world.position, world.at_ms = event.position, event.occurred_at_ms
    kind, tool = event.type, event.tool
    if kind == _OBSERVED:
        return fold_engine_event(world, event.position, event.occurred_at_ms, tree_of(event))
    if kind == _CONTINUED:
        _go_on(world, event)
    if tool is None or tool in _READS:
        return ()
    if kind == _RECEIVED:
        _begin(world, event, tool)
        return ()
    begun = world.begun.get(event.stream)
    if begun is None:  # the log begins in the middle, or somebody has taken its beginning out
        return ()
    transitions = _fold_command(world, event, begun)
    if event.status in FINAL:
        world.begun.pop(event.stream, None)
    elif event.status:
        begun.status = event.status
    return transitions


def _go_on(world: World, event: WorldEvent) -> None:
    carried = tree_of(event).get("world")
    if isinstance(carried, dict):
        with suppress(ValueError):  # a fold goes on past what it cannot read; `docker-mcp verify` tells
            world.go_on(carried, event.position)


def _begin(world: World, event: WorldEvent, tool: str) -> None:
    tree = tree_of(event)
    arguments = tree.get("arguments")
    image = arguments.get("image") if isinstance(arguments, dict) else None
    world.begun[event.stream] = Begun(
        command_id=event.stream,
        position=event.position,
        at_ms=event.occurred_at_ms,
        principal=event.principal,
        tool=tool,
        object=event.object,
        summary=str(tree.get("summary", "")),
        image=image if isinstance(image, str) else None,
    )


def _fold_command(world: World, event: WorldEvent, begun: Begun) -> Sequence[Transition]:
    if event.type in FINDING:
        return _fold_before(world, event, begun)
    if event.type not in _OUTCOMES:
        return ()
    by_command = Change(event.position, event.occurred_at_ms, begun.principal, begun.tool, begun.command_id)
    hand = Hand(world, by_command)
    _OUTCOMES[event.type](hand, begun, tree_of(event))
    return hand.transitions


def _fold_before(world: World, event: WorldEvent, begun: Begun) -> Sequence[Transition]:
    """Take in how the command finds its objects: if other than the log tells, something else was at work."""
    pinned = tree_of(event).get("pinned") or []
    begun.targets = [[state["kind"], state["id"], state["name"]] for state in pinned if state.get("id")]
    hand = Hand(world, Change(event.position, event.occurred_at_ms, OUTSIDE, FOUND_SO, None, external=True))
    for state in pinned:
        hand.see_state(state)
    return hand.transitions


def _succeeded(hand: Hand, begun: Begun, tree: Mapping[str, Any]) -> None:
    creates = _creates(begun.tool)
    hand.made_by = begun.command_id if creates else None
    hand.forget(_maybe(begun))
    seen = _see_all(hand, tree.get("state_after"))
    result = tree.get("result") or {}
    for kind, object_id, name in begun.targets:
        if (key := (kind, object_id)) in seen:
            continue
        if _is_gone(begun.tool, kind, result):
            hand.remove(key, name)
        else:
            hand.lose(key, name)
    for ref in tree.get("touched") or ():
        if (ref["kind"], ref["id"]) not in seen and creates:
            _see_made(hand, begun, ref, result)
    if begun.tool == "deploy-compose":
        _mark_deployed(hand, begun)


def _is_gone(tool: str, kind: str, result: Mapping[str, Any]) -> bool:
    """Return whether an object that was not found after a success no longer exists; else the look has failed."""
    if kind == Kind.STACK:
        return not any(service.get("containers") for service in result.get("services", ()))
    return tool in _GONE_AFTER or result.get("state") == REMOVED


def _see_made(hand: Hand, begun: Begun, ref: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """Take in what was made although nobody could look at it afterwards: the result tells its state."""
    facts = {"image": begun.image} if begun.image else {}
    status = PRESENT if ref["kind"] == Kind.NETWORK else str(result.get("state", UNKNOWN))
    hand.see(ref["kind"], ref["id"], ref["name"], status, facts)


def _failed(hand: Hand, begun: Begun, tree: Mapping[str, Any]) -> None:
    hand.made_by = begun.command_id if _creates(begun.tool) else None
    hand.forget(_maybe(begun))
    seen = _see_all(hand, tree.get("state_after"))
    if tree.get("applied") == "none":
        return
    for kind, object_id, name in begun.targets:
        if (kind, object_id) not in seen:
            hand.lose((kind, object_id), name)
    if hand.made_by and not seen:
        _may_be(hand, begun)


def _unknown(hand: Hand, begun: Begun, tree: Mapping[str, Any]) -> None:
    hand.made_by = begun.command_id if _creates(begun.tool) else None
    seen = _see_all(hand, tree.get("observed"))
    for kind, object_id, name in begun.targets:
        if (kind, object_id) not in seen:
            hand.lose((kind, object_id), name)
    if hand.made_by and not seen:
        _may_be(hand, begun)


_OUTCOMES: Final = {
    CommandSucceeded.type: _succeeded,
    CommandFailed.type: _failed,
    CommandUnknown.type: _unknown,
}


def _see_all(hand: Hand, states: object) -> set[Key]:
    seen: set[Key] = set()
    for state in states if isinstance(states, list) else ():
        hand.see_state(state)
        seen.add((state["kind"], state["id"]))
    return seen


def _creates(tool: str) -> bool:
    entry = CATALOGUE.by_name(tool)
    return bool(entry and entry.creates)


def _maybe(begun: Begun) -> Key:
    kind = begun.object.partition("/")[0] if begun.object else Kind.CONTAINER.value
    return kind, f"?{begun.command_id}"


def _may_be(hand: Hand, begun: Begun) -> None:
    name = begun.object.partition("/")[2] if begun.object else ""
    facts = {"image": begun.image} if begun.image else {}
    hand.see(*_maybe(begun), name, UNKNOWN, facts)


def _mark_deployed(hand: Hand, begun: Begun) -> None:
    """Note which command a stack's form comes from."""
    for known in hand.world.of(Kind.STACK):
        if begun.object == f"{Kind.STACK}/{known.name}":
            known.made_by = begun.command_id
