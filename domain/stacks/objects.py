"""What a stack consists of and what it shares with others, for the rules of roles."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from domain.host_safety.asks import COMPOSE_LABELS
from domain.objects import Kind, ObjectState, Touched, column_name, touched

PROJECT_LABEL: Final = f"{COMPOSE_LABELS}project"
"""By which Compose knows what belongs to a stack. No caller can set it."""

_JOINED: Final = "container:"
_PLAIN_MODES: Final = frozenset({"bridge", "default", "host", "none"})

Named = tuple[Kind, str]


@dataclass(frozen=True, slots=True)
class StackObjects:
    """The objects in a model as Compose renders it, where a dollar stands doubled."""

    project: str
    tree: Mapping[str, Any]

    def images(self) -> tuple[str, ...]:
        """Return the images that its containers run or mount."""
        found = []
        for service in self._services():
            mounts = [mount for mount in service.get("volumes") or [] if mount.get("type") == "image"]
            found += [service.get("image"), *(mount.get("source") for mount in mounts)]
        return tuple(dict.fromkeys(_plain(image) for image in found if image))

    def uses(self) -> tuple[Named, ...]:
        """Return what may exist already: the networks and volumes, the containers that are named or reached into."""
        sections = [(kind, name) for kind, _, name, _ in self._sections()]
        return tuple(dict.fromkeys([*sections, *self._named(), *self._reached()]))

    def touched(self, found: Sequence[ObjectState]) -> list[Touched]:
        """Return the stack with its parts, and what is judged by itself.

        Parts are what stands of the stack and what the file makes of it. Judged by itself is all that is shared with
        others, containers with a name of their own, and a network or volume that exists under one of the stack's own
        names and is not the stack's: Compose takes such a volume for its own.

        Args:
            found: the stack and what it uses as they are now; what does not exist has no id.
        """
        made = {(kind, name): labels for kind, name, labels in self._made()}
        own = {(kind, name) for kind, key, name, entry in self._sections() if self._is_own(key, name, entry)}
        standing: list[Touched] = []
        alone: list[Touched] = []
        for state in found:
            named = (state.kind, state.name)
            if state.kind is Kind.STACK:
                standing += state.parts
            elif not state.id:
                if named not in own:
                    alone.append(Touched(column_name(*named), made.get(named, {})))
            elif named not in own or state.labels.get(PROJECT_LABEL) != self.project:
                alone.append(touched(state))
        planned = [Touched(column_name(*named), labels) for named, labels in made.items()]
        return [Touched(column_name(Kind.STACK, self.project), {}, (*standing, *planned)), *alone]

    def _services(self) -> list[Mapping[str, Any]]:
        return list(self.tree["services"].values())

    def _sections(self) -> Iterator[tuple[Kind, str, str, Mapping[str, Any]]]:
        for section, kind in (("networks", Kind.NETWORK), ("volumes", Kind.VOLUME)):
            for key, entry in (self.tree.get(section) or {}).items():
                yield kind, key, _plain(entry.get("name", key)), entry

    def _is_own(self, key: str, name: str, entry: Mapping[str, Any]) -> bool:
        return not entry.get("external") and name == f"{self.project}_{key}"

    def _named(self) -> Iterator[Named]:
        for service in self._services():
            mode = _plain(service.get("network_mode") or "")
            if mode and mode not in _PLAIN_MODES and not mode.startswith(("service:", _JOINED)):
                yield Kind.NETWORK, mode
            if name := service.get("container_name"):
                yield Kind.CONTAINER, _plain(name)

    def _reached(self) -> Iterator[Named]:
        """Yield the containers whose namespaces, volumes or addresses a service would have."""
        for service in self._services():
            places = [service.get(key) for key in ("network_mode", "pid", "ipc")]
            places += service.get("volumes_from") or []
            joined = [_plain(place).removeprefix(_JOINED) for place in places if str(place).startswith(_JOINED)]
            joined += map(_plain, service.get("external_links") or [])
            yield from ((Kind.CONTAINER, name.partition(":")[0]) for name in joined)

    def _made(self) -> Iterator[tuple[Kind, str, Mapping[str, str]]]:
        for key, service in self.tree["services"].items():
            given = service.get("container_name")
            numbers = range(1, replicas(service) + 1)
            for name in [given] if given else [f"{self.project}-{key}-{number}" for number in numbers]:
                yield Kind.CONTAINER, _plain(name), _labels(service)
        for kind, _, name, entry in self._sections():
            if not entry.get("external"):
                yield kind, name, _labels(entry)


def replicas(service: Mapping[str, Any]) -> int:
    """Return how many containers a service is to have."""
    scale = service.get("scale")
    count = scale if scale is not None else (service.get("deploy") or {}).get("replicas")
    return 1 if count is None else int(count)


def _plain(text: object) -> str:
    return str(text).replace("$$", "$")


def _labels(entry: Mapping[str, Any]) -> dict[str, str]:
    return {_plain(key): _plain(value) for key, value in (entry.get("labels") or {}).items()}
