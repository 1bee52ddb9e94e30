"""The log as the comparison needs it: one story per command."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from adapters.store.event_store import SqlEventStore
from domain.catalogue import CATALOGUE
from domain.catalogue.tool import Effect
from domain.events import RecordedEvent
from domain.lifecycle import FINAL, Status


def all_events(store: SqlEventStore) -> Iterator[RecordedEvent]:
    """Yield the whole log in its order."""
    position = 0
    while page := store.read(position, 1000):
        yield from page
        position = page[-1].position


@dataclass(frozen=True)
class Story:
    """The events of one command, in their order."""

    command_id: str
    events: list[RecordedEvent]

    @property
    def tool(self) -> str:
        return self.events[0].tool or ""

    @property
    def purpose(self) -> str | None:
        return self.events[0].purpose

    @property
    def status(self) -> str | None:
        return self.events[-1].status

    @cached_property
    def received(self) -> dict[str, Any]:
        return self.events[0].payload()

    @cached_property
    def outcome(self) -> dict[str, Any]:
        return self.events[-1].payload()

    @property
    def reconciled(self) -> bool:
        return bool(self.outcome.get("reconciled"))

    @cached_property
    def started(self) -> RecordedEvent | None:
        return next((event for event in self.events if event.type == "execution.started"), None)

    @property
    def ended(self) -> RecordedEvent | None:
        """The event with which it let go of its objects."""
        told = ("command.succeeded", "command.failed", "command.unknown")
        return next((event for event in self.events if event.type in told), None)

    @cached_property
    def pinned(self) -> list[dict[str, Any]]:
        return list(self.started.payload().get("pinned", [])) if self.started else []

    def pinned_id(self, kind: str) -> str | None:
        return next((state["id"] for state in self.pinned if state["kind"] == kind), None)

    @property
    def may_have_applied(self) -> bool:
        """Whether the log leaves room for an effect."""
        if self.started is None or self.status == Status.CANCELLED:
            return False
        return not (self.status == Status.FAILED and self.outcome["applied"] == "none")

    @property
    def came_too_late(self) -> bool:
        """Whether nothing followed its start: its process had died, or had lost its locks."""
        return (self.reconciled or self.outcome.get("code") == "turn_lost") and not self.may_have_applied

    @cached_property
    def objects(self) -> set[str]:
        """What a command that changes something has to be alone with while it runs."""
        tool = CATALOGUE.by_name(self.tool)
        if self.started is None or tool is None or tool.effect is Effect.READ:
            return set()
        keys = {f"{state['kind']}/{state['id'] or state['name']}" for state in self.pinned}
        return keys | ({self.events[0].object} if tool.creates and self.events[0].object else set())

    def told(self) -> str:
        steps = " → ".join(f"{event.position} {event.type.partition('.')[2]}" for event in self.events)
        names = ("code", "message", "reason", "applied", "reconciled")
        ending = {name: self.outcome[name] for name in names if self.outcome.get(name)}
        return f"{self.command_id} {self.tool} {self.events[0].object} [{steps}] {ending}"


def stories(events: Iterable[RecordedEvent]) -> dict[str, Story]:
    streams: dict[str, list[RecordedEvent]] = defaultdict(list)
    for event in events:
        if event.tool:
            streams[event.stream].append(event)
    return {command_id: Story(command_id, found) for command_id, found in streams.items()}


def is_open(story: Story) -> bool:
    return story.status not in FINAL
