"""What an event of the engine itself does to the world.

The engine's clock decides whether an event is older than what an outcome has told of a container since: its times of
the last start and end come from the same clock.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from domain.canonical import JSON
from domain.chain import timestamp
from domain.objects import Kind
from domain.replay.seen import SAME_MOMENT_MS, Hand, milliseconds
from domain.replay.world import PRESENT, UNKNOWN, Change, Key, Known, Transition, World

ENGINE: Final = "engine"
"""Who changed an object, if the engine alone told of it."""

_LIVES: Final = frozenset({"start", "die", "stop", "restart", "pause", "unpause", "oom"})


def fold_engine_event(world: World, position: int, at_ms: int, tree: Mapping[str, Any]) -> Sequence[Transition]:
    """Take an event of the engine into ``world``; return which objects it took from which state to which."""
    kind, action = str(tree.get("kind")), str(tree.get("action"))
    cause = world.begun.get(str(tree.get("command_id")))
    by = cause.principal if cause else ENGINE
    change = Change(position, at_ms, by, told_action(tree), tree.get("command_id"), bool(tree.get("external")))
    hand = Hand(world, change)
    object_id = tree.get("object_id")
    if not isinstance(object_id, str) or not object_id:
        return ()
    if kind == Kind.CONTAINER:
        _container(hand, (kind, object_id), action, tree)
    elif kind == Kind.NETWORK:
        _network(hand, (kind, object_id), action, tree)
    return hand.transitions


def told_action(tree: Mapping[str, Any]) -> str:
    """Return what the engine told in a few words: ``die (137)``, ``health_status (unhealthy)``."""
    more = next((tree[name] for name in ("health", "exit_code", "signal") if tree.get(name) is not None), None)
    action = str(tree.get("action"))
    return action if more is None else f"{action} ({more})"


def _container(hand: Hand, key: Key, action: str, tree: Mapping[str, Any]) -> None:
    before = hand.world.objects.get(key)
    if action in _LIVES and before and _is_old(before, tree.get("occurred_at_ms")):
        return
    if action == "destroy":
        hand.remove(key, str(tree.get("name") or ""))
        return
    told = _TOLD.get(action)
    if told is None and before is not None:
        return
    status, facts = told(before, tree) if told else (UNKNOWN, {})
    for name, of in (("image", "image"), ("stack", "stack")):
        if tree.get(of) is not None and (before is None or name not in before.facts):
            facts[name] = tree[of]
    name = str(tree.get("name") or (before.name if before else ""))
    if action == "create":
        hand.made_by = tree.get("command_id") if not tree.get("external") else None
        if before is not None:  # an outcome has told more already
            status, facts = before.status, {name: facts[name] for name in facts.keys() - before.facts.keys()}
    hand.see(*key, name, status, facts)


def _is_old(before: Known, at_ms: object) -> bool:
    times = [milliseconds(before.facts.get(name)) for name in ("started_at", "finished_at")]
    return isinstance(at_ms, int) and at_ms < max(times)


Told = Callable[[Known | None, Mapping[str, Any]], tuple[str, dict[str, JSON]]]


def _started(before: Known | None, tree: Mapping[str, Any]) -> tuple[str, dict[str, JSON]]:
    facts: dict[str, JSON] = {"exit_code": 0, "oom_killed": False, "ended_in": [], **_at("started_at", tree)}
    if before and before.facts.get("health"):
        facts["health"] = "starting"
    return "running", facts


def _died(_before: Known | None, tree: Mapping[str, Any]) -> tuple[str, dict[str, JSON]]:
    code = {"exit_code": tree["exit_code"]} if tree.get("exit_code") is not None else {}
    return "exited", {**code, **_at("finished_at", tree)}


def _at(name: str, tree: Mapping[str, Any]) -> dict[str, JSON]:
    """Return a time of the engine as an inspection would tell it, but for what the telling took."""
    at_ms = tree.get("occurred_at_ms")
    return {name: timestamp(at_ms)} if isinstance(at_ms, int) else {}


def _same(before: Known | None) -> str:
    return before.status if before else UNKNOWN


_TOLD: Final[Mapping[str, Told]] = {
    "create": lambda _before, _tree: ("created", {}),
    "start": _started,
    "restart": lambda _before, _tree: ("running", {}),
    "die": _died,
    "stop": lambda _before, _tree: ("exited", {}),
    "oom": lambda before, _tree: (_same(before), {"oom_killed": True}),
    "pause": lambda _before, _tree: ("paused", {}),
    "unpause": lambda _before, _tree: ("running", {}),
    "rename": lambda before, _tree: (_same(before), {}),
    "health_status": lambda before, tree: (_same(before), {"health": tree.get("health")}),
}
"""The container's state after an action; others say nothing of it."""


def _network(hand: Hand, key: Key, action: str, tree: Mapping[str, Any]) -> None:
    name = str(tree.get("name") or "")
    if action in ("destroy", "remove"):
        hand.remove(key, name)
        return
    known = hand.world.objects.get(key)
    if action == "create" or known is None:
        facts = {"stack": tree["stack"]} if tree.get("stack") else {}
        hand.made_by = tree.get("command_id") if action == "create" and not tree.get("external") else None
        hand.see(*key, name, PRESENT, facts)
    if action in ("connect", "disconnect"):
        container = hand.world.objects.get((Kind.CONTAINER, str(tree.get("container"))))
        name = name or (known.name if known else "")
        if container and not (action == "disconnect" and _is_still_in(hand, container, name, tree)):
            _link(hand, container, key[1], name, action)


def _is_still_in(hand: Hand, container: Known, network: str, tree: Mapping[str, Any]) -> bool:
    """Return whether a disconnected container is still one of the network's: it only ended, or could not be started.

    When a container ends, the engine tells once of each of its networks; if it tells again, somebody took it out. Of
    containers of a stack alone nothing else tells that a start has failed: the outcome holds no networks of theirs.
    """
    ended_ms, at_ms = milliseconds(container.facts.get("finished_at")), tree.get("occurred_at_ms")
    told_of = container.facts.get("ended_in", [])
    just_ended = container.status == "exited" and isinstance(at_ms, int) and abs(at_ms - ended_ms) <= SAME_MOMENT_MS
    if just_ended and network not in told_of:
        hand.see(*container.key, container.name, container.status, {"ended_in": [*told_of, network]})
        return True
    return bool(container.status == "created" and container.facts.get("stack") and not tree.get("external"))


def _link(hand: Hand, container: Known, network_id: str, network_name: str, action: str) -> None:
    networks = [each for each in container.facts.get("networks", []) if each[0] != network_name]
    if action == "connect":
        networks = sorted([*networks, [network_name, network_id]])
    hand.see(*container.key, container.name, container.status, {"networks": networks})
