"""The closed set of event types, their data, and the envelope every event is recorded in."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict

from domain.canonical import JSON, canonical_json
from domain.errors import Applied
from domain.lifecycle import Status
from domain.objects import ObjectRef, ObjectState
from domain.principal import Principal

MAX_DATA_BYTES: Final = 64 * 1024
"""Most bytes an event's data may take; the database refuses more."""


class Event(BaseModel):
    """A recorded fact. ``type`` names it in the log for ever; a class may be renamed, its type may not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: ClassVar[str]
    status: ClassVar[Status | None] = None
    schema_version: ClassVar[int] = 1

    def encode(self) -> str:
        """Return the event's data as canonical JSON text."""
        data = {name: value for name, value in self.model_dump(exclude_none=True).items() if value != ()}
        return canonical_json(data).decode()


class CommandReceived(Event):
    """A call arrived. ``arguments`` is None for a call that could not be read; then only names are kept.

    ``idempotency_key`` belongs to this command from now on: whoever comes with it again gets this command's outcome.
    """

    type = "command.received"

    summary: str
    arguments: dict[str, JSON] | None = None
    arguments_mac: str | None = None
    argument_names: tuple[str, ...] = ()
    transport: str
    client_name: str | None = None
    client_version: str | None = None
    idempotency_key: str | None = None
    executor: str


class CommandRejected(Event):
    """The call was malformed, unknown or beyond a limit. The message repeats no argument value."""

    type = "command.rejected"
    status = Status.REJECTED

    summary: str
    code: str
    message: str


class CommandPlanned(Event):
    """What the command will do, worked out from its arguments: JSON text in as many parts as it needs.

    ``plan_sha256`` is the digest of the whole text. Values that may be secrets are sealed in it.
    """

    type = "command.planned"

    summary: str
    part: int
    parts: int
    text: str
    plan_sha256: str


class CommandAuthorized(Event):
    """The policy allows the command. ``executor`` carries it out, if not the process that received it."""

    type = "command.authorized"

    rule: str
    policy_digest: str
    executor: str | None = None


class CommandDenied(Event):
    """The policy does not allow the command."""

    type = "command.denied"
    status = Status.DENIED

    summary: str
    rule: str
    policy_digest: str
    reason: str


class CommandDeferred(Event):
    """The policy allows the command once somebody else has approved it.

    ``approvers`` are the roles that may, until ``expires_at_ms``. ``pinned`` is what the command is to act on: it is
    carried out on these objects or not at all.
    """

    type = "command.deferred"
    status = Status.DEFERRED

    summary: str
    rule: str
    policy_digest: str
    expires_at_ms: int
    approvers: tuple[str, ...] = ()
    pinned: tuple[ObjectState, ...] = ()


class CommandApproved(Event):
    """Somebody else has approved the command, by the command ``decision``; the policy now decides anew.

    ``executor`` is the process that goes on with it.
    """

    type = "command.approved"

    summary: str
    by: str
    by_role: str
    decision: str
    executor: str | None = None
    comment: str | None = None


class CommandRefused(Event):
    """Somebody who could have approved the command has refused it, by the command ``decision``."""

    type = "command.refused"
    status = Status.REFUSED

    summary: str
    by: str
    by_role: str
    decision: str
    reason: str


class CommandExpired(Event):
    """Nobody has approved the command in time."""

    type = "command.expired"
    status = Status.EXPIRED

    summary: str
    reason: str


class ExecutionStarted(Event):
    """The command is about to be applied to Docker. Holds what a probe needs if the executor dies.

    The executor sends nothing to the engine after ``not_after_ms`` less ``settle_s``; ``settle_s`` seconds after its
    last request the engine has finished or dropped it.
    """

    type = "execution.started"
    status = Status.RUNNING

    executor: str
    attempt: int = 1
    engine: str | None = None
    pinned: tuple[ObjectState, ...] = ()
    planned: dict[str, JSON] | None = None
    not_after_ms: int
    settle_s: int


class CommandSucceeded(Event):
    """The effect happened. ``result`` is kept for commands that change something, digest and size for all.

    A command that was settled later (``reconciled``) has no result: nobody received one. Observation settled it, or a
    person (``settled_by``) who says why in ``comment``.
    """

    type = "command.succeeded"
    status = Status.SUCCESS

    summary: str
    result: JSON = None
    result_sha256: str | None = None
    result_bytes: int | None = None
    touched: tuple[ObjectRef, ...] = ()
    state_after: tuple[ObjectState, ...] = ()
    duration_us: int | None = None
    cancel_requested: bool | None = None
    reconciled: bool | None = None
    settled_by: str | None = None
    comment: str | None = None


class CommandFailed(Event):
    """The effect did not happen, or only a part of it (``applied``). ``settled_by``: as for a success."""

    type = "command.failed"
    status = Status.FAILED

    summary: str
    code: str
    message: str
    hint: str | None = None
    retryable: bool
    applied: Applied
    touched: tuple[ObjectRef, ...] = ()
    state_after: tuple[ObjectState, ...] = ()
    duration_us: int | None = None
    cancel_requested: bool | None = None
    reconciled: bool | None = None
    settled_by: str | None = None
    comment: str | None = None


class CommandUnknown(Event):
    """Nobody can tell whether the effect happened. Provisional: observation or a person settles it."""

    type = "command.unknown"
    status = Status.UNKNOWN

    summary: str
    code: str
    message: str
    observed: tuple[ObjectState, ...] = ()
    duration_us: int | None = None


class CommandCancelled(Event):
    """The command was given up before anything was asked of Docker."""

    type = "command.cancelled"
    status = Status.CANCELLED

    summary: str
    reason: str


class AuthenticationSucceeded(Event):
    """A user came with a valid token or key; recorded once for each user, key and source of a server process."""

    type = "authentication.succeeded"

    source: str


class AuthenticationFailed(Event):
    """Credentials were not believed. ``claimed`` is the user name of a well-formed token, believed or not."""

    type = "authentication.failed"

    source: str
    reason: str
    claimed: str | None = None


class TokenIssued(Event):
    """A user exchanged an API key for a token; or, with ``user``, somebody had one printed that stands for ``user``."""

    type = "token.issued"

    expires_at_s: int
    user: str | None = None


class UserAdded(Event):
    """A user with an API key is about to be written into the auth file. Neither key nor hash is kept here."""

    type = "user.added"

    user: str
    role: str


class UserKeyRotated(Event):
    """A user is about to get a new API key; the old one and its tokens end."""

    type = "user.key_rotated"

    user: str
    role: str


class UserRemoved(Event):
    """A user is about to be taken out of the auth file; the key and its tokens end."""

    type = "user.removed"

    user: str
    role: str


class CallsSuppressed(Event):
    """Refused calls that were counted, not recorded: their source had spent its budget, or there was no room.

    ``source`` is the address of callers whom nobody knows; else the event's principal is the source. ``codes`` holds
    each error code with its number of calls, sorted; ``authentication.failed`` counts events of that type.
    """

    type = "calls.suppressed"

    source: str | None = None
    since_ms: int
    total: int
    codes: tuple[tuple[str, int], ...]


class PolicyLoaded(Event):
    """The rules of the auth file are in force; with ``problem``: a new file was broken, the old rules stay."""

    type = "policy.loaded"

    policy_digest: str
    problem: str | None = None


class ServerStarted(Event):
    """A server process has opened the log."""

    type = "server.started"

    version: str
    transport: str
    settings_digest: str


class ServerStopped(Event):
    """A server process has closed the log in good order."""

    type = "server.stopped"

    reason: str


class SecretsForgotten(Event):
    """The wrapped data key of a command was deleted: nobody can read its sealed values again."""

    type = "secrets.forgotten"

    command_id: str
    key_id: str


class SealingKeyRotated(Event):
    """The log went over to a new sealing key; ``count`` data keys were wrapped anew.

    ``lost`` says that the old key was not there: what it had wrapped stays as it is.
    """

    type = "sealing_key.rotated"

    old_key_id: str
    new_key_id: str
    count: int
    lost: bool | None = None


class CheckpointSigned(Event):
    """The log's head at a moment, signed. Copies of it kept elsewhere show a cut tail and a rewritten history.

    ``signature`` is Ed25519 over the canonical JSON of the other fields, see :mod:`domain.checkpoints`. ``log`` is the
    hash of the record at position 1, which names the log; ``head`` the hash of the record at ``position``.
    """

    type = "checkpoint.signed"

    form: str
    log: str
    position: int
    head: str
    at: str
    key_id: str
    signature: str


class ChainBroken(Event):
    """A server found that the log was tampered with: the first record or part that does not fit, and why."""

    type = "chain.broken"

    broken_position: int | None = None
    problem: str


class LogArchived(Event):
    """The records ``first_position`` to ``last_position`` were copied into a segment file; none was deleted."""

    type = "log.archived"

    file_name: str
    file_sha256: str
    first_position: int
    last_position: int
    last_hash: str


class LogBackedUp(Event):
    """A copy of the log into a file begins; it holds this record and all before it."""

    type = "log.backed_up"

    file_name: str


class LogRestored(Event):
    """The log goes on after a copy, whose last record was ``position`` with the hash ``head``.

    What the log held beyond that is not in it any more.
    """

    type = "log.restored"

    file_name: str
    file_sha256: str
    position: int
    head: str
    copied_at: str


class LogRotated(Event):
    """The last record of a log that goes on in a new database; ``file_name`` is the archive that takes it whole."""

    type = "log.rotated"

    file_name: str


class LogContinued(Event):
    """The first record of a log that continues another: that one's identity, last position and last hash.

    ``metrics`` holds the metric series as of then, so that counters go on, and ``world`` what objects there were
    (:meth:`domain.replay.world.World.carried`), so that a replay goes on; None if there are none. Objects that do not
    fit into one record follow in more of them, which are like the first but for ``metrics`` and ``world``.
    """

    type = "log.continued"

    log: str
    position: int
    head: str
    file_name: str
    file_sha256: str
    metrics: dict[str, JSON] | None = None
    world: dict[str, JSON] | None = None


class EngineObserved(Event):
    """Docker itself reported that something happened to an object, whoever caused it.

    ``action`` is the engine's word, cut at its colon; ``health`` what a ``health_status`` says. ``engine_time`` is the
    engine's clock, ``seconds.nanoseconds`` as its API takes them, ``occurred_at_ms`` the same in milliseconds: when it
    happened, while the event's own time says when it was recorded. ``container`` and ``container_name`` are the other
    end of a network's ``connect`` and ``disconnect``; ``old_name`` is what a container was called before ``rename``;
    ``stack`` the Compose project of a container.

    ``command_id`` is the command of ours that caused it, told (``tied_by``) by the ``label`` of a container that it
    made, by the ``object`` it acted on at that time, or by its ``stack``. Without one the event is ``external``: Docker
    did it by itself, a program ended, or somebody else asked for it.
    """

    type = "engine.observed"

    engine: str
    kind: str
    action: str
    object_id: str
    name: str | None = None
    occurred_at_ms: int
    engine_time: str
    health: str | None = None
    exit_code: int | None = None
    signal: str | None = None
    image: str | None = None
    container: str | None = None
    container_name: str | None = None
    old_name: str | None = None
    stack: str | None = None
    command_id: str | None = None
    tied_by: str | None = None
    external: bool


class EngineSuppressed(Event):
    """Events of the engine that were counted, not recorded: there were too many in a short time.

    ``counts`` holds kind, action and number, sorted; they happened from ``since_ms`` to ``until_ms`` by the engine's
    clock. ``engine_time`` and ``newest`` are as in :class:`EngineFollowed`.
    """

    type = "engine.suppressed"

    engine: str
    since_ms: int
    until_ms: int
    total: int
    counts: tuple[tuple[str, str, int], ...]
    engine_time: str
    newest: str


class EngineGap(Event):
    """From ``since_ms`` to ``until_ms`` (the engine's clock) events may have happened that nobody saw.

    Nothing was seen before ``until_ms`` if ``since_ms`` is None: here the observation begins. ``engine_time`` and
    ``newest`` are as in :class:`EngineFollowed`; ``newest`` is None if the engine remembered no event.
    """

    type = "engine.gap"

    engine: str
    since_ms: int | None = None
    until_ms: int
    engine_time: str
    newest: str | None = None


class EngineFollowed(Event):
    """The engine's events were seen without a gap up to ``engine_time``; those since the last record are of no note.

    ``newest`` is a digest of the last one, by which it is recognised when the engine tells its events again.
    """

    type = "engine.followed"

    engine: str
    engine_time: str
    newest: str


EVENT_TYPES: Final[Mapping[str, type[Event]]] = {
    event.type: event
    for event in (
        CommandReceived,
        CommandPlanned,
        CommandRejected,
        CommandAuthorized,
        CommandDenied,
        CommandDeferred,
        CommandApproved,
        CommandRefused,
        CommandExpired,
        ExecutionStarted,
        CommandSucceeded,
        CommandFailed,
        CommandUnknown,
        CommandCancelled,
        AuthenticationSucceeded,
        AuthenticationFailed,
        TokenIssued,
        UserAdded,
        UserKeyRotated,
        UserRemoved,
        CallsSuppressed,
        PolicyLoaded,
        ServerStarted,
        ServerStopped,
        SecretsForgotten,
        SealingKeyRotated,
        CheckpointSigned,
        ChainBroken,
        LogArchived,
        LogBackedUp,
        LogRestored,
        LogRotated,
        LogContinued,
        EngineObserved,
        EngineSuppressed,
        EngineGap,
        EngineFollowed,
    )
}


def decode(event_type: str, data: str) -> Event:
    """Return the event that ``data`` (canonical JSON text) describes.

    Raises:
        KeyError: for a type this version does not know.
        pydantic.ValidationError: for data that does not fit the type.
    """
    return EVENT_TYPES[event_type].model_validate_json(data)


class NewEvent(NamedTuple):
    """An event on its way into the log; the store adds position, time and hashes.

    ``stream_version`` is the version the event must get (1 for the first of its stream); the append is refused
    if it is taken. None lets the store give the next one, for streams that no two writers decide about.
    """

    event_id: str
    stream: str
    stream_version: int | None
    type: str
    schema_version: int
    principal: str
    role: str
    tool: str | None
    object: str | None
    status: Status | None
    purpose: str | None
    correlation_id: str | None
    causation_id: str | None
    trace_id: str | None
    span_id: str | None
    data: str


def event_of(principal: Principal, event: Event, stream: str, event_id: str) -> NewEvent:
    """Return ``event`` in its envelope, as ``principal`` causes it outside of any command."""
    return NewEvent(
        event_id=event_id,
        stream=stream,
        stream_version=None,
        type=event.type,
        schema_version=event.schema_version,
        principal=principal.name,
        role=principal.role,
        tool=None,
        object=None,
        status=None,
        purpose=None,
        correlation_id=None,
        causation_id=None,
        trace_id=None,
        span_id=None,
        data=event.encode(),
    )


class RecordedEvent(NamedTuple):
    """One row of the log. ``occurred_at_ms`` is milliseconds since 1970 UTC and never decreases."""

    position: int
    event_id: str
    stream: str
    stream_version: int
    type: str
    schema_version: int
    occurred_at_ms: int
    principal: str
    role: str
    tool: str | None
    object: str | None
    status: str | None
    purpose: str | None
    correlation_id: str | None
    causation_id: str | None
    trace_id: str | None
    span_id: str | None
    data: str
    previous_hash: str | None
    event_hash: str

    def payload(self) -> dict[str, Any]:
        """Return the data as a tree, also for event types this version does not know."""
        tree: dict[str, Any] = orjson.loads(self.data)
        return tree
