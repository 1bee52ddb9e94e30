"""The engine's own account of what happened to a test's objects, put into the log as its observer does."""

import time
from typing import Any

import docker

from domain.events import EngineObserved, event_of
from domain.principal import SYSTEM
from server.bootstrap import Application, new_id

_ACTIONS = frozenset(
    [
        *("create", "start", "die", "oom", "kill", "stop", "restart", "pause", "unpause", "rename", "destroy"),
        *("connect", "disconnect"),
    ]
)


class EngineTold:
    """Records what the engine tells of objects whose names begin with a prefix, each event once, in its order."""

    def __init__(self, application: Application, engine: docker.APIClient, prefix: str) -> None:
        self._application = application
        self._engine = engine
        self._prefix = prefix
        self._since = time.time() - 1
        self._seen: set[tuple[int, str, str]] = set()

    def record(self, command_id: str | None = None) -> list[EngineObserved]:
        """Record what is new; ``command_id`` is the command that caused all of it, None: nobody of ours did."""
        events = [told for found in self._new() if (told := self._event(found, command_id))]
        stream = "engine/test"
        self._application.store.append(
            [
                event_of(SYSTEM, event, stream, new_id())._replace(object=f"{event.kind}/{event.name}")
                for event in events
            ]
        ).result(10)
        return events

    def _new(self) -> list[dict[str, Any]]:
        found = self._engine.events(since=int(self._since), until=int(time.time()) + 1, decode=True)
        fresh = []
        for event in found:
            mark = (event["timeNano"], event["Action"], event["Actor"]["ID"])
            if mark not in self._seen:
                self._seen.add(mark)
                fresh.append(event)
        return fresh

    def _event(self, found: dict[str, Any], command_id: str | None) -> EngineObserved | None:
        attributes = found["Actor"].get("Attributes") or {}
        action, _, health = found["Action"].partition(": ")
        name = attributes.get("name", "")
        if action not in {*_ACTIONS, "health_status"} or not name.startswith(self._prefix):
            return None
        return EngineObserved(
            engine="test",
            kind=found["Type"],
            action=action,
            object_id=found["Actor"]["ID"],
            name=name,
            occurred_at_ms=found["timeNano"] // 1_000_000,
            engine_time="0.0",
            health=health or None,
            exit_code=int(attributes["exitCode"]) if "exitCode" in attributes else None,
            signal=attributes.get("signal"),
            image=attributes.get("image"),
            container=attributes.get("container"),
            stack=attributes.get("com.docker.compose.project"),
            command_id=command_id,
            external=command_id is None,
        )
