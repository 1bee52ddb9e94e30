"""Containers: everything but their creation."""

import time
from typing import Any, Final

from adapters.docker.create import create_container
from adapters.docker.describe import container_state, detail, measurement, moment, name_of, row, short_id
from adapters.docker.engine import Engine
from adapters.docker.errors import explained, explained_after_change
from adapters.docker.images import DockerImages
from adapters.docker.logs import ENTRY_BYTES, NewestLines, shown
from domain.catalogue.container_results import (
    ContainerChanged,
    ContainerCreated,
    ContainerDetail,
    ContainerList,
    Logs,
    Removed,
    Stats,
)
from domain.catalogue.containers import (
    ContainerStats,
    CreateContainer,
    GetLogs,
    InspectContainer,
    ListContainers,
    RemoveContainer,
    RestartContainer,
    StartContainer,
    StopContainer,
)
from domain.catalogue.tool import Run
from domain.catalogue.values import parse_moment_ms
from domain.errors import (
    ConflictError,
    EngineError,
    EngineInterruptedError,
    EngineUnreachableError,
    InvalidArgumentsError,
    NotFoundError,
    PartlyAppliedError,
)
from domain.objects import Kind, ObjectState, column_name

_ENTRIES_SEARCHED: Final = 100_000
"""How many of the newest log entries a search looks through."""


class DockerContainers:
    """Satisfies ``domain.catalogue.containers.Containers``."""

    def __init__(self, engine: Engine, images: DockerImages) -> None:
        self._engine = engine
        self._images = images

    def create(self, command: CreateContainer, run: Run) -> ContainerCreated:
        return create_container(self._engine, self._images, command, run)

    def list(self, command: ListContainers, run: Run) -> ContainerList:
        with explained():
            found = self._engine.api.containers(all=command.all)
        found = [entry for entry in found if run.may_see(column_name(Kind.CONTAINER, name_of(entry)), entry["Labels"])]
        found.sort(key=_place, reverse=True)
        rest = [entry for entry in found if not command.cursor or _place(entry) < _parse_cursor(command.cursor)]
        page = rest[: command.limit]
        return ContainerList(
            containers=[row(entry, command.fields) for entry in page],
            total=len(found),
            next_cursor="{:d}-{}".format(*_place(page[-1])) if len(rest) > len(page) else None,
        )

    def inspect(self, _command: InspectContainer, run: Run) -> ContainerDetail:
        with explained(Kind.CONTAINER):
            found = self._engine.api.inspect_container(run.target(Kind.CONTAINER).id)
        return detail(found, with_values=run.reads_secrets)

    def logs(self, command: GetLogs, run: Run) -> Logs:
        asked = _ENTRIES_SEARCHED if command.grep else command.tail + command.max_bytes // ENTRY_BYTES + 2
        newest = NewestLines(command.tail, command.max_bytes, command.grep.encode() if command.grep else b"")
        now_ms = time.time_ns() // 1_000_000
        with explained(Kind.CONTAINER):
            chunks = self._engine.log_chunks(
                run.target(Kind.CONTAINER).id,
                timestamps=command.timestamps,
                tail=asked,
                since=seconds_of(command.since, now_ms),
                until=seconds_of(command.until, now_ms),
            )
            newest.read(chunks)
        lines, masked, cut = shown([("", line) for line in newest.lines()], command.max_bytes)
        truncated = newest.matched > len(lines) or newest.cut or cut
        return Logs(
            lines=lines,
            shown=len(lines),
            matched=newest.matched if command.grep or not truncated else None,
            masked=masked,
            truncated=truncated,
            narrow=_narrower(command, truncated=truncated, all_searched=newest.entries < asked),
        )

    def stats(self, _command: ContainerStats, run: Run) -> Stats:
        container = run.target(Kind.CONTAINER)
        with explained(Kind.CONTAINER):
            measured = self._engine.api.stats(container.id, stream=False)
        if not moment(measured.get("read")):
            raise ConflictError(
                f"container {container.name} is not running",
                code="container_not_running",
                hint="start-container starts it",
            )
        return measurement(container.name, measured)

    def start(self, _command: StartContainer, run: Run) -> ContainerChanged:
        container = run.target(Kind.CONTAINER)
        run.before_change()
        with explained(Kind.CONTAINER):
            self._engine.api.start(container.id)
        return self._changed(container)

    def stop(self, command: StopContainer, run: Run) -> ContainerChanged:
        container = run.target(Kind.CONTAINER)
        run.before_change()
        with explained(Kind.CONTAINER):
            self._engine.api.stop(container.id, timeout=command.timeout)
        return self._changed(container)

    def restart(self, command: RestartContainer, run: Run) -> ContainerChanged:
        container = run.target(Kind.CONTAINER)
        run.before_change()
        try:
            with explained(Kind.CONTAINER):
                self._engine.api.restart(container.id, timeout=command.timeout)
        except (EngineUnreachableError, NotFoundError):
            raise
        except EngineError as error:
            if error.applied == "none":
                self._check_untouched(container, error)
            raise
        return self._changed(container)

    def remove(self, command: RemoveContainer, run: Run) -> Removed:
        container = run.target(Kind.CONTAINER)
        run.before_change()
        with explained(Kind.CONTAINER):
            self._engine.api.remove_container(container.id, force=command.force, v=command.volumes)
        return Removed(id=short_id(container.id), name=container.name)

    def _check_untouched(self, before: ObjectState, error: EngineError) -> None:
        """Raise unless the container is as it was: a restart ends it first, and the engine may fail after that.

        Raises:
            PartlyAppliedError: it has ended.
            EngineInterruptedError: the engine does not say.
        """
        try:
            with explained(Kind.CONTAINER):
                now = self._engine.api.inspect_container(before.id)
        except EngineError as lost:
            raise EngineInterruptedError(
                f"the engine failed and does not show the container: {error.message}"
            ) from lost
        if container_state(now).facts.get("finished_at") != before.facts.get("finished_at"):
            message = f"the container has ended and may not run again: {error.message}"
            raise PartlyAppliedError(message, hint="read its state; start-container starts it") from error

    def _changed(self, before: ObjectState) -> ContainerChanged:
        try:
            with explained_after_change(Kind.CONTAINER):
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


def seconds_of(moment_text: str | None, now_ms: int) -> float | None:
    """Return a moment as the engine takes it; it knows none before 1970, and nothing was logged then."""
    return None if moment_text is None else max(0.001, parse_moment_ms(moment_text, now_ms) / 1000)


def _place(entry: dict[str, Any]) -> tuple[int, str]:
    return entry["Created"], entry["Id"]


def _parse_cursor(cursor: str) -> tuple[int, str]:
    created, _, object_id = cursor.partition("-")
    if not created.isdecimal():
        raise InvalidArgumentsError("this cursor was not made by list-containers", hint="pass next_cursor unchanged")
    return int(created), object_id


def _narrower(command: GetLogs, *, truncated: bool, all_searched: bool) -> str | None:
    if command.grep and not all_searched:
        return f"only the newest {_ENTRIES_SEARCHED} lines were searched; use since and until"
    if truncated:
        return "older lines were left out; use grep, since, until, or raise tail and max_bytes"
    return None
