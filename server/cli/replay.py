"""``docker-mcp replay``: the past, told from the log."""

import asyncio
import gc
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from adapters.store.location import Location
from adapters.store.snapshot import Snapshot, hash_at, open_snapshot
from adapters.store.world_log import WorldLog, saver
from domain.canonical import JSON
from domain.catalogue.replay import ReplayLog, ReplayRange
from domain.catalogue.tool import Surface
from domain.chain import timestamp
from domain.errors import NotFoundError
from domain.objects import ObjectState
from domain.replay.causes import find, why
from domain.replay.drift import drift
from domain.replay.entry import Entry, Wanted
from domain.replay.plan import rebuilding
from domain.replay.view import begun_row, differences, entry_row, object_row, object_rows
from domain.replay.world import World
from server.cli.asking import ask, reading
from server.cli.audit_export import output
from server.cli.progress import Progress
from server.cli.replay_forms import json_form, table_form
from server.cli.stretch import stretch_of
from server.settings import Settings

MOST_OTHERS: Final = 20
"""Further objects of a name that an answer lists, those that exist first."""

Told = dict[str, JSON]
"""The answer: ``about``, and a list of rows for each section that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Which sections an answer has; ``why`` names the object."""

    state: bool = False
    timeline: bool = False
    difference: bool = False
    drift: bool = False
    why: str | None = None
    plan: bool = False


def replay_log(settings: Settings, arguments: dict[str, Any], shown: Shown, form: str, to: str) -> None:
    """Print or write the past. The question is a command, recorded before a byte of the answer is read.

    Args:
        settings: the options.
        arguments: those of the command ``replay``.
        shown: what to tell.
        form: ``table``, ``json`` or ``html``.
        to: a file that does not exist yet, or ``-``.

    Raises:
        DockerMcpError: if the log cannot be asked, the question is wrong, or there is no place for the answer.
    """
    command, found = asyncio.run(_ask(settings, arguments))
    location, timeout_s = Location.parse(settings.database_url), settings.DOCKER_MCP_APPEND_TIMEOUT_S
    wanted = Wanted(
        object=command.object, stack=command.stack, principal=command.principal, correlation_id=command.correlation_id
    )
    gc.disable()  # as for a verification: records make no cycles
    with open_snapshot(location, timeout_s) as snapshot:
        log = WorldLog(snapshot, saver(location, timeout_s), only_of=found.principal)
        if form == "html":
            text = _page(snapshot, log, found, wanted)
        else:
            answer = _answer(settings, log, found, wanted, shown)
            text = json_form(answer) if form == "json" else table_form(answer)
    with output(to) as file:
        file.write(text.encode() + b"\n")


async def _ask(settings: Settings, arguments: dict[str, Any]) -> tuple[ReplayLog, ReplayRange]:
    async with reading(settings) as application:
        answer = await ask(application, "replay", arguments, Surface.COMMAND_LINE)
    return ReplayLog.model_validate(arguments), ReplayRange.model_validate(answer.content())


def _answer(settings: Settings, log: WorldLog, found: ReplayRange, wanted: Wanted, shown: Shown) -> Told:
    needs_stretch = shown.timeline or shown.difference or shown.why is not None
    at = timestamp(log.time_at(found.last)) if found.last else None
    about: Told = {"position": found.last, "at": at, "only_of": found.principal}
    answer: Told = {"about": {name: value for name, value in about.items() if value is not None}}
    if needs_stretch:
        stretch = stretch_of(log, found, wanted)
        world, entries = stretch.timeline.world, stretch.timeline.entries()
        answer["about"] |= {"from": timestamp(stretch.since_ms), "after": found.after}
        if shown.timeline:
            answer["timeline"] = [entry_row(entry) for entry in entries]
            answer["about"]["left_out"] = stretch.timeline.left_out
        if shown.difference:
            answer["differences"] = differences(stretch.before, world, wanted)
        if shown.why is not None:
            answer |= _why(shown.why, world, entries, log)
    else:
        world = log.at(found.last, Progress("replay"))
    if shown.state:
        answer["state"] = object_rows(world, wanted)
        answer["unfinished"] = [begun_row(begun) for begun in world.begun.values()]
    if shown.plan:
        answer["plan"] = list(rebuilding(world, log.stream, wanted))
    if shown.drift:
        answer["drift"] = drift(world, _live(settings), wanted, unrecorded=found.principal is None)
    return answer


def _why(wanted: str, world: World, entries: Sequence[Entry], log: WorldLog) -> Told:
    """Return what led to the object that ``wanted`` means first, and the others that it can mean."""
    objects = find(world, wanted)
    if not objects:
        raise NotFoundError(
            f"the log knows no object {wanted} at that moment",
            code="object_not_found",
            hint="`docker-mcp replay` shows what it knows; --at another moment",
        )
    told: Told = {"why": why(objects[0], world, entries, log.stream)}
    if others := objects[1:]:
        told["others"] = [object_row(known, world) for known in others[:MOST_OTHERS]]
        told["others_left_out"] = len(others[MOST_OTHERS:])
    return told


def _live(settings: Settings) -> list[ObjectState]:
    from adapters.docker.engine import Engine
    from adapters.docker.inventory import inventory

    with closing(Engine(settings.docker_environment, settings.DOCKER_MCP_ENGINE_TIMEOUT_S, 1)) as engine:
        return inventory(engine)


def _page(snapshot: Snapshot, log: WorldLog, found: ReplayRange, wanted: Wanted) -> str:
    from server.cli.replay_page import page

    return page(stretch_of(log, found, wanted, hash_at(snapshot, found.after)), wanted)
