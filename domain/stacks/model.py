"""The model of a stack: what Compose made of the file, and what exactly is deployed and recorded."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from domain.canonical import JSON
from domain.catalogue.fields import LABEL_PREFIX
from domain.errors import InvalidArgumentsError
from domain.host_safety.asks import COMPOSE_LABELS
from domain.objects import Kind, ObjectState, Touched
from domain.secrets import Seal, pointer
from domain.stacks.objects import StackObjects, replicas
from domain.stacks.state import CONFIG_DIGITS, MOST_CONTAINERS
from domain.stacks.strict_yaml import as_json
from domain.text import column_text

STACK_LABEL: Final = "docker-mcp.stack"
"""On every object of a stack: the stack's name, which leads to its record. Stable, since Compose recreates what a
changed label touches."""

_MOST_PLACES: Final = 5
_SECTIONS: Final = ("networks", "volumes")
_ENVIRONMENTS: Final = (
    ("services", "*", "environment"),
    ("services", "*", "post_start", "*", "environment"),
    ("services", "*", "pre_stop", "*", "environment"),
)
_DEVICE: Final = ("volumes", "*", "driver_opts", "device")
"""What a volume mounts. Compose leaves it as it is; the engine would take it to lie where its own process runs."""
_SECRET_PLACES: Final = (
    *_ENVIRONMENTS,
    ("services", "*", "logging", "options"),
    ("services", "*", "networks", "*", "driver_opts"),
    ("services", "*", "gpus", "*", "options"),
    ("services", "*", "deploy", "resources", "reservations", "devices", "*", "options"),
    ("configs", "*", "content"),
    ("secrets", "*", "content"),
    ("secrets", "*", "driver_opts"),
    ("networks", "*", "driver_opts"),
    ("networks", "*", "ipam", "options"),
    ("volumes", "*", "driver_opts"),
)
"""Where values are sealed before the model is recorded; ``*`` stands for any name."""


@dataclass(frozen=True)
class StackModel:
    """A rendered Compose file with our labels. Satisfies ``domain.catalogue.tool.Plan``.

    Attributes:
        project: the name of the stack.
        tree: the model as Compose renders it.
        hashes: Compose's own hash of each service's configuration, by service.
    """

    project: str
    tree: Mapping[str, Any]
    hashes: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def text(self) -> bytes:
        """The bytes that are deployed."""
        return as_json(self.tree)

    @property
    def services(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.tree["services"]
        return found

    @property
    def facts(self) -> Mapping[str, JSON]:
        """What tells, after a crash, whether the stack stands as planned: hash and replicas of each service."""
        return {
            "services": [
                [name, self.hashes.get(name, "")[:CONFIG_DIGITS], replicas(self.services[name])]
                for name in self.services
            ]
        }

    @cached_property
    def uses(self) -> tuple[tuple[Kind, str], ...]:
        """What may exist already: its networks and volumes, and the containers that it names or reaches into."""
        return self._objects.uses()

    @cached_property
    def images(self) -> tuple[str, ...]:
        """The images that its containers run or mount."""
        return self._objects.images()

    def touched(self, found: Sequence[ObjectState]) -> list[Touched]:
        """Return what the deployment touches or makes; ``found`` is what stands of the stack and of ``uses``."""
        return self._objects.touched(found)

    @cached_property
    def _objects(self) -> StackObjects:
        return StackObjects(self.project, self.tree)

    def sealed(self, seal: Seal) -> JSON:
        """Return the model as the log keeps it, with every value that may be a secret replaced by ``seal``."""
        return _sealed(self.tree, seal, ())


def check_size(tree: Mapping[str, Any]) -> None:
    """Refuse stacks of more containers than the log keeps the state of, and services of fewer than none.

    Raises:
        InvalidArgumentsError: naming the service, or how many there would be.
    """
    counts = {name: replicas(service) for name, service in tree["services"].items()}
    if negative := [name for name, count in counts.items() if count < 0]:  # Compose itself breaks down at them
        raise InvalidArgumentsError(
            f"services.{column_text(negative[0])}: a number of containers below 0", hint="correct scale or replicas"
        )
    count = sum(counts.values())
    if count > MOST_CONTAINERS:
        raise InvalidArgumentsError(f"the stack would have {count} containers, at most {MOST_CONTAINERS} are allowed")


def labelled(project: str, rendered: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rendered model with our label on every object that Compose makes.

    Raises:
        InvalidArgumentsError: if the file sets labels that belong to the server.
    """
    tree = dict(rendered)
    for section in ("services", *_SECTIONS):
        tree[section] = {
            name: _with_label(project, (section, name), dict(entry or {}))
            for name, entry in (rendered.get(section) or {}).items()
        }
    return {key: value for key, value in tree.items() if value or key not in _SECTIONS}


def check_values(tree: Mapping[str, Any], relative_to: str) -> None:
    """Refuse what has no meaning on the server: relative host paths, and variables that have no value.

    Args:
        tree: the rendered model.
        relative_to: the directory against which Compose has resolved relative paths. It exists nowhere.

    Raises:
        InvalidArgumentsError: naming each place.
    """
    relative = [
        _dotted(path)
        for path, value in _leaves(tree, ())
        if _is_below(value, relative_to) or (_fits(path, _DEVICE) and str(value).startswith("."))
    ]
    if relative:
        raise InvalidArgumentsError(
            f"{', '.join(relative[:_MOST_PLACES])}: a relative host path",
            hint="use a named volume, or an absolute path on the engine's host",
        )
    unset = [
        _dotted(path)
        for path, value in _leaves(tree, ())
        if value is None and any(_fits(path[:-1], place) for place in _ENVIRONMENTS)
    ]
    if unset:
        raise InvalidArgumentsError(
            f"{', '.join(unset[:_MOST_PLACES])}: no value here",
            hint="the server's environment is not used: write the value, or leave the variable out",
        )


def _leaves(tree: JSON, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], JSON]]:
    if isinstance(tree, Mapping):
        for key, item in tree.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(tree, list):
        for index, item in enumerate(tree):
            yield from _leaves(item, (*path, str(index)))
    else:
        yield path, tree


def _is_below(value: JSON, directory: str) -> bool:
    return isinstance(value, str) and (value == directory or value.startswith(f"{directory}/"))


def _dotted(path: tuple[str, ...]) -> str:
    return column_text(".".join(path))


def _with_label(project: str, place: tuple[str, str], entry: dict[str, Any]) -> dict[str, Any]:
    labels = entry.get("labels") or {}
    if any(key.lower().startswith((LABEL_PREFIX, COMPOSE_LABELS)) for key in labels):
        raise InvalidArgumentsError(
            f"{'.'.join(place)}.labels: labels that start with {LABEL_PREFIX} and {COMPOSE_LABELS} are not yours",
            hint="leave them out",
        )
    if entry.get("external"):
        return entry
    return {**entry, "labels": {**labels, STACK_LABEL: project}}


def _sealed(tree: JSON, seal: Seal, path: tuple[str, ...], *, secret: bool = False) -> JSON:
    secret = secret or any(_fits(path, place) for place in _SECRET_PLACES)
    if isinstance(tree, Mapping):
        return {key: _sealed(item, seal, (*path, key), secret=secret) for key, item in tree.items()}
    if isinstance(tree, list):
        return [_sealed(item, seal, (*path, str(index)), secret=secret) for index, item in enumerate(tree)]
    if not secret or tree is None:
        return tree
    return seal(pointer("plan", *path), str(tree))


def _fits(path: tuple[str, ...], place: tuple[str, ...]) -> bool:
    return len(path) == len(place) and all(want in ("*", step) for step, want in zip(path, place, strict=True))
