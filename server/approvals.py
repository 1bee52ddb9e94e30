"""Commands that wait until somebody else approves them: who decides, when it is too late, and how they go on."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from domain.catalogue.approvals import Approve, Decided, ListApprovals, Refuse, Waiting, WaitingList
from domain.catalogue.tool import Run
from domain.chain import timestamp
from domain.command_stream import CommandStream
from domain.errors import ConcurrentAppendError, ConflictError, DockerMcpError, EngineInterruptedError, LogInDoubtError
from domain.events import CommandApproved, CommandDeferred, CommandExpired, CommandRefused, Event, RecordedEvent, decode
from domain.lifecycle import Status
from domain.ports import Clock, EventStore, NewId
from domain.text import column_text
from server.workers import Workers

_LOOK_EVERY_S: Final = 10.0
_COMMENT_LIMIT: Final = 500

logger = logging.getLogger(__name__)


class ApprovalDesk:
    """Decides about deferred commands. Satisfies ``domain.catalogue.approvals.Approvals``."""

    def __init__(
        self, store: EventStore, clock: Clock, new_id: NewId, executor: str, go_on: Callable[[str], None]
    ) -> None:
        """Take what is needed.

        Args:
            store: the log.
            clock: tells what is too late.
            new_id: names events.
            executor: the id of this process.
            go_on: has an approved command carried out, without waiting for it; any thread may call it.
        """
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._executor = executor
        self._go_on = go_on

    def waiting(self, command: ListApprovals, run: Run) -> WaitingList:
        rows = []
        for events, deferred in self._deferred():
            if self._expire_if_due(events, deferred):
                continue
            yours = events[0].principal == run.principal
            if yours or run.role in deferred.approvers:
                rows.append(_told(events, deferred, yours=yours))
        return WaitingList(waiting=rows[: command.limit], total=len(rows))

    def approve(self, command: Approve, run: Run) -> Decided:
        events, deferred = self._still_waiting(command.command_id)
        comment = column_text(command.comment, _COMMENT_LIMIT) if command.comment else None
        approved = CommandApproved(
            summary=deferred.summary,
            by=run.principal,
            by_role=run.role,
            decision=run.command_id,
            executor=self._executor,
            comment=comment,
        )
        run.before_change()
        self._decide(events, approved)
        self._go_on(command.command_id)
        return Decided(command_id=command.command_id, status="approved")

    def refuse(self, command: Refuse, run: Run) -> Decided:
        events, deferred = self._still_waiting(command.command_id)
        why = f": {column_text(command.comment, _COMMENT_LIMIT)}" if command.comment else ""
        refused = CommandRefused(
            summary=deferred.summary,
            by=run.principal,
            by_role=run.role,
            decision=run.command_id,
            reason=f"refused by {run.principal}{why}",
        )
        run.before_change()
        self._decide(events, refused)
        return Decided(command_id=command.command_id, status=Status.REFUSED)

    def count(self) -> int:
        """Return how many commands wait."""
        return len(self._waiting_ids())

    def expire(self) -> None:
        """Record of every waiting command whose time is over that it is."""
        for events, deferred in self._deferred():
            self._expire_if_due(events, deferred)

    async def keep_expiring(self, workers: Workers) -> None:
        """Look again and again what is too late. Nothing rests on it: an approval that comes too late is refused."""
        while True:
            try:
                await workers.run(self.expire)
            except DockerMcpError as error:
                logger.warning("waiting commands are looked at later: %s", error.describe())
            await asyncio.sleep(_LOOK_EVERY_S)

    def _deferred(self) -> list[tuple[Sequence[RecordedEvent], CommandDeferred]]:
        streams = [self._store.read_stream(command_id) for command_id in self._waiting_ids()]
        return [(events, found) for events in streams if (found := _deferral(events))]

    def _waiting_ids(self) -> list[str]:
        return [command.command_id for command in self._store.open_commands() if command.status == Status.DEFERRED]

    def _still_waiting(self, command_id: str) -> tuple[Sequence[RecordedEvent], CommandDeferred]:
        events = self._store.read_stream(command_id)
        deferred = _deferral(events)
        if deferred is None or self._expire_if_due(events, deferred):
            status = (events[-1].status or "authorized") if deferred is None else Status.EXPIRED
            raise ConflictError(
                f"the command does not wait for approval: {status}",
                code="not_waiting",
                hint="approvals-list shows what waits",
            )
        return events, deferred

    def _expire_if_due(self, events: Sequence[RecordedEvent], deferred: CommandDeferred) -> bool:
        if deferred.expires_at_ms > self._clock():
            return False
        reason = f"nobody approved it until {timestamp(deferred.expires_at_ms)}"
        try:
            self._append(events, CommandExpired(summary=deferred.summary, reason=reason))
        except ConcurrentAppendError:
            logger.info("command %s was decided about in the last moment", events[0].stream)
        return True

    def _decide(self, events: Sequence[RecordedEvent], decision: Event) -> None:
        """Record a decision.

        Raises:
            ConflictError: somebody else was first.
            EngineInterruptedError: nobody can tell yet whether it was recorded.
        """
        try:
            self._append(events, decision)
        except ConcurrentAppendError as error:
            raise ConflictError("somebody else has decided about the command", code="not_waiting") from error
        except LogInDoubtError as error:
            raise EngineInterruptedError(error.message, code=error.code, hint="get-command tells later") from error

    def _append(self, events: Sequence[RecordedEvent], event: Event) -> None:
        self._store.append([CommandStream.resume(events, self._new_id).add(event)]).result()


def _deferral(events: Sequence[RecordedEvent]) -> CommandDeferred | None:
    """Return what the command waits for, None if it does not wait any more."""
    last = decode(events[-1].type, events[-1].data) if events else None
    return last if isinstance(last, CommandDeferred) else None


def _told(events: Sequence[RecordedEvent], deferred: CommandDeferred, *, yours: bool) -> Waiting:
    last = events[-1]
    return Waiting(
        command_id=last.stream,
        at=timestamp(last.occurred_at_ms),
        principal=last.principal,
        role=last.role,
        tool=last.tool or "",
        object=last.object,
        summary=deferred.summary,
        purpose=last.purpose,
        approvers=list(deferred.approvers),
        expires_at=timestamp(deferred.expires_at_ms),
        yours=yours,
    )
