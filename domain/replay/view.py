"""Worlds and timelines as people and programs read them: rows of JSON. No row holds a secret."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from domain.canonical import JSON
from domain.chain import timestamp
from domain.objects import Kind
from domain.replay.entry import Entry, Wanted, is_about
from domain.replay.world import Begun, Known, World
from domain.text import column_text

_SHORT_ID: Final = 12

Row = dict[str, JSON]


def short(object_id: str) -> str:
    """Return the digits of an id by which people know an object."""
    return object_id[:_SHORT_ID]


def fits(wanted: Wanted) -> Callable[[Known], bool]:
    """Return what tells whether an object is one that was asked for; only its name or stack can be."""

    def fit(known: Known) -> bool:
        stack = known.name if known.kind == Kind.STACK else known.facts.get("stack")
        return (wanted.stack is None or stack == wanted.stack) and (
            wanted.object is None or is_about(wanted.object, {f"{known.kind}/{known.name}"}, {known.key: known.name})
        )

    return fit


def object_rows(world: World, wanted: Wanted, *, gone: bool = False) -> list[Row]:
    """Return the objects of a world, by kind and name; with ``gone`` also those removed that it remembers."""
    found = [*world.objects.values(), *(world.gone.values() if gone else ())]
    fit = fits(wanted)
    return [
        object_row(known, world)
        for known in sorted(found, key=lambda each: (each.kind, each.name, each.id))
        if fit(known)
    ]


def object_row(known: Known, world: World) -> Row:
    """Return an object with its state, and what changed it last."""
    facts, changed = known.facts, known.changed
    row: Row = {
        "kind": known.kind,
        "name": column_text(known.name),
        "id": short(known.id),
        "state": _stack_state(known, world) if known.kind == Kind.STACK else known.told(),
        "image": facts.get("image"),
        "exit_code": facts.get("exit_code") if known.status == "exited" else None,
        "health": facts.get("health"),
        "networks": [name for name, *_ in facts["networks"]] if "networks" in facts else None,
        "stack": facts.get("stack"),
        "service": facts.get("service"),
        "memory_bytes": facts.get("memory_bytes"),
        "restart_count": facts.get("restart_count") or None,
        "changed_at": timestamp(changed.at_ms),
        "changed_by": changed.by,
        "change": changed.what,
        "external": changed.external or None,
        "command_id": changed.command_id,
        "made_by": known.made_by,
    }
    return {name: value for name, value in row.items() if value is not None}


def _stack_state(known: Known, world: World) -> str:
    if known.status != "present":
        return known.status
    containers = [each for each in world.members(known.name) if each.kind == Kind.CONTAINER]
    running = sum(each.status == "running" for each in containers)
    return f"{running} of {len(containers)} running"


def begun_row(begun: Begun) -> Row:
    """Return a command that was in progress."""
    return {
        "command_id": begun.command_id,
        "at": timestamp(begun.at_ms),
        "principal": begun.principal,
        "tool": begun.tool,
        "object": begun.object,
        "status": begun.status,
        "summary": begun.summary,
    }


def entry_row(entry: Entry) -> Row:
    """Return an entry of a timeline, without its events."""
    row: Row = {
        "position": entry.position,
        "at": timestamp(entry.at_ms),
        "kind": entry.kind,
        "what": entry.what,
        "principal": entry.principal,
        "role": entry.role or None,
        "object": entry.object,
        "status": entry.status or ("authorized" if entry.kind == "command" else None),
        "summary": entry.summary,
        "reason": entry.reason,
        "changes": list(changes_told(entry)) or None,
        "external": entry.external or None,
        "purpose": entry.purpose,
        "correlation_id": entry.correlation_id,
        "command_id": entry.command_id,
        "ended_at": timestamp(entry.until_ms) if entry.until_ms is not None else None,
        "rule": entry.rule,
        "policy_digest": entry.policy_digest,
    }
    return {name: value for name, value in row.items() if value is not None}


def changes_told(entry: Entry) -> Iterator[str]:
    """Yield each change of state in words: ``container/web: running → exited (137)``."""
    for transition in entry.changes:
        name = f"{transition.key[0]}/{column_text(transition.name)}"
        if transition.before is None:
            yield f"{name}: {transition.after}"
        elif transition.before != transition.after:
            yield f"{name}: {transition.before} → {transition.after}"
        else:
            yield f"{name}: {transition.after}, {column_text(transition.otherwise)}"


def differences(before: World, after: World, wanted: Wanted) -> list[Row]:
    """Return what differs between two moments, object by object, with what changed it last."""
    fit = fits(wanted)
    rows: list[Row] = []
    for key in sorted({*before.objects, *after.objects}):
        old, new = before.objects.get(key), after.objects.get(key)
        known = new or after.gone.get(key) or old
        if known is None or not fit(known):
            continue
        fields = _changed_fields(old, new)
        if old and new and not fields:
            continue
        change = "changed" if old and new else "appeared" if new else "removed"
        row = object_row(known, after)
        about: Row = {name: row[name] for name in ("kind", "name", "id")}
        last: Row = {
            name: row[name] for name in ("changed_at", "changed_by", "change", "external", "command_id") if name in row
        }
        if not new and known is old:  # removed so long before the end that nobody remembers by whom
            last = {}
        rows.append({**about, "difference": change, "fields": fields, **last})
    return rows


def _changed_fields(old: Known | None, new: Known | None) -> Row:
    """Return the fields that differ, each with the old and the new value."""
    sides = [_comparable(each) if each else {} for each in (old, new)]
    return {
        name: [sides[0].get(name), sides[1].get(name)]
        for name in sorted({*sides[0], *sides[1]})
        if sides[0].get(name) != sides[1].get(name)
    }


def _comparable(known: Known) -> Mapping[str, Any]:
    facts = known.facts
    told: Row = {
        name: facts[name] for name in ("image", "memory_bytes", "started_at", "containers", "volumes") if name in facts
    }
    if "networks" in facts:
        told["networks"] = [name for name, *_ in facts["networks"]]
    return {"state": known.told(), "name": known.name, **told}
