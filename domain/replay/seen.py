"""What a fold does to a world: an object is seen in a state, is lost sight of, or is gone."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from domain.canonical import JSON
from domain.objects import Kind
from domain.replay.world import PRESENT, REMOVED, UNKNOWN, Change, Key, Known, Transition, World

_KEPT: Final = (
    "image",
    "exit_code",
    "oom_killed",
    "restart_count",
    "started_at",
    "finished_at",
    "health",
    "memory_bytes",
    "nano_cpus",
    "stack",
    "service",
    "config",
    "driver",
    "internal",
)
"""Facts that are taken over as they are recorded; networks lose their endpoint ids, which differ with every start."""


class Hand:
    """Changes one world on behalf of one event, and notes each transition."""

    def __init__(self, world: World, change: Change) -> None:
        self.world = world
        self.change = change
        self.made_by: str | None = None
        self.transitions: list[Transition] = []

    def see(self, kind: str, object_id: str, name: str, status: str, facts: Mapping[str, JSON]) -> None:
        """Take note of an object's state; facts that are not told stay as they were."""
        key = (kind, object_id)
        before = self.world.objects.get(key)
        if before is None:
            if kind == Kind.STACK:  # its id is its name, which can come back
                self.world.gone.pop(key, None)
            if key not in self.world.gone:
                self._put(None, Known(kind, object_id, name, status, self.change, dict(facts), self.made_by))
            return
        made_by = before.made_by or self.made_by
        after = Known(kind, object_id, name, status, before.changed, {**before.facts, **facts}, made_by)
        if _is_another(before, after):
            after.changed = self.change
            self._put(before, after)
        else:
            self.world.objects[key] = after  # more is known of the same state

    def see_state(self, state: Mapping[str, Any]) -> None:
        """Take note of a recorded state of a container, network or stack."""
        kind, object_id, name = state.get("kind"), state.get("id"), state.get("name")
        facts = state.get("facts") or {}
        if not object_id or not isinstance(kind, str) or not isinstance(name, str) or not isinstance(facts, dict):
            return
        if kind == Kind.CONTAINER:
            self.see(kind, object_id, name, str(facts.get("status", UNKNOWN)), container_facts(facts))
        elif kind == Kind.NETWORK:
            self.see(kind, object_id, name, PRESENT, kept(facts))
        elif kind == Kind.STACK:
            self._see_stack(object_id, name, facts)

    def lose(self, key: Key, name: str) -> None:
        """Take note that nobody can tell an object's state any more."""
        if (before := self.world.objects.get(key)) is None:
            self.see(*key, name, UNKNOWN, {})
        elif before.status != UNKNOWN:
            self._put(before, replace(before, status=UNKNOWN, changed=self.change))

    def remove(self, key: Key, name: str = "") -> None:
        """Take note that an object is gone; a network leaves its containers, a stack takes its parts along."""
        if key in self.world.gone:
            return
        before = self.world.objects.get(key)
        found = before or Known(*key, name, UNKNOWN, self.change)
        if key[0] == Kind.STACK:
            for member in self.world.members(key[1]):
                self.remove(member.key)
        self.world.remove(replace(found, status=REMOVED, changed=self.change))
        self.transitions.append(Transition(key, found.name, before.told() if before else None, REMOVED))

    def forget(self, key: Key) -> None:
        """Take back that an object may exist: it does not, or it is known under its id now."""
        if found := self.world.objects.pop(key, None):
            self.transitions.append(Transition(key, found.name, found.told(), REMOVED))

    def _see_stack(self, object_id: str, name: str, facts: Mapping[str, Any]) -> None:
        members, networks = facts.get("containers") or [], facts.get("networks") or []
        seen: set[Key] = set()
        for member in members:
            seen.add((Kind.CONTAINER, member["id"]))
            self.see(
                Kind.CONTAINER,
                member["id"],
                member["name"],
                member["status"],
                kept(member) | {"stack": name},
            )
        for network_id, network_name in networks:
            seen.add((Kind.NETWORK, network_id))
            self.see(Kind.NETWORK, network_id, network_name, PRESENT, {"stack": name})
        if facts.get("containers_total") == len(members):
            for known in self.world.members(name):
                if known.key not in seen:
                    self.remove(known.key)
        told = {"containers": facts.get("containers_total"), "volumes": facts.get("volumes") or []}
        self.see(Kind.STACK, object_id, name, PRESENT, told)

    def _put(self, before: Known | None, after: Known) -> None:
        self.world.put(after)
        told, otherwise = (before.told(), _otherwise(before, after)) if before else (None, "")
        self.transitions.append(Transition(after.key, after.name, told, after.told(), otherwise))


def _is_another(before: Known, after: Known) -> bool:
    """Return whether an object is in another state than before: not, if only more is known of it."""
    if (before.name, before.status, before.facts) == (after.name, after.status, after.facts):
        return False
    if (before.name, before.told()) != (after.name, after.told()):
        return True
    if any(_others(before, after)):
        return True
    started = [milliseconds(known.facts.get("started_at")) for known in (before, after)]
    return bool(started[0]) and abs(started[1] - started[0]) > SAME_MOMENT_MS


def _others(before: Known, after: Known) -> Iterator[str]:
    """Yield which facts differ that make another state."""
    return (name for name in _TELLING if name in before.facts and before.facts[name] != after.facts[name])


def _otherwise(before: Known, after: Known) -> str:
    """Return what changed of an object besides what its state is called."""
    if before.name != after.name:
        return f"was named {before.name}"
    others = " and ".join(_others(before, after))
    return f"other {others}" if others else "started anew"


_TELLING: Final = ("networks", "image", "containers", "volumes")
SAME_MOMENT_MS: Final = 2_000
"""So much later than it happened the engine may tell of it."""


def milliseconds(moment: JSON) -> int:
    """Return a time as the engine writes it in milliseconds since 1970 UTC, 0 for none."""
    try:
        return int(datetime.fromisoformat(str(moment)).timestamp() * 1000) if moment else 0
    except ValueError:
        return 0


def container_facts(facts: Mapping[str, Any]) -> dict[str, JSON]:
    """Return what a world keeps of a container's recorded facts; networks as pairs of name and id."""
    networks = facts.get("networks")
    told = kept(facts)
    if isinstance(networks, list):
        told["networks"] = [list(each[:2]) for each in networks if isinstance(each, list) and len(each) > 1]
    return told


def kept(facts: Mapping[str, Any]) -> dict[str, JSON]:
    """Return the facts that a world keeps as they are."""
    return {name: facts[name] for name in _KEPT if name in facts}
