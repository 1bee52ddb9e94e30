"""Looks at what stands of stacks, by the labels that Compose puts on everything it makes."""

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from adapters.docker.describe import moment, name_of
from adapters.docker.engine import Engine
from adapters.docker.errors import explained
from domain.errors import NotFoundError
from domain.objects import Kind, ObjectState
from domain.stacks.state import CONFIG_DIGITS, Member, stack_state

PROJECT_LABEL: Final = "com.docker.compose.project"
SERVICE_LABEL: Final = "com.docker.compose.service"
CONFIG_LABEL: Final = "com.docker.compose.config-hash"
_ONE_OFF_LABEL: Final = "com.docker.compose.oneoff"
_SIDE_BY_SIDE: Final = 4
"""Inspections at once: a stack's containers are asked for one by one, and each answer takes the engine a while."""
_HEALTH: Final = re.compile(r"\((?:health: )?(healthy|unhealthy|starting)\)")


def stack_containers(engine: Engine, project: str | None = None) -> list[dict[str, Any]]:
    """Return the engine's list entries of the containers of one stack or of all, without `compose run`'s."""
    label = f"{PROJECT_LABEL}={project}" if project else PROJECT_LABEL
    with explained():
        found = engine.api.containers(all=True, filters={"label": label})
    ours = [entry for entry in found if entry["Labels"].get(_ONE_OFF_LABEL) != "True"]
    return sorted(ours, key=lambda entry: (entry["Labels"][PROJECT_LABEL], service_of(entry), name_of(entry)))


def service_of(entry: Mapping[str, Any]) -> str:
    return str(entry["Labels"].get(SERVICE_LABEL, ""))


def health_of(entry: Mapping[str, Any]) -> str | None:
    """Return the health that a list entry tells in its status text, None without a health check."""
    found = _HEALTH.search(entry["Status"])
    return found.group(1) if found else None


def members(engine: Engine, project: str) -> list[Member]:
    """Return the containers of a stack as inspected now; one that vanishes meanwhile is left out."""
    entries = stack_containers(engine, project)
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
    containers = members(engine, project)
    with explained():
        networks = [(found["Id"], found["Name"]) for found in engine.api.networks(filters=label)]
        volumes = [found["Name"] for found in engine.api.volumes(filters=label).get("Volumes") or []]
    if not containers and not networks and not volumes:
        raise NotFoundError(f"no stack {project}", code="stack_not_found", hint="compose-list shows what exists")
    return stack_state(project, containers, networks, volumes)


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
    )


def _known(health: str | None) -> str | None:
    return None if health in (None, "", "none") else health


def projects(entries: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield each stack's name with its containers; ``entries`` are sorted by stack."""
    by_project: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        by_project.setdefault(entry["Labels"][PROJECT_LABEL], []).append(entry)
    yield from by_project.items()
