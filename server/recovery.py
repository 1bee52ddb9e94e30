"""Settles commands whose executor died: looks what became of them, never does them again.

A request of a dead executor may still be at work inside the engine. So a command is judged only when its own time is
over or the engine has had time to finish since the death was noticed, whichever comes first.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final

from domain.catalogue.recognise import Evidence, Verdict
from domain.catalogue.tool import AnyTool, Catalogue, Effect
from domain.command_stream import CommandStream
from domain.errors import ConcurrentAppendError, ConfigurationError, EngineError, LogUnavailableError
from domain.events import (
    CommandApproved,
    CommandCancelled,
    CommandFailed,
    CommandReceived,
    CommandSucceeded,
    CommandUnknown,
    Event,
    ExecutionStarted,
    RecordedEvent,
    decode,
)
from domain.lifecycle import Status
from domain.ports import Clock, EventStore, Executors, NewId, Observer, OpenCommand
from server.journal import Journal
from server.workers import Workers

_LOOK_EVERY_S: Final = 3.0
_FIRST_RETRY_S: Final = 1.0
_LONGEST_RETRY_S: Final = 30.0

logger = logging.getLogger(__name__)


class Recovery:
    """Looks after the commands that nobody works on any more."""

    def __init__(
        self,
        catalogue: Catalogue,
        store: EventStore,
        journal: Journal,
        executors: Executors,
        observer: Callable[[], Observer],
        workers: Workers,
        clock: Clock,
        new_id: NewId,
        go_on: Callable[[str], object],
        interval_s: float = _LOOK_EVERY_S,
    ) -> None:
        """Take what is needed.

        ``go_on`` has a command carried out that was approved and not started; every ``interval_s`` seconds it is
        looked who has died.
        """
        self._catalogue = catalogue
        self._store = store
        self._journal = journal
        self._executors = executors
        self._observer = observer
        self._workers = workers
        self._clock = clock
        self._new_id = new_id
        self._go_on = go_on
        self._interval_s = interval_s
        self._loop: asyncio.Task[None] | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._looked = asyncio.Event()
        self._unknown: set[str] = set()

    def start(self) -> None:
        """Settle, in the background, every open command whose executor is dead, now and whenever one dies."""
        self._loop = asyncio.create_task(self._keep_settling())

    def watch(self, command_id: str) -> None:
        """Settle, in the background, a command of this process whose outcome is unknown."""
        self._spawn(command_id, self._settle(command_id))

    async def finish(self) -> None:
        """Wait until everything that could be settled now is settled."""
        await self._looked.wait()
        while self._tasks:
            await asyncio.gather(*self._tasks.values())

    async def reconcile(self) -> None:
        """Settle what can be settled now, once: also what an earlier look could not tell."""
        await self._settle_dead()
        self._looked.set()
        await self.finish()

    def stop(self) -> None:
        """Leave what is not settled to the next process."""
        for task in (self._loop, *self._tasks.values()):
            if task:
                task.cancel()

    def _spawn(self, command_id: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks[command_id] = task
        task.add_done_callback(lambda _task: self._tasks.pop(command_id, None))

    async def _keep_settling(self) -> None:
        while True:
            await self._settle_dead()
            self._looked.set()
            await asyncio.sleep(self._interval_s)
            await self._patiently(self._executors.hold_on)

    async def _settle_dead(self) -> None:
        dead: dict[str, bool] = {}
        for command in await self._patiently(self._store.open_commands):
            executor = command.executor
            if command.status == Status.DEFERRED or self._is_seen_to(command):
                continue
            if executor not in dead:
                dead[executor] = not await self._patiently(partial(self._executors.is_alive, executor))
            if dead[executor]:
                self._spawn(command.command_id, self._settle(command.command_id, executor))

    def _is_seen_to(self, command: OpenCommand) -> bool:
        """Return whether the command is being settled, or was looked at by this process and could not be."""
        if command.command_id in self._tasks:
            return True
        seen = command.status == Status.UNKNOWN and command.command_id in self._unknown
        if command.status == Status.UNKNOWN:
            self._unknown.add(command.command_id)
        return seen

    async def _settle(self, command_id: str, executor: str | None = None) -> None:
        """Settle one command; of a dead ``executor`` it is looked once more, before judging, whether it is dead."""
        events: list[RecordedEvent] = await self._patiently(lambda: self._store.read_stream(command_id))
        stream = CommandStream.resume(events, self._new_id)
        if stream.last_type == CommandApproved.type:
            self._go_on(command_id)
            return
        ending = await self._ending(events)
        if ending is None or (ending.type == stream.last_type):
            return
        if executor and await self._patiently(partial(self._executors.is_alive, executor)):
            return  # it had only lost its connection, and ends the command itself
        logger.info("settled command %s of a process that ended: %s", command_id, ending.type)
        try:
            await self._journal.append_outcome(stream.add(ending))
        except ConcurrentAppendError:
            logger.info("command %s was settled by another process", command_id)

    async def _ending(self, events: Sequence[RecordedEvent]) -> Event | None:
        received = decode(events[0].type, events[0].data)
        assert isinstance(received, CommandReceived)  # noqa: S101 (the lifecycle begins no other way)
        tool = self._catalogue.by_name(events[0].tool)
        started = next((event for event in events if event.type == ExecutionStarted.type), None)
        if started is None:
            return CommandCancelled(summary=received.summary, reason="the server stopped before it started")
        if tool is None or tool.recognise is None:
            return _interrupted(received, tool)
        execution = decode(started.type, started.data)
        assert isinstance(execution, ExecutionStarted)  # noqa: S101 (found by this type)
        own_time_s = (execution.not_after_ms - self._clock()) / 1000
        await asyncio.sleep(max(0, min(own_time_s, execution.settle_s)))
        evidence = await self._patiently(lambda: self._look(tool, events[0].stream, received, execution))
        return _judged(received, evidence, tool.recognise(evidence))

    def _look(self, tool: AnyTool, command_id: str, received: CommandReceived, execution: ExecutionStarted) -> Evidence:
        observer = self._observer()
        return Evidence(
            command_id=command_id,
            arguments=received.arguments or {},
            before=execution.pinned,
            now=tuple(observer.observe(state.ref) for state in execution.pinned),
            made=tuple(observer.made_by(tool.creates.kind, command_id)) if tool.creates else (),
            planned=execution.planned,
        )

    async def _patiently(self, question: Callable[[], Any]) -> Any:
        """Return what ``question`` returns; ask again while log or engine do not answer."""
        delay = _FIRST_RETRY_S
        while True:
            try:
                return await self._workers.run(question)
            except (LogUnavailableError, EngineError, ConfigurationError) as error:
                logger.warning("recovery waits %.0f s: %s", delay, error.describe())
                await asyncio.sleep(delay)
                delay = min(delay * 2, _LONGEST_RETRY_S)


def _interrupted(received: CommandReceived, tool: AnyTool | None) -> Event:
    message = "the server stopped before it answered"
    if tool and tool.effect is Effect.READ:
        return CommandFailed(
            summary=received.summary,
            code="interrupted",
            message=message,
            retryable=True,
            applied="none",
            reconciled=True,
        )
    return CommandUnknown(
        summary=received.summary, code="interrupted", message=f"{message}; this version has no such tool"
    )


def _judged(received: CommandReceived, evidence: Evidence, verdict: Verdict) -> Event:
    now = tuple(state for state in (*evidence.now, *evidence.made) if state)
    if verdict.applied == "yes":
        return CommandSucceeded(summary=received.summary, touched=verdict.touched, state_after=now, reconciled=True)
    if verdict.applied == "unknown":
        return CommandUnknown(summary=received.summary, code="interrupted", message=verdict.reason, observed=now)
    return CommandFailed(
        summary=received.summary,
        code="interrupted",
        message=verdict.reason,
        retryable=verdict.applied == "no",
        applied="partial" if verdict.applied == "partial" else "none",
        touched=verdict.touched,
        state_after=now,
        reconciled=True,
    )
