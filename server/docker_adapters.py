"""The adapters of one engine: a part of the composition root."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from domain.engine_ports import EngineEvents
from domain.objects import ObjectState
from domain.ports import Observer
from server.settings import Settings


class DockerAdapters:
    """The adapters of one engine. Docker's client is imported when the first of them is needed."""

    def __init__(
        self, settings: Settings, recorded_stacks: Callable[[], Any], command: Callable[[str], ObjectState]
    ) -> None:
        self._settings = settings
        self._recorded_stacks = recorded_stacks
        self._command = command

    @cached_property
    def engine(self) -> Any:
        from adapters.docker.engine import Engine

        settings = self._settings
        connections = settings.DOCKER_MCP_ENGINE_WORKERS + 1  # one for its events
        return Engine(settings.docker_environment, settings.DOCKER_MCP_ENGINE_TIMEOUT_S, connections)

    def close(self) -> None:
        """End what still runs, and close the connections to the engine, if there are any."""
        if "compose" in self.__dict__:
            self.compose.close()
        if "engine" in self.__dict__:
            self.engine.close()

    @cached_property
    def observer(self) -> Observer:
        from adapters.compose.observe import observe_stack
        from adapters.docker.engine import EngineObserver

        return EngineObserver(self.engine, observe_stack, self._command)

    def inventory(self) -> list[ObjectState]:
        """Return all containers and networks that the engine shows now."""
        from adapters.docker.inventory import inventory

        return inventory(self.engine)

    @cached_property
    def events(self) -> EngineEvents:
        from adapters.docker.engine_events import DockerEvents

        return DockerEvents(self.engine)

    @cached_property
    def images(self) -> Any:
        from adapters.docker.images import DockerImages

        return DockerImages(self.engine)

    @cached_property
    def containers(self) -> Any:
        from adapters.docker.containers import DockerContainers

        return DockerContainers(self.engine, self.images)

    @cached_property
    def networks(self) -> Any:
        from adapters.docker.networks import DockerNetworks

        return DockerNetworks(self.engine)

    @cached_property
    def compose(self) -> Any:
        from adapters.compose.runner import ComposeRunner

        settings = self._settings
        return ComposeRunner(settings.DOCKER_MCP_COMPOSE, settings.docker_environment, settings.state_dir / "stacks")

    @cached_property
    def stacks(self) -> Any:
        from adapters.compose.stacks import ComposeStacks

        return ComposeStacks(
            self.engine, self.images, self.compose, self._recorded_stacks(), self._settings.compose_roots
        )

    @cached_property
    def system(self) -> Any:
        from adapters.docker.images import DockerSystem

        return DockerSystem(self.engine)
