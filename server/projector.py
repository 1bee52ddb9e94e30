"""Applies authorised commands to Docker through the adapters and records what came of them.

The literature calls this a reactor; the product keeps the word projector.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from adapters import spans
from domain.canonical import JSON
from domain.catalogue.approvals import Deferred
from domain.catalogue.fields import COMMAND_LABEL
from domain.catalogue.tool import Effect, Plan
from domain.chain import timestamp
from domain.errors import (
    CancelledCallError,
    ConcurrentAppendError,
    DeniedError,
    DockerMcpError,
    LogInDoubtError,
    LogUnavailableError,
    ObjectBusyError,
    OutcomeNotRecordedError,
)
from domain.events import (
    CommandCancelled,
    CommandDeferred,
    CommandFailed,
    CommandRejected,
    Event,
    ExecutionStarted,
    NewEvent,
)
from domain.objects import ObjectState, column_name
from domain.plan_record import plan_events
from domain.policy import Decision, Verdict
from domain.ports import Clock, Held, Observer
from domain.secrets import DataKey, Seal
from domain.text import column_text
from server.call import Answer, Job
from server.effect import Bound, EffectRunner, Happened
from server.journal import Journal
from server.object_locks import ObjectLocks
from server.outcome import MESSAGE_LIMIT, decision_event, outcome_event

_NOT_BEGUN: Final = frozenset({"command.received", "command.planned", "command.approved", "command.authorized"})
_LOST_RACE: Final = "another server has settled this command; get-command shows its outcome"


class Projector:
    """Carries out one command after another; commands on the same object take turns."""

    def __init__(
        self,
        ports: Mapping[type, Bound],
        observer: Callable[[], Observer],
        journal: Journal,
        locks: ObjectLocks,
        fence: Callable[[], Awaitable[Held]],
        clock: Clock,
        executor: str,
        waiting_limit: int,
        count_waiting: Callable[[], Awaitable[int]],
        on_unknown: Callable[[str], None] = lambda _command_id: None,
    ) -> None:
        """Take what is needed.

        Args:
            ports: where the adapter of each port is, and on which threads it runs.
            observer: returns what looks at Docker objects.
            journal: records.
            locks: let commands on the same object take turns.
            fence: waits until this process surely holds its executor id; returns what raises once another process may
                have taken over what this one began.
            clock: for ``not_after``.
            executor: the id of this process.
            waiting_limit: commands that may wait for approval.
            count_waiting: returns how many do.
            on_unknown: told the id of each command whose outcome nobody can tell yet.
        """
        self._effects = EffectRunner(ports, observer)
        self._fence = fence
        self._journal = journal
        self._clock = clock
        self._executor = executor
        self._waiting_limit = waiting_limit
        self._count_waiting = count_waiting
        self._on_unknown = on_unknown
        self._locks = locks

    async def prepare(
        self, job: Job, events: Sequence[NewEvent], data_key: DataKey | None, seal: Seal
    ) -> Answer | list[NewEvent]:
        """Record ``events`` and work out the command's plan; return what records it, or the refusal of the command."""
        try:
            await self._record_before(job, events, data_key)
        except (LogUnavailableError, ConcurrentAppendError) as error:
            return Answer(job.command_id, error=error)
        try:
            job.plan = await self._effects.prepare(job)
            planned = plan_events(job.plan, job.summary, seal)
        except DockerMcpError as error:
            error.args = (column_text(error.message, MESSAGE_LIMIT),)
            rejected = CommandRejected(summary=job.summary, code=error.code, message=error.message)
            await self._journal.append_outcome(job.stream.add(rejected))
            return Answer(job.command_id, error=error)
        return [job.stream.add(event) for event in planned]

    async def restore(self, job: Job, tree: JSON) -> Plan:
        """Return the plan of a job again from its record, opened.

        Raises:
            DockerMcpError: if that is not possible any more.
        """
        return await self._effects.restore(job, tree)

    async def run(self, job: Job, events: Sequence[NewEvent], data_key: DataKey | None) -> Answer:
        """Record ``events``, carry out the command and record its outcome; return what the caller may hear."""
        attributes = {"docker_mcp.command.id": job.command_id, "docker_mcp.effect": job.tool.effect_of(job.command)}
        with spans.span(f"projector {job.tool.name}", attributes) as span:
            answer = await self._run(job, events, data_key)
            if answer.error:
                spans.failed(span, answer.error)
            return answer

    async def _run(self, job: Job, events: Sequence[NewEvent], data_key: DataKey | None) -> Answer:
        try:
            if not job.judge and (job.tool.effect is Effect.READ or not job.tool.targets):
                return await self._run_at_once(job, events, data_key)
            if events:
                await self._record_before(job, events, data_key)
            return await self._run_on_targets(job)
        except (LogUnavailableError, ConcurrentAppendError) as error:
            self._cancel_unless_begun(job, error)
            return Answer(job.command_id, error=error)

    async def defer(
        self,
        job: Job,
        events: Sequence[NewEvent],
        data_key: DataKey | None,
        decision: Decision,
        pinned: tuple[ObjectState, ...] = (),
    ) -> Answer:
        """Record ``events`` and that the command waits for approval; return what tells the caller so."""
        try:
            if await self._count_waiting() >= self._waiting_limit:
                why = f"{self._waiting_limit} commands wait for approval already"
                return await self._deny(job, events, data_key, Decision(Verdict.DENY, decision.rule, why))
            return await self._defer(job, events, data_key, decision, pinned)
        except (LogUnavailableError, ConcurrentAppendError) as error:
            return Answer(job.command_id, error=error)

    async def _defer(
        self,
        job: Job,
        events: Sequence[NewEvent],
        data_key: DataKey | None,
        decision: Decision,
        pinned: tuple[ObjectState, ...],
    ) -> Answer:
        assert decision.approval is not None  # noqa: S101 (the policy defers by a rule)
        rule = decision.approval
        deferred = CommandDeferred(
            summary=job.summary,
            rule=decision.rule,
            policy_digest=job.policy_digest,
            approvers=tuple(rule.approvers),
            expires_at_ms=self._clock() + rule.expires_s * 1000,
            pinned=pinned,
        )
        await self._record_before(job, [*events, job.stream.add(deferred)], data_key)
        expires_at = timestamp(deferred.expires_at_ms)
        told = Deferred(command_id=job.command_id, approvers=list(rule.approvers), expires_at=expires_at)
        return Answer(job.command_id, told)

    def give_up(self, job: Job, error: DockerMcpError) -> None:
        """See to it that a command ends in which something unforeseen went wrong: what began is settled by a look."""
        self._cancel_unless_begun(job, error)
        if job.recorded and job.recorded.last_type == ExecutionStarted.type:
            self._on_unknown(job.command_id)

    def _cancel_unless_begun(self, job: Job, error: DockerMcpError) -> None:
        if job.recorded and job.recorded.last_type in _NOT_BEGUN:
            self._journal.settle([job.recorded.add(CommandCancelled(summary=job.summary, reason=error.message))])

    async def _run_at_once(self, job: Job, events: Sequence[NewEvent], data_key: DataKey | None) -> Answer:
        """Nothing has to be looked up first, so that one append holds all that precedes the effect."""
        name = job.stream.context.object
        keys = {name} if name and job.tool.creates else set()

        async def before_waiting() -> None:
            nonlocal events, data_key
            if events:  # a call that waits is in the log while it waits
                await self._record_before(job, events, data_key)
                events, data_key = (), None
            _say_that_it_waits(job)

        try:
            async with self._locks.hold(keys, before_waiting=before_waiting) as job.check_turn:
                if job.cancel_requested:
                    return await self._cancel(job, events, data_key, CancelledCallError())
                events = [*events, job.stream.add(await self._started(job, ()))]
                if job.tool.only_looks:
                    return await self._look(job, events, data_key)
                await self._record_before(job, events, data_key)
                return await self._apply(job, ())
        except ObjectBusyError as error:
            return await self._cancel(job, events, data_key, error)

    async def _look(self, job: Job, events: Sequence[NewEvent], data_key: DataKey | None) -> Answer:
        """Look while the record is being written; without a record nobody hears what was seen."""
        looking = asyncio.create_task(self._apply_timed(job, ()))
        await asyncio.sleep(0)  # lets it begin: the engine takes longer than the log
        try:
            await self._record_before(job, events, data_key)
        except BaseException:
            looking.cancel()
            raise
        return await self._record(job, *await looking)

    async def _run_on_targets(self, job: Job) -> Answer:
        before = self._locks.turns
        try:
            pinned = await self._effects.pin(job)
            used = await self._effects.used(job) if job.judge else ()
        except DockerMcpError as error:
            if denial := await self._judged(job, (), nothing_found=True):
                return denial
            await self._start(job, ())
            return await self._record(job, Happened(error=error))
        try:
            return await self._take_turn(job, pinned, used, before)
        except ObjectBusyError as error:
            return await self._cancel(job, (), None, error)

    async def _take_turn(
        self, job: Job, pinned: tuple[ObjectState, ...], used: tuple[ObjectState, ...], before: int
    ) -> Answer:
        async def before_waiting() -> None:
            _say_that_it_waits(job)

        keys = self._keys(job, pinned)
        async with self._locks.hold(keys, _makers(pinned), before_waiting) as job.check_turn:
            if job.cancel_requested:
                return await self._cancel(job, (), None, CancelledCallError())
            unseen: DockerMcpError | None = None
            if keys and self._locks.others_had_turns(before):  # what was seen may be the state before their commands
                try:
                    pinned = await self._effects.look_again(job, pinned)
                except DockerMcpError as error:
                    unseen = error
            if answer := await self._judged(job, pinned, used):
                return answer
            if unseen:
                await self._start(job, ())
                return await self._record(job, Happened(error=unseen))
            await self._start(job, pinned)
            return await self._apply(job, pinned)

    @staticmethod
    def _keys(job: Job, pinned: Sequence[ObjectState]) -> set[str]:
        """Return what a command has to be alone with; one that only reads waits for nobody."""
        if job.tool.effect is Effect.READ:
            return set()
        keys = {column_name(state.kind, state.id or state.name) for state in pinned}
        return keys | ({job.stream.context.object} if job.tool.creates and job.stream.context.object else set())

    async def _judged(
        self,
        job: Job,
        pinned: tuple[ObjectState, ...],
        used: tuple[ObjectState, ...] = (),
        *,
        nothing_found: bool = False,
    ) -> Answer | None:
        """Let the policy see the objects, if it has to; return None if the command may go on, else its answer.

        A command that found nothing to act on is not deferred: it fails anyway.
        """
        if job.judge is None:
            return None
        decision = job.judge((*pinned, *used))
        if decision.verdict is Verdict.DEFER and nothing_found:
            decision = replace(decision, verdict=Verdict.ALLOW)
        if decision.verdict is Verdict.DEFER:
            return await self.defer(job, [], None, decision, pinned)
        if decision.allowed:
            job.decided = [job.stream.add(decision_event(job, decision))]
            return None
        return await self._deny(job, [], None, decision)

    async def _deny(self, job: Job, events: Sequence[NewEvent], data_key: DataKey | None, decision: Decision) -> Answer:
        denied = job.stream.add(decision_event(job, decision))
        await self._record_before(job, [*events, denied], data_key)
        return Answer(job.command_id, error=DeniedError(decision.reason))

    async def _start(self, job: Job, pinned: tuple[ObjectState, ...]) -> None:
        object_name = column_name(pinned[0].kind, pinned[0].name) if pinned else None
        started = job.stream.add(await self._started(job, pinned), object_name=object_name)
        await self._record_before(job, [*job.decided, started], None)

    async def _record_before(self, job: Job, events: Sequence[NewEvent], data_key: DataKey | None) -> None:
        """Record what precedes an effect; if that fails, see to it that the command does not stay open in the log."""
        try:
            await self._journal.append(events, data_key)
        except LogUnavailableError as error:
            endings = []
            if isinstance(error, LogInDoubtError):
                endings.append(job.stream.add(_not_done(job, error)))
            if job.recorded:
                endings.append(job.recorded.add(CommandCancelled(summary=job.summary, reason=error.message)))
            if endings:
                self._journal.settle(endings)
            raise
        job.recorded = job.stream.copy()

    async def _apply(self, job: Job, pinned: tuple[ObjectState, ...]) -> Answer:
        return await self._record(job, *await self._apply_timed(job, pinned))

    async def _apply_timed(self, job: Job, pinned: tuple[ObjectState, ...]) -> tuple[Happened, int]:
        began = time.perf_counter_ns()
        happened = await self._effects.apply(job, pinned)
        return happened, (time.perf_counter_ns() - began) // 1000

    async def _record(self, job: Job, happened: Happened, duration_us: int = 0) -> Answer:
        event = outcome_event(job, happened, duration_us)
        made = happened.result.touched()[:1] if happened.result and job.tool.creates else ()
        object_name = column_name(made[0].kind, made[0].name) if made else None
        try:
            in_time = await self._journal.append_outcome(job.stream.add(event, object_name=object_name))
        except ConcurrentAppendError:
            return Answer(job.command_id, error=ConcurrentAppendError(_LOST_RACE))
        if not in_time:
            what = (
                "the answer is withheld until its outcome can be recorded"
                if job.tool.effect is Effect.READ
                else "the effect may have happened; its outcome could not be recorded yet"
            )
            message = f"{what}: command {job.command_id}"
            return Answer(
                job.command_id, error=OutcomeNotRecordedError(message, hint="get-command tells the outcome later")
            )
        if event.type == "command.unknown":
            self._on_unknown(job.command_id)
        return Answer(job.command_id, happened.result, happened.error)

    async def _cancel(
        self, job: Job, events: Sequence[NewEvent], data_key: DataKey | None, error: DockerMcpError
    ) -> Answer:
        cancelled = job.stream.add(CommandCancelled(summary=job.summary, reason=error.message))
        await self._journal.append([*events, cancelled], data_key)
        return Answer(job.command_id, error=error)

    async def _started(self, job: Job, pinned: tuple[ObjectState, ...]) -> ExecutionStarted:
        settle_s = job.tool.settle_s(job.command)
        job.deadline, job.check_fence = time.monotonic() + job.tool.limit_s, await self._fence()
        return ExecutionStarted(
            executor=self._executor,
            engine=self._effects.engine_id(),
            pinned=pinned,
            planned=dict(job.plan.facts) if job.plan else None,
            not_after_ms=self._clock() + (job.tool.limit_s + settle_s) * 1000,
            settle_s=settle_s,
        )


def _say_that_it_waits(job: Job) -> None:
    job.caller.progress(0, None, "waits for another command on the same object")


def _makers(pinned: Sequence[ObjectState]) -> frozenset[str]:
    """Return the ids of the commands that made the objects: what such a command does is not over while it is open."""
    return frozenset(state.labels[COMMAND_LABEL] for state in pinned if COMMAND_LABEL in state.labels)


def _not_done(job: Job, error: DockerMcpError) -> Event:
    if job.stream.last_type == ExecutionStarted.type:
        return CommandFailed(
            summary=job.summary, code=error.code, message=error.message, retryable=error.retryable, applied="none"
        )
    return CommandCancelled(summary=job.summary, reason=error.message)
