"""One call on its way through the server: who makes it, what it is, and what it answers."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from domain.catalogue.tool import AnyTool, Command, MaySee, Plan, Result
from domain.command_stream import CommandStream
from domain.errors import DockerMcpError
from domain.events import NewEvent
from domain.flood import Source
from domain.host_safety.asks import Ask
from domain.objects import ObjectState
from domain.policy import Decision
from domain.ports import Held
from domain.principal import Principal

Progress = Callable[[int, int | None, str], None]


def no_progress(_done: int, _total: int | None, _message: str) -> None:
    """Tell nobody: the caller asked for no progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who makes a call, by which way, in which conversation. ``purpose`` is what the caller declares.

    ``address`` is that of the client, or the transport where there is none.
    """

    principal: Principal
    transport: str
    address: str = "stdio"
    client_name: str | None = None
    client_version: str | None = None
    correlation_id: str | None = None
    purpose: str | None = None
    idempotency_key: object = None
    """As the caller sent it; checked with the arguments."""
    trace_id: str | None = None
    span_id: str | None = None
    progress: Progress = no_progress

    @property
    def source(self) -> Source:
        """Whom a refused call is held against."""
        return Source.of(self.principal, self.address)


Judge = Callable[[Sequence[ObjectState]], Decision]
"""Decides a command once its objects are known."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What a principal may see of lists and of the audit trail, and ask of the host."""

    may_see: MaySee
    all_records: bool
    secrets: bool = False
    check_host: Callable[[Iterable[Ask]], None] = lambda _asks: None


@dataclass(slots=True, kw_only=True)
class Job:
    """A command that the policy allows, while it is carried out.

    ``recorded`` is its stream as far as the log holds it, None while the log holds nothing of it. ``judge`` is there
    when the policy has to see the objects first. ``approved_for`` holds the objects that somebody has approved the
    command for, ``approved_by`` that one's role; None if nobody had to. ``deadline`` (``time.monotonic()``) and
    ``check_fence`` are set with the record of its start: later than the one, or once the other raises, nothing more is
    sent to the engine. ``check_turn`` raises if the objects may be another's: then nothing is sent at all.
    """

    tool: AnyTool
    command: Command
    summary: str
    stream: CommandStream
    caller: Caller
    sight: Sight
    policy_digest: str
    plan: Plan | None = None
    judge: Judge | None = None
    approved_for: Sequence[ObjectState] | None = None
    approved_by: str | None = None
    recorded: CommandStream | None = None
    decided: Sequence[NewEvent] = ()
    deadline: float = 0.0
    check_fence: Held = lambda: None
    check_turn: Held = lambda: None
    cancel_requested: bool = False

    @property
    def command_id(self) -> str:
        return self.stream.context.command_id


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller gets: the result, or the error that took its place.

    An empty ``command_id`` means that the call was refused and counted, not recorded.
    """

    command_id: str
    result: Result | None = None
    error: DockerMcpError | None = None

    def content(self) -> dict[str, Any]:
        """Return the result as a JSON tree, an empty one for an error."""
        return self.result.content if self.result else {}

    def text(self) -> str:
        """Return the result as compact JSON, an empty object for an error."""
        return self.result.text.decode() if self.result else "{}"


@dataclass(slots=True)
class Health:
    """What ``/readyz`` shows of this process."""

    log_error: str | None = None
    unrecorded_outcomes: int = 0
    closing: bool = False
