"""Who did what, and what Docker did, in the order in which it began: a stretch of the log, command by command."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from domain.chain import timestamp
from domain.events import (
    ChainBroken,
    CommandAuthorized,
    CommandDeferred,
    CommandDenied,
    EngineGap,
    EngineObserved,
    EngineSuppressed,
    LogContinued,
    RecordedEvent,
)
from domain.lifecycle import FINAL
from domain.objects import Kind, column_name
from domain.projections.folded import tree_of
from domain.replay.engine import ENGINE, told_action
from domain.replay.entry import Entry, Span, Wanted, happened_ms, is_about
from domain.replay.fold import FINDING, FOUND_SO, OUTSIDE, fold
from domain.replay.notes import NOTES, note, reason_of
from domain.replay.world import UNKNOWN, Begun, Key, Transition, World

MOST_EVENTS: Final = 10_000
"""Events of the entries that a timeline keeps; of more, the newest."""
_MOST_SPANS: Final = 2_000
_REMEMBERED: Final = 10_000

_ALWAYS: Final = frozenset({EngineGap.type, EngineSuppressed.type, ChainBroken.type})
"""What limits all that a timeline can tell, so that no filter hides it."""
_DECISIONS: Final = frozenset({CommandAuthorized.type, CommandDenied.type, CommandDeferred.type})


class Timeline:
    """Folds a stretch of the log into entries and spans, and the world along with it."""

    def __init__(self, world: World, wanted: Wanted, most_events: int = MOST_EVENTS) -> None:
        """Begin with the world before the stretch; it is folded on in place."""
        self.world = world
        self.left_out = 0
        """Entries that would fit but were too many."""
        self.spans: dict[Key, list[Span]] = {}
        self.names: dict[Key, str] = {}
        self._since_ms = world.at_ms
        self._wanted = wanted
        self._most_events = most_events
        self._kept: list[Entry] = []
        self._kept_events = 0
        self._open: dict[str, Entry] = {begun.command_id: _entry_of(begun) for begun in world.begun.values()}
        self._ended: OrderedDict[str, Entry] = OrderedDict()
        for known in world.objects.values():
            self.spans[known.key] = [Span(self._since_ms, None, known.told(), known.changed.position)]
            self.names[known.key] = column_name(Kind(known.kind), known.name)

    def add(self, event: RecordedEvent) -> None:
        """Take in the next event of the log."""
        transitions = fold(self.world, event)
        at_ms = min(happened_ms(tree_of(event), event), event.occurred_at_ms) if transitions else 0
        for transition in transitions:
            self._follow(transition, at_ms, event.position)
        entry = self._entry(event)
        if entry is None:
            return
        entry.events.append(event)
        if transitions and event.type in FINDING:
            found = _found(entry, event, transitions)
            self._change(found, transitions)
            self._keep(found)
        else:
            self._change(entry, transitions)
        if entry.kind != "command":
            self._keep(entry)
        elif event.status in FINAL:
            entry.until_ms = event.occurred_at_ms
            self._open.pop(event.stream, None)
            self._remember(entry)
            self._keep(entry)

    def entries(self) -> list[Entry]:
        """Return what fits, by the time when it began; commands that have not ended are among it.

        The engine's events stand at the engine's own time, which is before they were recorded.
        """
        unfinished = [entry for entry in self._open.values() if self._fits(entry)]
        return sorted([*self._kept, *unfinished], key=lambda entry: (entry.at_ms, entry.position))

    def _change(self, entry: Entry, transitions: Sequence[Transition]) -> None:
        entry.changes.extend(transitions)
        for transition in transitions:
            self._touch(entry, transition.key, transition.name)

    def _entry(self, event: RecordedEvent) -> Entry | None:
        if event.tool:
            return self._of_command(event)
        if event.type == EngineObserved.type:
            return self._of_engine(event)
        if event.type in NOTES and (event.type != LogContinued.type or event.position == 1):
            return note(event)
        return None

    def _of_command(self, event: RecordedEvent) -> Entry:
        tree = tree_of(event)
        entry = self._open.get(event.stream)
        if entry is None:
            entry = self._open[event.stream] = Entry(
                kind="command",
                position=event.position,
                at_ms=event.occurred_at_ms,
                what=event.tool or "",
                principal=event.principal,
                command_id=event.stream,
            )
        entry.role, entry.purpose, entry.correlation_id = event.role, event.purpose, event.correlation_id
        entry.object, entry.status = event.object or entry.object, event.status or entry.status
        entry.summary = str(tree.get("summary") or entry.summary)
        entry.reason = reason_of(tree) or entry.reason
        if event.type in _DECISIONS:
            entry.rule, entry.policy_digest = tree.get("rule"), tree.get("policy_digest")
        if entry.object:
            entry.names.add(entry.object)
        for state in tree.get("pinned") or ():
            if state.get("id"):
                self._touch(entry, (state["kind"], state["id"]), state["name"])
        return entry

    def _of_engine(self, event: RecordedEvent) -> Entry:
        tree = tree_of(event)
        name = column_name(Kind(tree["kind"]), str(tree.get("name") or "")) if tree.get("kind") in set(Kind) else None
        cause = self._command(tree.get("command_id"))
        entry = Entry(
            kind="engine",
            position=event.position,
            at_ms=happened_ms(tree, event),
            what=told_action(tree),
            principal=cause.principal if cause else ENGINE,
            object=event.object or name,
            summary=f"{told_action(tree)} {name or tree.get('kind')}",
            correlation_id=cause.correlation_id if cause else None,
            command_id=tree.get("command_id"),
            external=bool(tree.get("external")),
        )
        entry.names |= {each for each in (entry.object, name) if each}
        if tree.get("old_name"):
            entry.names.add(column_name(Kind.CONTAINER, str(tree["old_name"])))
        if tree.get("stack"):
            entry.names.add(column_name(Kind.STACK, str(tree["stack"])))
        if tree.get("kind") in (Kind.CONTAINER, Kind.NETWORK):
            self._touch(entry, (tree["kind"], str(tree.get("object_id"))), str(tree.get("name") or ""))
        if tree.get("container"):
            key = (Kind.CONTAINER.value, str(tree["container"]))
            known = self.world.objects.get(key)
            self._touch(entry, key, str(tree.get("container_name") or (known.name if known else "")))
        return entry

    def _touch(self, entry: Entry, key: Key, name: str) -> None:
        entry.touched[key] = name
        if name:
            entry.names.add(f"{key[0]}/{name}")
        known = self.world.objects.get(key) or self.world.gone.get(key)
        if known and known.facts.get("stack"):
            entry.names.add(column_name(Kind.STACK, str(known.facts["stack"])))

    def _command(self, command_id: object) -> Entry | None:
        return self._open.get(str(command_id)) or self._ended.get(str(command_id)) if command_id else None

    def _remember(self, entry: Entry) -> None:
        self._ended[str(entry.command_id)] = entry
        if len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)

    def _keep(self, entry: Entry) -> None:
        if not self._fits(entry):
            return
        self._kept.append(entry)
        self._kept_events += len(entry.events)
        if self._kept_events > self._most_events + 1000:  # in one go: taking one by one off a long list is slow
            self._thin()

    def _thin(self) -> None:
        dropped = 0
        while self._kept_events > self._most_events:
            self._kept_events -= len(self._kept[dropped].events)
            dropped += 1
        del self._kept[:dropped]
        self.left_out += dropped

    def _fits(self, entry: Entry) -> bool:
        wanted = self._wanted
        if entry.what in _ALWAYS:
            return True
        return (
            (wanted.principal is None or entry.principal == wanted.principal)
            and (wanted.correlation_id is None or entry.correlation_id == wanted.correlation_id)
            and (wanted.stack is None or column_name(Kind.STACK, wanted.stack) in entry.names)
            and (wanted.object is None or is_about(wanted.object, entry.names, entry.touched))
        )

    def _follow(self, transition: Transition, at_ms: int, position: int) -> None:
        key = transition.key
        spans = self.spans.setdefault(key, [])
        self.names[key] = f"{key[0]}/{transition.name}"
        if spans and spans[-1].told == transition.after:
            return
        if spans:
            at_ms = max(at_ms, spans[-1].since_ms)
            spans[-1].until_ms = at_ms
        spans.append(Span(at_ms, None, transition.after, position))
        if len(spans) > _MOST_SPANS:
            del spans[0]


def _entry_of(begun: Begun) -> Entry:
    """Return the entry of a command that began before the stretch."""
    entry = Entry(
        kind="command",
        position=begun.position,
        at_ms=begun.at_ms,
        what=begun.tool,
        principal=begun.principal,
        object=begun.object,
        status=None if begun.status == "received" else begun.status,
        summary=begun.summary,
        command_id=begun.command_id,
    )
    entry.names |= {begun.object} if begun.object else set()
    for kind, object_id, name in begun.targets:
        entry.touched[kind, object_id] = name
        entry.names.add(f"{kind}/{name}")
    return entry


def _found(command: Entry, event: RecordedEvent, transitions: Sequence[Transition]) -> Entry:
    """Return the entry of what changed unseen before a command, whose doing it is not; it stands before that one.

    What was not known before, or could not be told, has not changed: it is no external change.
    """
    first = transitions[0]
    return Entry(
        kind="engine",
        position=command.position,
        at_ms=command.at_ms,
        what=FOUND_SO,
        principal=OUTSIDE,
        object=f"{first.key[0]}/{first.name}",
        summary=f"{FOUND_SO} by {command.what}",
        reason=f"found by command {command.command_id} at {timestamp(event.occurred_at_ms)}",
        external=any(transition.before not in (None, UNKNOWN) for transition in transitions),
        events=[event],
    )
