"""What stands of a stack on an engine, as the log keeps it, and what changed between two looks at it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import orjson

from domain.canonical import JSON
from domain.objects import Kind, ObjectRef, ObjectState

MOST_CONTAINERS: Final = 100
"""Most containers of one stack that the log keeps the state of."""
CONFIG_DIGITS: Final = 16
"""How much the log keeps of Compose's hash of a service's configuration."""

_MEMBER_BYTES: Final = 32 * 1024
_OTHER_BYTES: Final = 5 * 1024
"""So that the state fits into an event beside a plan, however long the names are."""
_GOOD_HEALTH: Final = (None, "healthy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A container of a stack. ``config`` begins Compose's hash of the configuration it was made from."""

    id: str
    name: str
    service: str
    status: str
    health: str | None
    exit_code: int
    started_at: str | None
    finished_at: str | None
    config: str
    image: str | None = None

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef(kind=Kind.CONTAINER, id=self.id, name=self.name)

    @property
    def is_up(self) -> bool:
        """Whether it is as a deployment wants it: running and not known to be unwell, or done."""
        if self.status == "running":
            return self.health in _GOOD_HEALTH
        return self.status == "exited" and self.exit_code == 0

    def told(self) -> str:
        """Return the state as a person reads it: ``running (unhealthy)``, ``exited (1)``."""
        if self.status == "running" and self.health:
            return f"running ({self.health})"
        return f"exited ({self.exit_code})" if self.status == "exited" else self.status


def stack_state(
    project: str, members: Sequence[Member], networks: Iterable[tuple[str, str]], volumes: Iterable[str]
) -> ObjectState:
    """Return the state of a stack; networks are pairs of id and name. The project's name is the stack's id."""
    facts: dict[str, JSON] = {
        "containers": _within(_MEMBER_BYTES, [asdict(member) for member in members[:MOST_CONTAINERS]]),
        "containers_total": len(members),
        "networks": _within(_OTHER_BYTES, sorted(map(list, networks))),
        "volumes": _within(_OTHER_BYTES, sorted(volumes)),
    }
    return ObjectState(kind=Kind.STACK, id=project, name=project, facts=facts)


def _within(most_bytes: int, items: Sequence[JSON]) -> list[JSON]:
    """Return the first of ``items`` that fit into so many bytes of JSON."""
    kept, size = 0, 0
    for item in items:
        size += len(orjson.dumps(item)) + 1
        if size > most_bytes:
            break
        kept += 1
    return list(items[:kept])


def members_of(state: ObjectState) -> list[Member]:
    """Return the containers that a recorded state holds; none of a stack that did not exist."""
    return [Member(**member) for member in state.facts.get("containers", [])]


def by_service(members: Iterable[Member]) -> dict[str, list[Member]]:
    """Return the containers of each service, services in alphabetical order."""
    services: defaultdict[str, list[Member]] = defaultdict(list)
    for member in members:
        services[member.service].append(member)
    return dict(sorted(services.items()))


def changes(before: Iterable[Member], after: Iterable[Member]) -> Mapping[str, str]:
    """Return what happened to each service: created, recreated, started, restarted, stopped, removed or unchanged."""
    old, new = by_service(before), by_service(after)
    return {service: _change(old.get(service, []), new.get(service, [])) for service in sorted({*old, *new})}


def _change(before: Sequence[Member], after: Sequence[Member]) -> str:
    old, new = {member.id: member for member in before}, {member.id: member for member in after}
    if old.keys() - new.keys():
        return "recreated" if new.keys() - old.keys() else "removed"
    if new.keys() - old.keys():
        return "created"
    if any(new[each].started_at != old[each].started_at for each in new):
        return "restarted" if any(member.status == "running" for member in before) else "started"
    if any(new[each].finished_at != old[each].finished_at for each in new):
        return "stopped"
    return "unchanged"
