"""Looks at what stands of stacks, by the labels that Compose puts on everything it makes."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from adapters.docker.describe import moment, name_of
from adapters.docker.engine import Engine
from adapters.docker.errors import explained
from domain.errors import NotFoundError
from domain.objects import Kind, ObjectState, Touched, column_name
from domain.stacks.objects import PROJECT_LABEL
from domain.stacks.state import CONFIG_DIGITS, Member, stack_state

SERVICE_LABEL: Final = "com.docker.compose.service"
CONFIG_LABEL: Final = "com.docker.compose.config-hash"
_ONE_OFF_LABEL: Final = "com.docker.compose.oneoff"
_SIDE_BY_SIDE: Final = 4
"""Inspections at once: a stack's containers are asked for one by one, and each answer takes the engine a while."""


def stack_containers(engine: Engine, project: str) -> list[dict[str, Any]]:
    """Return the engine's list entries of the containers of a stack's services."""
    return without_one_offs(all_containers(engine, project))


def all_containers(engine: Engine, project: str | None = None) -> list[dict[str, Any]]:
    """Return the engine's list entries of the containers of one stack or of all, sorted by stack."""
    label = f"{PROJECT_LABEL}={project}" if project else PROJECT_LABEL
    with explained():
        found: list[dict[str, Any]] = engine.api.containers(all=True, filters={"label": label})
    return sorted(found, key=lambda entry: (entry["Labels"][PROJECT_LABEL], service_of(entry), name_of(entry)))


def without_one_offs(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the entries of services, without `compose run`'s."""
    return [entry for entry in entries if entry["Labels"].get(_ONE_OFF_LABEL) != "True"]


def parts_of(entries: list[dict[str, Any]]) -> tuple[Touched, ...]:
    """Return listed containers as rules see them."""
    return tuple(Touched(column_name(Kind.CONTAINER, name_of(entry)), entry["Labels"]) for entry in entries)


def service_of(entry: Mapping[str, Any]) -> str:
    return str(entry["Labels"].get(SERVICE_LABEL, ""))


def members(engine: Engine, project: str) -> list[Member]:
    """Return the containers of a stack as inspected now; one that vanishes meanwhile is left out."""
    return _inspected(engine, stack_containers(engine, project))


def _inspected(engine: Engine, entries: list[dict[str, Any]]) -> list[Member]:
    if not entries:
        return []
    with ThreadPoolExecutor(min(_SIDE_BY_SIDE, len(entries))) as pool:
        found = list(pool.map(lambda entry: _member(engine, entry), entries))
    return [member for member in found if member]


def observe_stack(engine: Engine, project: str) -> ObjectState:
    """Return what stands of a stack.

    Raises:
        NotFoundError: nothing does: no container, no network, no volume.
    """
    label = {"label": f"{PROJECT_LABEL}={project}"}
    entries = all_containers(engine, project)
    containers = _inspected(engine, without_one_offs(entries))
    with explained():
        networks = engine.api.networks(filters=label)
        volumes = engine.api.volumes(filters=label).get("Volumes") or []
    if not entries and not networks and not volumes:
        raise NotFoundError(f"no stack {project}", code="stack_not_found", hint="compose-list shows what exists")
    state = stack_state(
        project,
        containers,
        [(found["Id"], found["Name"]) for found in networks],
        [found["Name"] for found in volumes],
    )
    others = [(Kind.NETWORK, found) for found in networks] + [(Kind.VOLUME, found) for found in volumes]
    parts = tuple(Touched(column_name(kind, found["Name"]), found.get("Labels") or {}) for kind, found in others)
    return state.model_copy(update={"parts": parts_of(entries) + parts})


def _member(engine: Engine, entry: Mapping[str, Any]) -> Member | None:
    try:
        with explained(Kind.CONTAINER):
            found = engine.api.inspect_container(entry["Id"])
    except NotFoundError:
        return None
    state = found["State"]
    return Member(
        id=found["Id"],
        name=found["Name"].removeprefix("/"),
        service=service_of(entry),
        status=state["Status"],
        health=_known((state.get("Health") or {}).get("Status")),
        exit_code=state["ExitCode"],
        started_at=moment(state["StartedAt"]),
        finished_at=moment(state["FinishedAt"]),
        config=entry["Labels"].get(CONFIG_LABEL, "")[:CONFIG_DIGITS],
        image=found["Config"]["Image"],
    )


def _known(health: str | None) -> str | None:
    return None if health in (None, "", "none") else health


def projects(entries: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield each stack's name with its containers; ``entries`` are sorted by stack."""
    by_project: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        by_project.setdefault(entry["Labels"][PROJECT_LABEL], []).append(entry)
    yield from by_project.items()
