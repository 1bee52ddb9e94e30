"""What became of a command that nobody works on any more: looked up on the engine, never done again.

A request of a dead executor may still be at work inside the engine. So a command is judged only when its own time is
over or the engine has had time to finish since the death was noticed, whichever comes first.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from domain.catalogue.recognise import Evidence, Verdict
from domain.catalogue.tool import AnyTool, Catalogue, Effect
from domain.command_stream import received_of
from domain.events import (
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
from domain.ports import Clock, Observer

_NEVER_STARTED = "the server stopped before it started"
_NOT_ANSWERED = "the server stopped before it answered"


class Settlement(NamedTuple):
    """How a command has ended as far as anybody can tell, and what that was seen by."""

    ending: Event
    found: str


class Settler:
    """Judges commands by their records and by what the engine shows."""

    def __init__(self, catalogue: Catalogue, observer: Callable[[], Observer], clock: Clock) -> None:
        self._catalogue = catalogue
        self._observer = observer
        self._clock = clock

    def wait_s(self, events: Sequence[RecordedEvent]) -> float:
        """Return the seconds from now on after which the engine has certainly finished what it was asked."""
        execution = _execution(events)
        if execution is None or not self._is_recognised(events):
            return 0
        return max(0, min((execution.not_after_ms - self._clock()) / 1000, execution.settle_s))

    def settle(self, events: Sequence[RecordedEvent]) -> Settlement:
        """Return how the command with these events has ended. Looks at the engine; may block.

        Raises:
            EngineError: if the engine does not answer.
        """
        received = received_of(events)
        tool, execution = self._catalogue.by_name(events[0].tool), _execution(events)
        if execution is None:
            return Settlement(CommandCancelled(summary=received.summary, reason=_NEVER_STARTED), _NEVER_STARTED)
        if tool is None or tool.recognise is None:
            return Settlement(_interrupted(received, tool), _NOT_ANSWERED)
        evidence = self._look(tool, events[0].stream, received, execution)
        verdict = tool.recognise(evidence)
        return Settlement(_judged(received, evidence, verdict), verdict.reason)

    def _is_recognised(self, events: Sequence[RecordedEvent]) -> bool:
        tool = self._catalogue.by_name(events[0].tool)
        return bool(tool and tool.recognise)

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


def _execution(events: Sequence[RecordedEvent]) -> ExecutionStarted | None:
    for event in events:
        if event.type == ExecutionStarted.type:
            started = decode(event.type, event.data)
            assert isinstance(started, ExecutionStarted)  # noqa: S101 (of this type)
            return started
    return None


def _interrupted(received: CommandReceived, tool: AnyTool | None) -> Event:
    if tool and tool.effect is Effect.READ:
        return CommandFailed(
            summary=received.summary,
            code="interrupted",
            message=_NOT_ANSWERED,
            retryable=True,
            applied="none",
            reconciled=True,
        )
    return CommandUnknown(
        summary=received.summary, code="interrupted", message=f"{_NOT_ANSWERED}; this version has no such tool"
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
