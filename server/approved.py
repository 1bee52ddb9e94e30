"""Carries out approved commands: makes them again from their record and puts them before the rules once more."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adapters import spans
from domain.catalogue.tool import Catalogue, sees_nothing
from domain.command_stream import CommandStream, received_of
from domain.errors import ConcurrentAppendError, DockerMcpError, LogUnavailableError, UnsealError
from domain.events import (
    CommandApproved,
    CommandCancelled,
    CommandDeferred,
    CommandPlanned,
    RecordedEvent,
    decode,
)
from domain.plan_record import recorded_plan
from domain.ports import EventStore, NewId, Sealer
from domain.principal import Principal
from domain.restore import Open, restored, unsealed
from domain.secrets import DataKey
from server import logs
from server.call import Answer, Caller, Job, Sight
from server.dispatcher import Dispatcher
from server.journal import Journal
from server.projector import Projector
from server.workers import Workers

logger = logging.getLogger(__name__)

_PLAN = "plan"
"""Where the sealed values of a plan stand: the first step of their places."""


class ApprovedCommands:
    """The approved commands that this process carries out."""

    def __init__(
        self,
        catalogue: Catalogue,
        store: EventStore,
        journal: Journal,
        sealer: Sealer,
        dispatcher: Dispatcher,
        projector: Projector,
        workers: Workers,
        new_id: NewId,
        requester: Callable[[str, str], Principal],
    ) -> None:
        """Take what is needed; ``requester`` returns who a recorded name and role are under the rules in force."""
        self._catalogue = catalogue
        self._store = store
        self._journal = journal
        self._sealer = sealer
        self._dispatcher = dispatcher
        self._projector = projector
        self._workers = workers
        self._new_id = new_id
        self._requester = requester
        self._tasks: dict[str, asyncio.Task[Answer]] = {}

    def start(self, command_id: str) -> "asyncio.Task[Answer]":
        """Carry out an approved command in the background; returns the task that ends with its outcome."""
        task = asyncio.create_task(self._carry_out(command_id))
        self._tasks[command_id] = task
        task.add_done_callback(lambda _task: self._tasks.pop(command_id, None))
        return task

    async def outcome(self, command_id: str) -> Answer | None:
        """Wait for a command that this process carries out; None if it carries out no such command."""
        task = self._tasks.get(command_id)
        return await asyncio.shield(task) if task else None

    async def _carry_out(self, command_id: str) -> Answer:
        events: Sequence[RecordedEvent] = await self._workers.run(lambda: self._store.read_stream(command_id))
        first = events[0]
        resumed = spans.resumed(f"approved {first.tool}", command_id, first.trace_id, first.span_id)
        with logs.command_id(command_id), resumed:
            return await self._carry_out_recorded(events)

    async def _carry_out_recorded(self, events: Sequence[RecordedEvent]) -> Answer:
        command_id = events[0].stream
        try:
            job = await self._job(events)
        except LogUnavailableError as error:
            logger.error("approved command %s waits for the next start: %s", command_id, error.describe())
            return Answer(command_id, error=error)
        except DockerMcpError as error:
            return await self._give_up(events, error)
        return await self._dispatcher.carry_out_approved(job)

    async def _job(self, events: Sequence[RecordedEvent]) -> Job:
        """Return the job that the events of an approved command record.

        Raises:
            DockerMcpError: the record does not yield it any more.
        """
        first, decoded = events[0], [decode(event.type, event.data) for event in events]
        received = received_of(events)
        deferred = next(event for event in decoded if isinstance(event, CommandDeferred))
        approved = next(event for event in decoded if isinstance(event, CommandApproved))
        tool = self._catalogue.by_name(first.tool)
        if tool is None:
            raise DockerMcpError("this version has no such tool", code="unknown_tool")
        data_key = await self._workers.run(lambda: self._store.data_key(first.stream))
        opened = _opener(self._sealer, data_key)
        job = Job(
            tool=tool,
            command=restored(tool.command, received.arguments or {}, opened),
            summary=received.summary,
            stream=CommandStream.resume(events, self._new_id),
            caller=Caller(principal=self._requester(first.principal, first.role), transport=received.transport),
            sight=Sight(sees_nothing, all_records=False),  # as the rules have it when it is carried out
            policy_digest=deferred.policy_digest,
            approved_for=deferred.pinned,
            approved_by=approved.by_role,
        )
        job.recorded = job.stream.copy()
        plan = recorded_plan(event for event in decoded if isinstance(event, CommandPlanned))
        if plan is not None:
            job.plan = await self._projector.restore(job, unsealed(plan, opened, _PLAN))
        return job

    async def _give_up(self, events: Sequence[RecordedEvent], error: DockerMcpError) -> Answer:
        received = received_of(events)
        reason = f"approved, but cannot be carried out: {error.describe()}"
        cancelled = CommandCancelled(summary=received.summary, reason=reason)
        stream = CommandStream.resume(events, self._new_id)
        try:
            await self._journal.append_outcome(stream.add(cancelled))
        except ConcurrentAppendError:
            logger.info("command %s was taken over by another process", events[0].stream)
        return Answer(events[0].stream, error=error)


def _opener(sealer: Sealer, data_key: DataKey | None) -> Open:
    def opened(place: str, sealed: Mapping[str, Any]) -> str:
        if data_key is None:
            raise UnsealError("its sealed values were forgotten")
        return sealer.open(data_key, place, sealed)

    return opened
