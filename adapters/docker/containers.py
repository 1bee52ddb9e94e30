"""Containers: everything but their creation."""

import time
from typing import Any, Final

from adapters.docker.create import create_container
from adapters.docker.describe import container_state, detail, measurement, row, short_id
from adapters.docker.engine import Engine
from adapters.docker.errors import explained
from adapters.docker.images import DockerImages
from adapters.docker.logs import NewestLines, split_lines
from domain.catalogue.containers import (
    ContainerChanged,
    ContainerCreated,
    ContainerDetail,
    ContainerList,
    ContainerStats,
    CreateContainer,
    GetLogs,
    InspectContainer,
    ListContainers,
    Logs,
    RemoveContainer,
    Removed,
    RestartContainer,
    StartContainer,
    Stats,
    StopContainer,
)
from domain.catalogue.tool import Run
from domain.catalogue.values import parse_moment_ms
from domain.errors import ConflictError, InvalidArgumentsError, NotFoundError
from domain.objects import Kind, ObjectState

_LINES_SEARCHED: Final = 100_000
"""How many of the newest lines a search looks through."""


class DockerContainers:
    """Satisfies ``domain.catalogue.containers.Containers``."""

    def __init__(self, engine: Engine, images: DockerImages) -> None:
        self._engine = engine
        self._images = images

    def create(self, command: CreateContainer, run: Run) -> ContainerCreated:
        return create_container(self._engine, self._images, command, run)

    def list(self, command: ListContainers, _run: Run) -> ContainerList:
        with explained():
            found = self._engine.api.containers(all=command.all)
        found.sort(key=_place, reverse=True)
        rest = [entry for entry in found if not command.cursor or _place(entry) < _parse_cursor(command.cursor)]
        page = rest[: command.limit]
        return ContainerList(
            containers=[row(entry, command.fields) for entry in page],
            total=len(found),
            next_cursor="{:d}-{}".format(*_place(page[-1])) if len(rest) > len(page) else None,
        )

    def inspect(self, command: InspectContainer, run: Run) -> ContainerDetail:
        with explained(Kind.CONTAINER, command.container_name):
            return detail(self._engine.api.inspect_container(run.target(Kind.CONTAINER).id))

    def logs(self, command: GetLogs, run: Run) -> Logs:
        now_ms = int(time.time() * 1000)
        since, until = (
            parse_moment_ms(text, now_ms) // 1000 if text else None for text in (command.since, command.until)
        )
        searched = _LINES_SEARCHED if command.grep else command.tail + 1
        with explained(Kind.CONTAINER, command.container_name):
            chunks = self._engine.api.logs(
                run.target(Kind.CONTAINER).id,
                stream=True,
                follow=False,
                timestamps=command.timestamps,
                tail=searched,
                since=since,
                until=until,
            )
            kept = NewestLines(command.tail, command.max_bytes)
            scanned = 0
            wanted = command.grep.encode() if command.grep else b""
            for line in split_lines(chunks, command.max_bytes):
                scanned += 1
                if wanted in line:
                    kept.add(line)
        lines = kept.text()
        truncated = kept.seen > len(lines) or kept.cut
        return Logs(
            lines=lines,
            shown=len(lines),
            matched=kept.seen if command.grep or not truncated else None,
            truncated=truncated,
            narrow=_narrower(command, truncated=truncated, all_searched=scanned < searched),
        )

    def stats(self, command: ContainerStats, run: Run) -> Stats:
        container = run.target(Kind.CONTAINER)
        with explained(Kind.CONTAINER, command.container_name):
            measured = self._engine.api.stats(container.id, stream=False)
        if not measured.get("pids_stats", {}).get("current"):
            raise ConflictError(
                f"container {container.name} is not running",
                code="container_not_running",
                hint="start-container starts it",
            )
        return measurement(container.name, measured)

    def start(self, command: StartContainer, run: Run) -> ContainerChanged:
        container = run.target(Kind.CONTAINER)
        run.before_change()
        with explained(Kind.CONTAINER, command.container_name):
            self._engine.api.start(container.id)
        return self._changed(container)

    def stop(self, command: StopContainer, run: Run) -> ContainerChanged:
        container = run.target(Kind.CONTAINER)
        run.before_change()
        with explained(Kind.CONTAINER, command.container_name):
            self._engine.api.stop(container.id, timeout=command.timeout)
        return self._changed(container)

    def restart(self, command: RestartContainer, run: Run) -> ContainerChanged:
        container = run.target(Kind.CONTAINER)
        run.before_change()
        with explained(Kind.CONTAINER, command.container_name):
            self._engine.api.restart(container.id, timeout=command.timeout)
        return self._changed(container)

    def remove(self, command: RemoveContainer, run: Run) -> Removed:
        container = run.target(Kind.CONTAINER)
        run.before_change()
        with explained(Kind.CONTAINER, command.container_name):
            self._engine.api.remove_container(container.id, force=command.force, v=command.volumes)
        return Removed(id=short_id(container.id), name=container.name)

    def _changed(self, before: ObjectState) -> ContainerChanged:
        try:
            with explained(Kind.CONTAINER, before.name):
                now = container_state(self._engine.api.inspect_container(before.id))
        except NotFoundError:  # it was set to be removed when it ends
            return ContainerChanged(id=short_id(before.id), name=before.name, state="removed", changed=True)
        told = ("started_at", "finished_at")
        return ContainerChanged(
            id=short_id(now.id),
            name=now.name,
            state=now.facts["status"],
            changed=any(now.facts[fact] != before.facts[fact] for fact in told),
        )


def _place(entry: dict[str, Any]) -> tuple[int, str]:
    return entry["Created"], entry["Id"]


def _parse_cursor(cursor: str) -> tuple[int, str]:
    created, _, object_id = cursor.partition("-")
    if not created.isdecimal():
        raise InvalidArgumentsError("this cursor was not made by list-containers", hint="pass next_cursor unchanged")
    return int(created), object_id


def _narrower(command: GetLogs, *, truncated: bool, all_searched: bool) -> str | None:
    if command.grep and not all_searched:
        return f"only the newest {_LINES_SEARCHED} lines were searched; use since and until"
    if truncated:
        return "older lines were left out; use grep, since, until, or raise tail and max_bytes"
    return None
