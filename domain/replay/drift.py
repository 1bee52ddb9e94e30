"""What the engine shows now, beside what the log knows."""

from collections.abc import Iterable
from typing import Any, Final

from domain.objects import Kind, ObjectState
from domain.replay.entry import EVERYTHING, Wanted
from domain.replay.view import Row, fits, object_row, short
from domain.replay.world import UNKNOWN, Change, Known, World

_ENGINES_OWN: Final = frozenset({"bridge", "host", "none"})
"""Networks that every engine has."""


def drift(
    world: World, live: Iterable[ObjectState], wanted: Wanted = EVERYTHING, *, unrecorded: bool = True
) -> list[Row]:
    """Return the containers and networks that are not as the log knows them, by kind and name.

    ``drift`` says how: ``gone`` from the engine, ``differs`` in ``fields`` (each with what the log and what the engine
    says), or ``unrecorded``: the log has never heard of it. Nobody recorded what made them so.
    """
    there, fit = {(state.kind.value, state.id): state for state in live}, fits(wanted)
    rows: list[Row] = []
    for key, known in world.objects.items():
        if known.kind not in (Kind.CONTAINER, Kind.NETWORK):
            continue
        state = there.pop(key, None)
        if not fit(known):
            continue
        told = object_row(known, world)
        about: Row = {name: told[name] for name in ("kind", "name", "id")}
        last: Row = {name: told[name] for name in ("changed_at", "changed_by", "change", "command_id") if name in told}
        if state is None:
            if not known.id.startswith("?"):
                rows.append({**about, "drift": "gone", "fields": {"state": [told["state"], None]}, **last})
        elif fields := _fields(known, state):
            rows.append({**about, "drift": "differs", "fields": fields, **last})
    if unrecorded:
        rows += [_unrecorded(state) for state in there.values() if _is_noted(state) and fit(_seen(state))]
    return sorted(rows, key=lambda row: (row["kind"], row["name"], row["id"]))


def _fields(known: Known, state: ObjectState) -> Row:
    """Return what differs: state, exit code, health, image, name, networks; what the log does not know is left out."""
    sides: dict[str, tuple[Any, Any]] = {"name": (known.name, state.name)}
    if known.kind == Kind.CONTAINER:
        sides["state"] = (known.status, state.facts.get("status"))
        if known.status == UNKNOWN:
            sides["state"] = ("unknown", state.facts.get("status"))
        if known.status == state.facts.get("status") == "exited" and "exit_code" in known.facts:
            sides["exit_code"] = (known.facts["exit_code"], state.facts.get("exit_code"))
        for name in ("image", "health"):
            if known.facts.get(name) and state.facts.get(name):
                sides[name] = (known.facts[name], state.facts[name])
        if "networks" in known.facts and "networks" in state.facts:
            sides["networks"] = (_names(known.facts["networks"]), _names(state.facts["networks"]))
    return {name: [logged, found] for name, (logged, found) in sides.items() if logged != found}


def _names(networks: Iterable[Any]) -> list[str]:
    return sorted(str(each[0]) for each in networks)


def _is_noted(state: ObjectState) -> bool:
    return not (state.kind is Kind.NETWORK and state.name in _ENGINES_OWN)


def _seen(state: ObjectState) -> Known:
    return Known(state.kind.value, state.id, state.name, UNKNOWN, Change(0, 0, "", ""), dict(state.facts))


def _unrecorded(state: ObjectState) -> Row:
    return {
        "kind": state.kind.value,
        "name": state.name,
        "id": short(state.id),
        "drift": "unrecorded",
        "fields": {"state": [None, state.facts.get("status", "present")]},
    }
