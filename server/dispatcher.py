"""Takes a call: records it, decides, and hands what is allowed to the projector. Nothing runs unrecorded."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from opentelemetry import trace

from domain.canonical import JSON, NotCanonicalError, canonical_json
from domain.catalogue.tool import UNKNOWN_TOOL, AnyTool, Catalogue, Command, Effect, Surface
from domain.command_stream import CommandContext, CommandStream
from domain.errors import (
    ArgumentsTooLargeError,
    AuthenticationError,
    DeniedError,
    DockerMcpError,
    IdempotencyKeyReusedError,
    InvalidArgumentsError,
    LogUnavailableError,
    OverloadedError,
    ReadModelError,
    ShuttingDownError,
    TooManyRefusalsError,
)
from domain.events import CommandDenied, CommandReceived, CommandRejected, NewEvent
from domain.policy import Decision, Policy, Verdict
from domain.ports import Envelope, NewId, Sealer
from domain.principal import ANONYMOUS, Principal
from domain.secrets import DataKey, argument_tree, clear, revealing_fields
from domain.text import column_text, optional_column_text
from domain.token_shapes import masked
from server import logs
from server.call import Answer, Caller, Job
from server.decision import first_decision, sight_of
from server.flood import Refusals
from server.journal import Journal
from server.outcome import decision_event
from server.projector import Projector
from server.repeats import Repeats, without_key
from server.unexpected import unexpected

MOST_ARGUMENT_BYTES: Final = 48 * 1024
"""Most bytes of sealed arguments that one event keeps, out of the 64 KiB of its data."""

logger = logging.getLogger(__name__)

_MOST_NAMES: Final = 20
_NAME_LIMIT: Final = 96
_IDEMPOTENCY_KEY: Final = re.compile(r"[!-~]{1,128}", re.ASCII)


class Dispatcher:
    """The only way from a caller to Docker."""

    def __init__(
        self,
        catalogue: Catalogue,
        policy: Callable[[], Policy],
        journal: Journal,
        projector: Projector,
        refusals: Refusals,
        check_room: Callable[[], None],
        sealer: Sealer,
        repeats: Repeats,
        new_id: NewId,
        executor: str,
        queue_limit: int,
    ) -> None:
        self.catalogue = catalogue
        self._policy = policy
        self._journal = journal
        self._projector = projector
        self._refusals = refusals
        self._check_room = check_room
        self._sealer = sealer
        self._repeats = repeats
        self._new_id = new_id
        self._executor = executor
        self._queue_limit = queue_limit
        self._running: set[asyncio.Task[Answer]] = set()
        self._grace_ends: float | None = None

    async def dispatch(
        self, name: str, arguments: Mapping[str, Any] | None, caller: Caller, surface: Surface = Surface.TOOL
    ) -> Answer:
        """Carry out one call and return its answer. A cancelled caller does not stop a command that has started."""
        command_id = self._new_id()
        with logs.command_id(command_id):
            trace.get_current_span().set_attribute("docker_mcp.command.id", command_id)
            answer = await self._dispatch(command_id, name, arguments, caller, surface)
            logger.debug("the call was answered: %s", answer.error.code if answer.error else "success")
            return answer

    async def _dispatch(
        self, command_id: str, name: str, arguments: Mapping[str, Any] | None, caller: Caller, surface: Surface
    ) -> Answer:
        tool_name = UNKNOWN_TOOL
        try:
            self._check_room()
            tool = self.catalogue.find(name, surface)
            tool_name = tool.name
            command = tool.parse(arguments or {})
            self._refuse_if_full()
            received, envelope = self._received(command_id, tool, command, caller)
        except DockerMcpError as error:
            return await self._reject(command_id, tool_name, arguments, caller, error)
        except Exception as error:  # noqa: BLE001 (also such a call is recorded)
            return await self._reject(command_id, tool_name, arguments, caller, unexpected(error, tool_name))
        policy = self._policy()
        job = Job(
            tool=tool,
            command=command,
            summary=received.summary,
            stream=self._stream(command_id, tool.name, caller, tool.object_name(command)),
            caller=caller,
            sight=sight_of(policy, caller.principal, tool, tool.effect_of(command)),
            policy_digest=policy.digest,
        )
        decision = first_decision(policy, job)
        if decision.verdict is Verdict.DENY:
            return await self._deny(job, received, decision, envelope.data_key)
        if _is_judged_late(job, decision) and not self._refusals.admits(caller.source):
            return await self._reject(command_id, tool_name, arguments, caller, TooManyRefusalsError())
        task = self._run(job, self._carry_out_once(job, received, decision, envelope, policy))
        task.add_done_callback(lambda done: self._hold_against(job, done))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            job.cancel_requested = True
            raise

    def offers(self, principal: Principal, tool: AnyTool) -> bool:
        """Return whether ``principal`` could ever call the tool."""
        return tool.open_to_all or (principal != ANONYMOUS and self._policy().offers(principal, tool.name, tool.effect))

    async def carry_out_approved(self, job: Job) -> Answer:
        """Carry out a recorded job that somebody has approved, if the rules still allow it. Takes part in the grace."""
        return await asyncio.shield(self._run(job, self._carry_out_approved(job)))

    async def reject(self, name: str, arguments: object, caller: Caller, error: DockerMcpError) -> Answer:
        """Record a call that was refused before it got the form of a call."""
        tool = self.catalogue.by_name(name)
        known = arguments if isinstance(arguments, Mapping) else None
        return await self._reject(self._new_id(), tool.name if tool else UNKNOWN_TOOL, known, caller, error)

    async def close(self, grace_s: float) -> int:
        """Take no more calls and wait for the running ones; return how many did not finish.

        The grace period of ``grace_s`` seconds begins with the first of several calls.
        """
        now = asyncio.get_running_loop().time()
        self._grace_ends = self._grace_ends or now + grace_s
        self._journal.health.closing = True
        if not self._running:
            return 0
        _, unfinished = await asyncio.wait(self._running, timeout=max(0, self._grace_ends - now))
        return len(unfinished)

    def _hold_against(self, job: Job, done: asyncio.Task[Answer]) -> None:
        """Let a command that was refused after its beginning was recorded count like any other refused call."""
        if done.cancelled() or done.exception():
            return
        refused = isinstance(done.result().error, DeniedError | AuthenticationError)
        if refused or job.stream.last_type in (CommandDenied.type, CommandRejected.type):
            self._refusals.spend(job.caller.source)

    async def _carry_out_once(
        self, job: Job, received: CommandReceived, decision: Decision, envelope: Envelope, policy: Policy
    ) -> Answer:
        def carry_out() -> Awaitable[Answer]:
            return self._carry_out(job, received, decision, envelope, policy)

        try:
            return await self._repeats.once(job, received, envelope.data_key, carry_out)
        except (IdempotencyKeyReusedError, ReadModelError) as error:
            arguments = job.command.model_dump()
            return await self._reject(job.command_id, job.tool.name, arguments, job.caller, error)

    async def _carry_out(
        self, job: Job, received: CommandReceived, decision: Decision, envelope: Envelope, policy: Policy
    ) -> Answer:
        events, data_key = [job.stream.add(received)], envelope.data_key
        if job.tool.prepare:
            planned = await self._projector.prepare(job, events, data_key, envelope.seal)
            if isinstance(planned, Answer):
                return planned
            events, data_key = planned, None if data_key else envelope.data_key
            if denial := policy.host_denial(job.tool.asks(job.command, job.plan)):
                return await self._record_denial(job, events, denial, data_key)
        if decision.verdict is Verdict.DEFER:
            return await self._projector.defer(job, events, data_key, decision)
        if not job.judge:
            events.append(job.stream.add(decision_event(job, decision)))
        return await self._projector.run(job, events, data_key)

    def _run(self, job: Job, work: Coroutine[Any, Any, Answer]) -> asyncio.Task[Answer]:
        async def to_an_end() -> Answer:
            try:
                return await work
            except Exception as error:  # noqa: BLE001 (a command never stays open because of a mistake of ours)
                problem = unexpected(error, f"command {job.command_id} ({job.tool.name})")
                self._projector.give_up(job, problem)
                return Answer(job.command_id, error=problem)

        task = asyncio.create_task(to_an_end())
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _carry_out_approved(self, job: Job) -> Answer:
        policy, principal = self._policy(), job.caller.principal
        job.policy_digest = policy.digest
        job.sight = sight_of(policy, principal, job.tool, job.tool.effect_of(job.command))
        decision = first_decision(policy, job)
        if decision.verdict is not Verdict.DENY and job.plan:
            decision = policy.host_denial(job.tool.asks(job.command, job.plan)) or decision
        if decision.verdict is Verdict.DENY:
            return await self._record_denial(job, [], decision, None)
        decided = [] if job.judge else [job.stream.add(decision_event(job, decision, self._executor))]
        return await self._projector.run(job, decided, None)

    async def _deny(self, job: Job, received: CommandReceived, decision: Decision, data_key: DataKey | None) -> Answer:
        error = _refusal(job, decision)
        if not self._refusals.records(job.caller.source, error.code):
            return self._refusals.counted(error)
        return await self._record_denial(job, [job.stream.add(without_key(received))], decision, data_key)

    async def _record_denial(
        self, job: Job, before: Sequence[NewEvent], decision: Decision, data_key: DataKey | None
    ) -> Answer:
        denied = decision_event(job, decision)
        error = _refusal(job, decision)
        try:
            await self._journal.append([*before, job.stream.add(denied)], data_key)
        except LogUnavailableError as unavailable:
            error = unavailable
        return Answer(job.command_id, error=error)

    async def _reject(
        self,
        command_id: str,
        tool_name: str,
        arguments: Mapping[str, Any] | None,
        caller: Caller,
        error: DockerMcpError,
    ) -> Answer:
        if not self._refusals.records(caller.source, error.code):
            return self._refusals.counted(error)
        stream = self._stream(command_id, tool_name, caller, None)
        summary = f"{tool_name}: {error.code}"
        names = tuple(masked(column_text(str(name), _NAME_LIMIT))[0] for name in list(arguments or {})[:_MOST_NAMES])
        received = CommandReceived(
            summary=summary,
            argument_names=names,
            transport=caller.transport,
            client_name=optional_column_text(caller.client_name),
            client_version=optional_column_text(caller.client_version),
            executor=self._executor,
        )
        rejected = CommandRejected(summary=summary, code=error.code, message=column_text(error.message, 1024))
        try:
            await self._journal.append([stream.add(received), stream.add(rejected)])
        except LogUnavailableError as unavailable:
            error = unavailable
        return Answer(command_id, error=error)

    def _received(
        self, command_id: str, tool: AnyTool, command: Command, caller: Caller
    ) -> tuple[CommandReceived, Envelope]:
        key = caller.idempotency_key
        if key is not None and not (isinstance(key, str) and _IDEMPOTENCY_KEY.fullmatch(key)):
            raise InvalidArgumentsError(
                "_meta.idempotency_key is text of 1 to 128 printable ASCII characters without spaces"
            )
        envelope = self._sealer.envelope(command_id)
        arguments: dict[str, JSON] = argument_tree(command, envelope.seal, envelope.digest)
        try:
            kept = canonical_json(arguments)
            size = len(kept)
            in_clear = canonical_json(argument_tree(command, clear)) if revealing_fields(type(command)) else kept
            mac = self._sealer.mac(in_clear)
        except NotCanonicalError as error:
            raise InvalidArgumentsError(f"{tool.name}: {error}") from None
        if size > MOST_ARGUMENT_BYTES:
            raise ArgumentsTooLargeError(
                f"{tool.name}: the arguments take {size} bytes, at most {MOST_ARGUMENT_BYTES} can be recorded",
                hint="shorten them, for example by mounting a file instead of passing its content",
            )
        received = CommandReceived(
            summary=tool.summarise(command),
            arguments=arguments,
            arguments_mac=mac,
            transport=caller.transport,
            client_name=optional_column_text(caller.client_name),
            client_version=optional_column_text(caller.client_version),
            idempotency_key=None if tool.effect is Effect.READ else key,
            executor=self._executor,
        )
        return received, envelope

    def _stream(self, command_id: str, tool_name: str, caller: Caller, object_name: str | None) -> CommandStream:
        context = CommandContext(
            command_id=command_id,
            principal=column_text(caller.principal.name),
            role=caller.principal.role,
            tool=tool_name,
            object=object_name,
            purpose=optional_column_text(caller.purpose),
            correlation_id=optional_column_text(caller.correlation_id),
            trace_id=caller.trace_id,
            span_id=caller.span_id,
        )
        return CommandStream(context, self._new_id)

    def _refuse_if_full(self) -> None:
        if self._grace_ends is not None:
            raise ShuttingDownError
        if len(self._running) >= self._queue_limit:
            raise OverloadedError


def _is_judged_late(job: Job, decision: Decision) -> bool:
    """Return whether the log holds a part of the command before anybody knows whether it is refused."""
    return bool(job.judge or job.tool.prepare or decision.verdict is Verdict.DEFER or job.caller.principal == ANONYMOUS)


def _refusal(job: Job, decision: Decision) -> DockerMcpError:
    return AuthenticationError() if job.caller.principal == ANONYMOUS else DeniedError(decision.reason)
