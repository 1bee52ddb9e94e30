"""Waits until the log holds what the engine has told of a test's objects."""

import time
from typing import Any

import docker

from domain.engine_events import RECORDED, engine_event
from domain.events import EngineObserved
from server.bootstrap import Application
from tests.waiting import until

WATCHING: dict[str, Any] = {"DOCKER_MCP_ENGINE_EVENTS": True, "MCP_AUTH_SECRET": "0" * 32}
"""Settings of a server that follows the engine."""


class EngineTold:
    """Follows the log of one server, for objects whose names begin with a prefix."""

    def __init__(self, application: Application, engine: docker.APIClient, prefix: str) -> None:
        self._application = application
        self._engine = engine
        self._prefix = prefix
        self._since = time.time()
        self._read_to = 0
        self._seen: set[tuple[int, str, str]] = set()

    async def caught_up(self) -> None:
        """Wait until every event that the engine tells of now is recorded."""
        told: Any = self._engine.events(since=self._since, until=time.time(), decode=True)  # type: ignore[call-overload]
        events = [engine_event(each) for each in told]
        wanted = {
            (event.at_ms, event.action, event.object_id)
            for event in events
            if event.action in RECORDED.get(event.kind, ()) and (event.name or "").startswith(self._prefix)
        }
        await until(lambda: wanted <= self._recorded(), what="what the engine told")

    def _recorded(self) -> set[tuple[int, str, str]]:
        for event in self._application.store.read(self._read_to, limit=10_000):
            self._read_to = event.position
            if event.type == EngineObserved.type:
                tree = event.payload()
                self._seen.add((tree["occurred_at_ms"], tree["action"], tree["object_id"]))
        return self._seen
