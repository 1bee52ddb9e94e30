"""All containers and networks that an engine shows now: two requests, and nothing is changed."""

from collections.abc import Mapping
from typing import Any

from adapters.docker.describe import exit_code_of, health_in, name_of
from adapters.docker.engine import Engine
from adapters.docker.errors import explained
from domain.objects import Kind, ObjectState
from domain.stacks.objects import PROJECT_LABEL


def inventory(engine: Engine) -> list[ObjectState]:
    """Return every container and network as the engine lists it.

    Raises:
        EngineError: it does not answer.
    """
    with explained():
        containers, networks = engine.api.containers(all=True), engine.api.networks()
    return [*map(_container, containers), *map(_network, networks)]


def _container(entry: Mapping[str, Any]) -> ObjectState:
    networks = (entry.get("NetworkSettings") or {}).get("Networks") or {}
    facts = {
        "status": entry["State"],
        "exit_code": exit_code_of(entry),
        "health": health_in(entry),
        "image": entry["Image"],
        "networks": sorted([name, end.get("NetworkID") or ""] for name, end in networks.items()),
        "stack": (entry["Labels"] or {}).get(PROJECT_LABEL),
    }
    labels = entry["Labels"] or {}
    return ObjectState(kind=Kind.CONTAINER, id=entry["Id"], name=name_of(entry), facts=facts, labels=labels)


def _network(entry: Mapping[str, Any]) -> ObjectState:
    labels = entry.get("Labels") or {}
    facts = {"driver": entry["Driver"], "stack": labels.get(PROJECT_LABEL)}
    return ObjectState(kind=Kind.NETWORK, id=entry["Id"], name=entry["Name"], facts=facts, labels=labels)
