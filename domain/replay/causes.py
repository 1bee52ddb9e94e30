"""Why an object is as it is: from its state back to the commands, conversations, people and rules behind it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from domain.chain import timestamp
from domain.events import CommandApproved, CommandReceived, PolicyLoaded, RecordedEvent
from domain.projections.folded import tree_of
from domain.replay.entry import Entry, is_about
from domain.replay.view import Row, changes_told, object_row
from domain.replay.world import Known, World
from domain.secrets import hide_sealed

MOST_CAUSES: Final = 12
"""Changes of one object that are traced back, newest first."""

Stream = Callable[[str], Sequence[RecordedEvent]]
"""Returns the events of a stream, oldest first; none if there are none."""


def find(world: World, wanted: str) -> list[Known]:
    """Return the objects that ``wanted`` can mean, those that exist first, each newest change first."""
    sides = ([*world.objects.values()][::-1], [*world.gone.values()][::-1])
    return [
        known
        for side in sides
        for known in side
        if is_about(wanted, {f"{known.kind}/{known.name}"}, {known.key: known.name})
    ]


def why(known: Known, world: World, entries: Sequence[Entry], stream: Stream) -> list[Row]:
    """Return what led to the state of an object, newest first, each step with its own cause.

    The first row is the state; then come its changes in the stretch of ``entries``; the last is the command that made
    it. ``stream`` looks up the records of a command.
    """
    rows: list[Row] = [{"step": "state", **object_row(known, world)}]
    told: set[str] = set()
    changes = [entry for entry in reversed(entries) if any(each.key == known.key for each in entry.changes)]
    for entry in changes[:MOST_CAUSES]:
        rows.append(_change(entry, stream, told))
    if not changes:
        rows.append(_last(known, stream, told))
    if known.made_by and known.made_by not in told:
        rows.append({"step": "made", **(command_row(known.made_by, stream) or {"command_id": known.made_by})})
    return rows


def command_row(command_id: str, stream: Stream) -> Row | None:
    """Return who gave a command, why, in which conversation, by which rule of which policy; sealed values hidden."""
    events = stream(command_id)
    if not events or events[0].type != CommandReceived.type:
        return None
    first, last, received = events[0], events[-1], tree_of(events[0])
    row: Row = {
        "command_id": command_id,
        "at": timestamp(first.occurred_at_ms),
        "principal": first.principal,
        "role": first.role,
        "tool": first.tool,
        "summary": received.get("summary"),
        "arguments": hide_sealed(received.get("arguments")),
        "status": last.status or "authorized",
        "purpose": first.purpose,
        "correlation_id": first.correlation_id,
        "client": received.get("client_name"),
        "transport": received.get("transport"),
        **dict(_decisions(events, stream)),
    }
    return {name: value for name, value in row.items() if value is not None}


def _change(entry: Entry, stream: Stream, told: set[str]) -> Row:
    row: Row = {
        "step": "change",
        "position": entry.position,
        "at": timestamp(entry.at_ms),
        "by": entry.principal,
        "what": entry.what,
        "status": entry.status,
        "reason": entry.reason,
        "changes": list(changes_told(entry)),
        "external": entry.external or None,
        "cause": _cause(entry.command_id, stream, told),
    }
    return {name: value for name, value in row.items() if value is not None}


def _last(known: Known, stream: Stream, told: set[str]) -> Row:
    """Return the last change that the world remembers; it lies before the stretch."""
    changed = known.changed
    row: Row = {
        "step": "change",
        "position": changed.position,
        "at": timestamp(changed.at_ms),
        "by": changed.by,
        "what": changed.what,
        "external": changed.external or None,
        "cause": _cause(changed.command_id, stream, told),
    }
    return {name: value for name, value in row.items() if value is not None}


def _cause(command_id: str | None, stream: Stream, told: set[str]) -> Row | None:
    """Return the command behind a change; one that was told before by its id alone."""
    if command_id is None:
        return None
    if command_id in told:
        return {"command_id": command_id}
    told.add(command_id)
    return command_row(command_id, stream)


def _decisions(events: Sequence[RecordedEvent], stream: Stream) -> Iterator[tuple[str, str]]:
    for event in events:
        tree = tree_of(event)
        if tree.get("policy_digest") and tree.get("rule"):
            yield "rule", tree["rule"]
            yield "policy", tree["policy_digest"]
            if loaded := _loaded(str(tree["policy_digest"]), event.position, stream):
                yield "policy_since", timestamp(loaded.occurred_at_ms)
        if event.type == CommandApproved.type:
            yield "approved_by", str(tree.get("by"))


def _loaded(digest: str, before: int, stream: Stream) -> RecordedEvent | None:
    """Return the record of the rules coming into force, the last one before a position."""
    loaded = [each for each in stream("policy") if each.type == PolicyLoaded.type and each.position < before]
    return next((each for each in reversed(loaded) if tree_of(each).get("policy_digest") == digest), None)
