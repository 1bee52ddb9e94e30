"""Runs a command's adapter on a worker thread and brings back what happened there."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from domain.canonical import JSON
from domain.catalogue.tool import Effect, Plan, Result, Run
from domain.errors import DockerMcpError, EngineError, NotFoundError
from domain.objects import Kind, ObjectRef, ObjectState
from domain.ports import Observer
from server.call import Job, Progress
from server.unexpected import unexpected
from server.workers import Workers


@dataclass(frozen=True, slots=True)
class Bound:
    """An adapter, made when it is first needed, and the threads that its methods run on."""

    adapter: Callable[[], Any]
    workers: Workers


@dataclass(slots=True, kw_only=True)
class Happened:
    """What came of a command: its result or its error, and whether Docker was asked for any change."""

    result: Result | None = None
    error: DockerMcpError | None = None
    change_asked: bool = False
    state_after: tuple[ObjectState, ...] = ()


class EffectRunner:
    """The part of the projector that blocks."""

    def __init__(self, ports: Mapping[type, Bound], observer: Callable[[], Observer]) -> None:
        self._ports = ports
        self._observer = observer

    def engine_id(self) -> str | None:
        """Return the engine's own id if it is known."""
        return self._observer().engine_id()

    async def prepare(self, job: Job) -> Plan:
        """Return what the command will do.

        Raises:
            DockerMcpError: if its arguments do not allow that.
        """
        return await self._workers(job).run(lambda: self._planned(job, job.tool.prepare))

    async def restore(self, job: Job, tree: JSON) -> Plan:
        """Return what the command will do from what was recorded of it."""
        return await self._workers(job).run(lambda: self._planned(job, job.tool.restore, tree))

    async def pin(self, job: Job) -> tuple[ObjectState, ...]:
        """Return the objects that the command's arguments name.

        Raises:
            NotFoundError: if one that is required does not exist.
        """
        return await self._workers(job).run(lambda: self._pin(job))

    async def used(self, job: Job) -> tuple[ObjectState, ...]:
        """Return the objects that the command needs besides its targets; what does not exist bears the name asked."""
        return await self._workers(job).run(lambda: self._used(job))

    async def look_again(self, job: Job, pinned: tuple[ObjectState, ...]) -> tuple[ObjectState, ...]:
        """Return the state that pinned objects are in now; one that is gone keeps its last known state."""
        observer = self._observer()
        return await self._workers(job).run(lambda: tuple(observer.observe(state.ref) or state for state in pinned))

    async def apply(self, job: Job, pinned: tuple[ObjectState, ...]) -> Happened:
        """Carry out the command; never raises."""
        progress = _from_any_thread(job.caller.progress)
        return await self._workers(job).run(lambda: self._apply(job, pinned, progress))

    def _workers(self, job: Job) -> Workers:
        return self._ports[job.tool.port].workers

    def _used(self, job: Job) -> tuple[ObjectState, ...]:
        observer, states = self._observer(), []
        for kind, name in (*job.tool.uses(job.command), *(job.plan.uses if job.plan else ())):
            try:
                states.append(observer.pin(kind, name))
            except NotFoundError:
                states.append(ObjectState(kind=kind, id="", name=name))
        return tuple(states)

    def _planned(self, job: Job, method: Callable[..., Plan] | None, *record: JSON) -> Plan:
        try:
            adapter = self._ports[job.tool.port].adapter()
            plan: Plan = getattr(adapter, method.__name__)(job.command, *record)  # type: ignore[union-attr]
        except DockerMcpError:
            raise
        except Exception as error:
            raise unexpected(error, f"plan of command {job.command_id} ({job.tool.name})") from error
        return plan

    def _pin(self, job: Job) -> tuple[ObjectState, ...]:
        observer, states = self._observer(), []
        for target in job.tool.targets:
            name = getattr(job.command, target.field)
            try:
                states.append(observer.pin(target.kind, name))
            except NotFoundError:
                if target.required:
                    raise
                states.append(ObjectState(kind=target.kind, id="", name=name))
        return tuple(states)

    def _apply(self, job: Job, pinned: tuple[ObjectState, ...], progress: Progress) -> Happened:
        happened = Happened()

        def before_change() -> None:
            job.check_fence()
            if not happened.change_asked:
                job.check_turn()
            if time.monotonic() > job.deadline:
                raise EngineError(f"given up after {job.tool.limit_s} s", code="timed_out")
            happened.change_asked = True

        try:
            if job.tool.effect is Effect.READ and not pinned:
                pinned = self._pin(job)
            run = Run(
                command_id=job.command_id,
                principal=job.stream.context.principal,
                role=job.stream.context.role,
                address=job.caller.address,
                pinned=pinned,
                plan=job.plan,
                may_see=job.sight.may_see,
                sees_all_records=job.sight.all_records,
                reads_secrets=job.sight.secrets,
                check_host=job.sight.check_host,
                progress=progress,
                given_up=lambda: job.cancel_requested,
                before_change=before_change,
            )
            adapter = self._ports[job.tool.port].adapter()
            happened.result = getattr(adapter, job.tool.apply.__name__)(job.command, run)
        except DockerMcpError as error:
            happened.error = error
        except Exception as error:  # noqa: BLE001 (becomes the command's outcome)
            happened.error = unexpected(error, f"command {job.command_id} ({job.tool.name})")
        engine_answers = happened.error is None or happened.error.applied != "unknown"
        if happened.change_asked and engine_answers:
            made = happened.result.touched() if happened.result and job.tool.creates else ()
            happened.state_after = self._look_after(pinned, made)
        return happened

    def _look_after(self, pinned: tuple[ObjectState, ...], made: tuple[ObjectRef, ...]) -> tuple[ObjectState, ...]:
        observer = self._observer()
        refs: dict[tuple[Kind, str], ObjectRef] = {(state.kind, state.id): state.ref for state in pinned}
        refs.update({(ref.kind, ref.id): ref for ref in made})
        try:
            return tuple(state for ref in refs.values() if (state := observer.observe(ref)))
        except DockerMcpError:
            return ()  # the outcome matters more than the look afterwards


def _from_any_thread(progress: Progress) -> Progress:
    loop = asyncio.get_running_loop()

    def report(done: int, total: int | None, message: str) -> None:
        loop.call_soon_threadsafe(progress, done, total, message)

    return report
