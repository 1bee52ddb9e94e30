"""What the tools for stacks answer."""

from typing import Annotated

from pydantic import Field

from domain.catalogue.container_results import Logs
from domain.catalogue.tool import Result
from domain.objects import ObjectRef


class ServiceChange(Result):
    """What happened to a service (created, recreated, started, restarted, stopped, removed, unchanged)."""

    service: str
    change: str
    containers: int
    state: str | None = None


class StackChanged(Result):
    """A stack after a command, service by service."""

    project: str
    services: list[ServiceChange]
    volumes_removed: list[str] | None = None
    members: Annotated[tuple[ObjectRef, ...], Field(exclude=True)] = ()

    def touched(self) -> tuple[ObjectRef, ...]:
        return self.members


class StackContainer(Result):
    """A container of a stack; a service that has none shows as absent."""

    service: str
    container: str | None = None
    state: str
    health: str | None = None
    exit_code: int | None = None
    ports: list[str] | None = None


class StackServices(Result):
    """The services of a stack and their containers."""

    project: str
    services: list[StackContainer]
    deployed_by: str | None = None


class StackLogs(Logs):
    """The newest lines of all containers in the order of time, each after ``container | ``."""


class StackRow(Result):
    """One stack. ``recorded`` is false for one that was not deployed through this server."""

    name: str
    services: int
    running: int
    containers: int
    recorded: bool


class StackList(Result):
    """Stacks by name."""

    stacks: list[StackRow]
    total: int
