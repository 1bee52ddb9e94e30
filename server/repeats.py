"""Calls that come again with the same idempotency key: they get the outcome of the first, and change nothing."""

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from typing import Final, Protocol

from domain.canonical import JSON
from domain.catalogue.tool import Result
from domain.command_stream import CommandStream, received_of
from domain.errors import (
    CancelledCallError,
    ConcurrentAppendError,
    DeniedError,
    DockerMcpError,
    IdempotencyKeyReusedError,
    LogUnavailableError,
    ReadModelError,
)
from domain.events import (
    CommandCancelled,
    CommandDeferred,
    CommandDenied,
    CommandExpired,
    CommandFailed,
    CommandReceived,
    CommandRefused,
    CommandRejected,
    CommandSucceeded,
    RecordedEvent,
    decode,
)
from domain.lifecycle import FINAL, Status
from domain.ports import EventStore, NewId
from domain.secrets import DataKey
from server.call import Answer, Job
from server.journal import Journal
from server.workers import Workers

_STILL_OPEN: Final = "get-command tells the outcome later"


class Watch(Protocol):
    """Tells that the log has grown."""

    def mark(self) -> int: ...
    def wait(self, mark: int, timeout_s: float) -> None: ...


class RecordedResult(Result):
    """A result as the log keeps it."""

    recorded: dict[str, JSON]

    @cached_property
    def content(self) -> dict[str, JSON]:
        return self.recorded


class Repeats:
    """Carries out a command once for each idempotency key of a principal."""

    def __init__(
        self, store: EventStore, watch: Callable[[], Watch], journal: Journal, workers: Workers, new_id: NewId
    ) -> None:
        """Take what is needed; ``workers`` are threads that may sleep while somebody waits."""
        self._store = store
        self._watch = watch
        self._journal = journal
        self._workers = workers
        self._new_id = new_id

    async def once(
        self,
        job: Job,
        received: CommandReceived,
        data_key: DataKey | None,
        carry_out: Callable[[], Awaitable[Answer]],
    ) -> Answer:
        """Carry out a job, unless its key belongs to an earlier command: then return that one's outcome.

        Raises:
            IdempotencyKeyReusedError: the earlier command is another one.
            ReadModelError: somebody has changed which command the key belongs to.
        """
        if received.idempotency_key is None:
            return await carry_out()
        try:
            if earlier := await self._earlier(job, received.idempotency_key):
                return await self._repeat(job, received, earlier, data_key)
            answer = await carry_out()
            lost_race = isinstance(answer.error, ConcurrentAppendError) and job.recorded is None
            if lost_race and (earlier := await self._earlier(job, received.idempotency_key)):
                return await self._repeat(job, received, earlier, data_key)
        except LogUnavailableError as error:
            return Answer(job.command_id, error=error)
        return answer

    async def _earlier(self, job: Job, key: str) -> str | None:
        return await self._workers.run(lambda: self._store.command_of_key(job.stream.context.principal, key))

    async def _repeat(self, job: Job, received: CommandReceived, earlier: str, data_key: DataKey | None) -> Answer:
        """Record that the call repeats an earlier one, then return the outcome of that one when it has it."""
        await self._workers.run(lambda: self._check(earlier, job, received))
        stream = CommandStream(job.stream.context, self._new_id)
        reason = f"repeats command {earlier}, whose outcome is the answer"
        cancelled = CommandCancelled(summary=job.summary, reason=reason)
        await self._journal.append([stream.add(without_key(received)), stream.add(cancelled)], data_key)
        return await self._workers.run(lambda: self._outcome(earlier, job))

    def _check(self, command_id: str, job: Job, received: CommandReceived) -> None:
        events = self._store.read_stream(command_id)
        first = received_of(events) if events else None
        claimed = (job.stream.context.principal, received.idempotency_key)
        if first is None or (events[0].principal, first.idempotency_key) != claimed:
            raise ReadModelError("the table of idempotency keys names a command that did not claim this key")
        if (events[0].tool, first.arguments_mac) != (job.tool.name, received.arguments_mac):
            raise IdempotencyKeyReusedError(f"this idempotency key belongs to command {command_id}")

    def _outcome(self, command_id: str, job: Job) -> Answer:
        """Return what the command's caller got or will get; wait for it as long as it can take."""
        limit_s = job.tool.limit_s + job.tool.settle_s(job.command)
        began, watch = time.monotonic(), self._watch()
        while True:
            mark = watch.mark()
            events = self._read(command_id)
            left = limit_s - (time.monotonic() - began)
            given_up = job.cancel_requested or self._journal.health.closing
            ended = events and events[-1].status in (*FINAL, Status.DEFERRED, Status.UNKNOWN)
            if ended or left <= 0 or given_up:
                return _answer(command_id, events)
            watch.wait(mark, left)

    def _read(self, command_id: str) -> Sequence[RecordedEvent]:
        """Return what the log holds of a command, nothing while it cannot be read: who waits looks again."""
        try:
            return self._store.read_stream(command_id)
        except LogUnavailableError:
            return ()


def without_key(received: CommandReceived) -> CommandReceived:
    """Return the event of a call that claims no key: a denied one, or one that repeats another."""
    return received.model_copy(update={"idempotency_key": None})


def _answer(command_id: str, events: Sequence[RecordedEvent]) -> Answer:
    last = events[-1] if events else None
    event = decode(last.type, last.data) if last else None
    match event:
        case CommandSucceeded(result=dict(result)):
            return Answer(command_id, RecordedResult(recorded=result))
        case CommandSucceeded() | CommandDeferred():
            told: dict[str, JSON] = {"command_id": command_id, "status": event.status, "summary": event.summary}
            return Answer(command_id, RecordedResult(recorded=told))
        case CommandFailed() | CommandRejected():
            hint = event.hint if isinstance(event, CommandFailed) else None
            return Answer(command_id, error=DockerMcpError(event.message, code=event.code, hint=hint))
        case CommandDenied() | CommandRefused() | CommandExpired():
            return Answer(command_id, error=DeniedError(event.reason))
        case CommandCancelled():
            return Answer(command_id, error=CancelledCallError(event.reason))
        case _:
            status = (last.status or "authorized") if last else "the log cannot be read"
            message = f"the outcome of command {command_id} is open: {status}"
            return Answer(command_id, error=DockerMcpError(message, code="outcome_open", hint=_STILL_OPEN))
