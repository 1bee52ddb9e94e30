"""The world as the log knows it at one moment: objects, commands in progress, and what each object's last change was.

It is a tree of JSON inside, so that a snapshot of it is a text. What is not known is not in it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from domain.canonical import JSON
from domain.events import MAX_DATA_BYTES
from domain.objects import Kind

FORM: Final = 2
"""The form of a snapshot. Whoever changes what is folded raises it: snapshots of another form are not used."""

MOST_OBJECTS: Final = 10_000
"""Objects that a world holds; the ones that have not changed for longest are dropped, and counted."""
MOST_GONE: Final = 200
"""Removed objects that are remembered, with who removed them."""

MOST_PART_BYTES: Final = MAX_DATA_BYTES - 4096
"""Of a world on its way into the next log: what one record of it takes beside its other fields."""

REMOVED: Final = "removed"
UNKNOWN: Final = "unknown"
PRESENT: Final = "present"
"""The status of a network or stack that exists."""

Key = tuple[str, str]
"""Kind and full id. A container that a command may have made has the command's id, after ``?``."""


@dataclass(slots=True)
class Change:
    """What changed an object last: a command, or something that no recorded command explains (``external``)."""

    position: int
    at_ms: int
    by: str
    what: str
    command_id: str | None = None
    external: bool = False


@dataclass(slots=True)
class Known:
    """An object as far as the log tells. ``facts`` holds no secret: only what outcomes and the engine's events say."""

    kind: str
    id: str
    name: str
    status: str
    changed: Change
    facts: dict[str, JSON] = field(default_factory=dict)
    made_by: str | None = None
    """The command that made it, None if no recorded one did."""

    @property
    def key(self) -> Key:
        return self.kind, self.id

    def told(self) -> str:
        """Return the state as a person reads it: ``running (unhealthy)``, ``exited (137, out of memory)``."""
        if self.status == "running":
            health = self.facts.get("health")
            return f"running ({health})" if health and health != "none" else "running"
        if self.status == "exited":
            code = self.facts.get("exit_code")
            return f"exited ({_told_code(code)}{', out of memory' if self.facts.get('oom_killed') else ''})"
        return self.status


def _told_code(code: JSON) -> str:
    return "code unknown" if code is None else str(code)


@dataclass(slots=True)
class Begun:
    """A command that changes something and has no final status yet."""

    command_id: str
    position: int
    at_ms: int
    principal: str
    tool: str
    object: str | None
    summary: str
    status: str = "received"
    targets: list[list[str]] = field(default_factory=list)
    """The pinned objects: kind, id, name."""
    image: str | None = None
    """Of a container that is to be made."""


class Transition(NamedTuple):
    """One object from one state to the next; ``before`` is None for one that was not known before.

    ``otherwise`` says what changed of an object whose state is called the same as before.
    """

    key: Key
    name: str
    before: str | None
    after: str
    otherwise: str = ""


class World:
    """All that the log knows at ``position``. Objects stand in the order of their last change, oldest first."""

    def __init__(self) -> None:
        self.position = 0
        self.at_ms = 0
        self.objects: dict[Key, Known] = {}
        self.gone: dict[Key, Known] = {}
        self.begun: dict[str, Begun] = {}
        self.dropped = 0

    def put(self, known: Known) -> None:
        """Take in an object in its new state."""
        self.objects.pop(known.key, None)
        self.objects[known.key] = known
        if len(self.objects) > MOST_OBJECTS:
            del self.objects[next(iter(self.objects))]
            self.dropped += 1

    def remove(self, known: Known) -> None:
        """Take note that an object no longer exists; ids are never used again."""
        self.objects.pop(known.key, None)
        self.gone.pop(known.key, None)
        self.gone[known.key] = known
        if len(self.gone) > MOST_GONE:
            del self.gone[next(iter(self.gone))]

    def of(self, kind: Kind) -> Iterator[Known]:
        """Yield the objects of a kind that exist."""
        return (known for known in self.objects.values() if known.kind == kind)

    def members(self, stack: str) -> list[Known]:
        """Return the containers and networks of a stack."""
        return [known for known in self.objects.values() if known.facts.get("stack") == stack]

    def snapshot(self) -> str:
        """Return the world as a text that :func:`restored_world` takes; equal worlds have equal texts."""
        tree = {
            "position": self.position,
            "at_ms": self.at_ms,
            "dropped": self.dropped,
            "objects": list(self.objects.values()),
            "gone": list(self.gone.values()),
            "begun": list(self.begun.values()),
        }
        return orjson.dumps(tree, option=orjson.OPT_SORT_KEYS).decode()

    def carried(self, first_bytes: int) -> list[dict[str, JSON]]:
        """Return what there is, and what is gone, as the first records of the next log hold it, in parts.

        A part fits into one record: the first into ``first_bytes`` bytes of JSON, the others into MOST_PART_BYTES.
        """
        tree = orjson.loads(self.snapshot())
        part = _part(tree["dropped"])
        parts, room = [part], first_bytes
        for side in ("objects", "gone"):
            for known in tree[side]:
                size = len(orjson.dumps(known)) + 1
                if size > room:
                    part, room = _part(), MOST_PART_BYTES
                    parts.append(part)
                part[side].append(known)
                room -= size
        return parts

    def go_on(self, carried: Mapping[str, Any], position: int) -> None:
        """Take over a part of what :meth:`carried` returned.

        Positions of another log mean nothing here, so all are this one.

        Raises:
            ValueError: it is no such part.
        """
        before = restored_world(orjson.dumps({**carried, "begun": [], "position": 0, "at_ms": 0}).decode())
        for known in (*before.objects.values(), *before.gone.values()):
            known.changed.position = position
        self.objects |= before.objects
        self.gone |= before.gone
        self.dropped += before.dropped


def _part(dropped: int = 0) -> dict[str, Any]:
    return {"objects": [], "gone": [], "dropped": dropped}


def restored_world(text: str) -> World:
    """Return the world of a snapshot.

    Raises:
        ValueError: the text is no snapshot of this form.
    """
    try:
        tree = orjson.loads(text)
        world = World()
        world.position, world.at_ms, world.dropped = tree["position"], tree["at_ms"], tree["dropped"]
        for place, found in ((world.objects, tree["objects"]), (world.gone, tree["gone"])):
            for known in map(_known, found):
                place[known.key] = known
        world.begun = {each["command_id"]: Begun(**each) for each in tree["begun"]}
    except (AttributeError, KeyError, TypeError, orjson.JSONDecodeError) as error:
        raise ValueError("not a snapshot of this form") from error
    return world


def _known(tree: Mapping[str, Any]) -> Known:
    return Known(**{**tree, "changed": Change(**tree["changed"])})
