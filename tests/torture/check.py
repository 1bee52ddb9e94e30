"""Compares the log, the engine and the clients' own record once all is quiet. Yields what does not fit."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import docker

from adapters.store.event_store import SqlEventStore
from adapters.store.read_models import check_read_models
from domain.catalogue.fields import COMMAND_LABEL
from domain.chain import verify
from domain.errors import IllegalTransitionError
from domain.events import RecordedEvent
from domain.lifecycle import Status, check_life
from tests.torture.clients import Call
from tests.torture.history import Story, all_events, is_open, stories

_CHECK_S: Final = 30
_NOTHING_DONE: Final = ("log_unavailable", "overloaded", "shutting_down")
_OPEN: Final = ("outcome_open", "outcome_not_recorded", "concurrent_append", "engine_interrupted", "timed_out")
_PROJECT: Final = "com.docker.compose.project"
_SERVICE: Final = "com.docker.compose.service"


class Witness(Protocol):
    """What an engine has told of itself, and shows when asked."""

    events: list[dict[str, Any]]
    outages: list[tuple[float, float]]

    def client(self) -> docker.APIClient: ...


def violations(store: SqlEventStore, engine: Witness, calls: Sequence[Call]) -> Iterator[str]:
    """Yield one line for each thing that does not hold."""
    events = list(all_events(store))
    told = stories(events)
    yield from _log(store, events, told)
    yield from _clients(told, calls)
    yield from _keys(told)
    yield from _overlaps(told)
    yield from _effects(told, engine)
    yield from _state(told, engine)


def _log(store: SqlEventStore, events: Sequence[RecordedEvent], told: Mapping[str, Story]) -> Iterator[str]:
    for fault in verify(events):
        yield f"chain: position {fault.position} {fault.problem}"
    for story in told.values():
        try:
            check_life(event.type for event in story.events)
        except IllegalTransitionError as error:
            yield f"life: {error}: {story.told()}"
        if is_open(story) and story.status != Status.UNKNOWN:
            yield f"unfinished: {story.told()}"
    for difference in check_read_models(store.location, _CHECK_S):
        yield f"read model: {difference.describe()}"


def _clients(told: Mapping[str, Story], calls: Sequence[Call]) -> Iterator[str]:
    """Every acknowledged call is in the log, and the log says what the caller heard."""
    by_purpose: dict[str | None, list[Story]] = defaultdict(list)
    for story in told.values():
        by_purpose[story.purpose].append(story)
    for call in calls:
        own = by_purpose[call.purpose]
        if len(own) > 1:
            yield f"twice in the log: {call.purpose}: {[story.told() for story in own]}"
        if call.lost or call.error in _NOTHING_DONE:
            if call.error in _NOTHING_DONE and own and own[0].may_have_applied:
                yield f"refused with {call.error}, but: {own[0].told()}"
            continue
        if not own:
            yield f"acknowledged, but not in the log: {call}"
            continue
        yield from _heard(call, told.get(call.command_id or ""))


def _heard(call: Call, story: Story | None) -> Iterator[str]:
    if story is None:
        yield f"the answer names no command of the log: {call}"
    elif call.error is None and call.result and call.result.get("status") == "deferred":
        if not any(event.type == "command.deferred" for event in story.events):
            yield f"heard deferred: {story.told()}"
    elif call.error is None and story.status != Status.SUCCESS:
        yield f"heard success: {call.purpose}: {story.told()}"
    elif call.error and call.error not in _OPEN and story.status == Status.SUCCESS:
        yield f"heard {call.error}: {call.purpose}: {story.told()}"


def _keys(told: Mapping[str, Story]) -> Iterator[str]:
    by_key: dict[tuple[str, str], list[Story]] = defaultdict(list)
    for story in told.values():
        if key := story.received.get("idempotency_key"):
            by_key[story.events[0].principal, key].append(story)
    for (_, key), found in by_key.items():
        if len(found) > 1:
            yield f"key {key} has {len(found)} commands: {[story.told() for story in found]}"


def _overlaps(told: Mapping[str, Story]) -> Iterator[str]:
    """No two commands run on the same object at the same time.

    The start of one whose process has lost its locks, or died, may be committed a moment after the next has taken them:
    it asks nothing of the engine any more.
    """
    by_object: dict[str, list[Story]] = defaultdict(list)
    for story in told.values():
        for name in () if story.came_too_late else story.objects:
            by_object[name].append(story)
    for name, found in by_object.items():
        found.sort(key=lambda story: story.started.position if story.started else 0)
        for one, other in itertools.pairwise(found):
            if one.ended and other.started and other.started.position < one.ended.position:
                yield f"overlap on {name}: {one.told()} | {other.told()}"


class _Happened:
    """What the engine has told, counted."""

    def __init__(self, events: Sequence[Mapping[str, Any]]) -> None:
        self.count: Counter[tuple[str, str, str]] = Counter()
        self.made: dict[str, list[str]] = defaultdict(list)
        self.made_for_stack: Counter[tuple[str, str]] = Counter()
        self.in_stack: dict[str, str] = {}
        self.network_names: Counter[str] = Counter()
        self.stack_networks: set[str] = set()
        for event in events:
            actor, labels = event["Actor"]["ID"], event["Actor"]["Attributes"]
            self.count[event["Type"], event["Action"].partition(":")[0], actor] += 1
            if event["Type"] == "network" and labels.get("name", "").endswith("_default"):
                self.stack_networks.add(actor)
            if event["Type"] == "container" and _PROJECT in labels:
                self.in_stack[actor] = labels[_PROJECT]
            if event["Action"] == "create":
                if event["Type"] == "network":
                    self.network_names[labels["name"]] += 1
                elif _PROJECT in labels:
                    self.made_for_stack[labels[_PROJECT], labels[_SERVICE]] += 1
                elif COMMAND_LABEL in labels:
                    self.made[labels[COMMAND_LABEL]].append(actor)


def _effects(told: Mapping[str, Story], engine: Witness) -> Iterator[str]:
    """What the engine told of happened for a command that may have done it, and never once more than there are."""
    happened = _Happened(engine.events)
    may = [story for story in told.values() if story.may_have_applied]
    alive = _Alive(engine)
    for command_id, made in happened.made.items():
        story = told.get(command_id)
        if len(made) > 1:
            yield f"made twice: {made} by {story.told() if story else command_id}"
        if story is None or story.started is None:
            yield f"made without a record: {made} {story.told() if story else command_id}"
        elif not story.may_have_applied and any(each in alive.containers for each in made):
            yield f"reported as not done, but there: {made} {story.told()}"
    yield from _verbs(may, happened, told)
    for project, service in happened.made_for_stack:
        deploys = sum(s.tool == "deploy-compose" and s.received["arguments"]["project_name"] == project for s in may)
        if (made_now := happened.made_for_stack[project, service]) > deploys:
            yield f"stack {project}: {service} was made {made_now} times by {deploys} deployments"
    for name, times in happened.network_names.items():
        creates = sum(s.tool == "network-create" and s.received["arguments"]["name"] == name for s in may)
        if name.startswith("t-") and times > creates:
            yield f"network {name} was made {times} times by {creates} commands"


def _verbs(may: Sequence[Story], happened: _Happened, told: Mapping[str, Story]) -> Iterator[str]:
    asked: Counter[tuple[str, str]] = Counter()
    for story in may:
        asked[story.tool, story.pinned_id("container") or story.pinned_id("network") or ""] += 1
        if story.tool == "compose-restart":
            asked[story.tool, story.received["arguments"]["project_name"]] += 1
    creators = {
        made: told[command_id] for command_id, ids in happened.made.items() for made in ids if command_id in told
    }
    for (kind, action, actor), times in happened.count.items():
        project, creator = happened.in_stack.get(actor), creators.get(actor)
        starts = asked["start-container", actor] + asked["restart-container", actor] + _starts(creator)
        removals = asked["remove-container", actor] + bool(creator and creator.status == Status.FAILED)
        most = {
            ("container", "restart"): asked["compose-restart", project]
            if project
            else asked["restart-container", actor],
            ("container", "start"): times if project else starts,
            ("container", "destroy"): times if project else removals,
            ("network", "destroy"): times if actor in happened.stack_networks else asked["network-remove", actor],
        }.get((kind, action), times)
        if times > most:
            made = f"; made by {creator.told()}" if creator else ""
            yield f"{kind} {actor[:12]} had {times} times {action} by {most} commands{made}"


def _starts(creator: Story | None) -> bool:
    return bool(creator and creator.started and creator.received["arguments"].get("start", True))


class _Alive:
    """What stands on the engine now."""

    def __init__(self, engine: Witness) -> None:
        api = engine.client()
        self.containers = {entry["Id"]: entry for entry in api.containers(all=True)}
        self.networks = {entry["Id"]: entry for entry in api.networks()}
        api.close()

    def state(self, object_id: str) -> str:
        """Return a container's state, of a network that it is there, of neither that it is gone."""
        entry = self.containers.get(object_id) or self.networks.get(object_id)
        return str(entry.get("State", "there")) if entry else "gone"


def _state(told: Mapping[str, Story], engine: Witness) -> Iterator[str]:
    """What the log says last of each object is what the engine shows."""
    alive = _Alive(engine)
    lives: dict[str, list[Story]] = defaultdict(list)
    for story in told.values():
        if story.tool in _LEAVES and story.may_have_applied:
            for object_id in _touched(story):
                lives[object_id].append(story)
    last_outage_ms = max((end for _, end in engine.outages), default=0) * 1000
    for object_id, found in lives.items():
        last = max(found, key=lambda story: story.started.position if story.started else 0)
        wanted = _left_by(last)
        if wanted is None or last.started is None:
            continue
        state = alive.state(object_id)
        rested = last.started.occurred_at_ms > last_outage_ms  # an engine that ends, ends its containers
        if (wanted == "gone") != (state == "gone") or (state != "gone" and rested and state != wanted):
            yield f"{object_id[:12]} is {state}, not {wanted}: {last.told()}"
    for object_id, entry in (alive.containers | alive.networks).items():
        command_id = (entry.get("Labels") or {}).get(COMMAND_LABEL)
        if command_id and not (command_id in told and told[command_id].may_have_applied):
            yield f"{object_id[:12]} is there: {told[command_id].told() if command_id in told else command_id}"


def _left_by(story: Story) -> str | None:
    """Return the state in which a command left its object; None if nobody can tell."""
    if story.status != Status.SUCCESS:
        return None
    if story.tool == "stop-container" and not story.pinned[0]["facts"].get("running"):
        return None  # it stayed as it was
    if story.tool == "create-container" and not story.received["arguments"].get("start", True):
        return "created"
    return _LEAVES[story.tool]


_LEAVES: Final = {
    "create-container": "running",
    "start-container": "running",
    "restart-container": "running",
    "stop-container": "exited",
    "remove-container": "gone",
    "network-create": "there",
    "network-remove": "gone",
}


def _touched(story: Story) -> list[str]:
    if story.tool in ("create-container", "network-create"):
        return [ref["id"] for ref in story.outcome.get("touched", [])]
    kind = "network" if story.tool == "network-remove" else "container"
    object_id = story.pinned_id(kind)
    return [object_id] if object_id else []
