"""Made-up values for property tests: texts, trees, events of every type, rows, and chains of rows."""

from typing import Any, Final, get_args

from hypothesis import strategies as st

from domain.canonical import MAX_SAFE_INTEGER
from domain.chain import seal_event
from domain.errors import Applied
from domain.events import (
    AuthenticationFailed,
    AuthenticationSucceeded,
    CallsSuppressed,
    ChainBroken,
    CheckpointSigned,
    CommandApproved,
    CommandAuthorized,
    CommandCancelled,
    CommandDeferred,
    CommandDenied,
    CommandExpired,
    CommandFailed,
    CommandPlanned,
    CommandReceived,
    CommandRefused,
    CommandRejected,
    CommandSucceeded,
    CommandUnknown,
    EngineFollowed,
    EngineGap,
    EngineObserved,
    EngineSuppressed,
    Event,
    ExecutionStarted,
    LogArchived,
    LogBackedUp,
    LogContinued,
    LogRestored,
    LogRotated,
    NewEvent,
    PolicyLoaded,
    RecordedEvent,
    SealingKeyRotated,
    SecretsForgotten,
    ServerStarted,
    ServerStopped,
    TokenIssued,
    UserAdded,
    UserKeyRotated,
    UserRemoved,
)
from domain.objects import Kind, ObjectRef, ObjectState
from domain.text import column_text

ANY_TEXT: Final = st.text(st.characters())
"""Whatever Python calls a string: NUL, lone surrogates and control characters included."""

TEXT: Final = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40)
"""Text that a database stores as it is."""

COLUMN: Final = st.text(st.characters(), max_size=6).map(column_text)
"""Text as it enters a column."""

KEYS: Final = st.from_regex(r"[A-Za-z0-9_.$/-]{1,64}", fullmatch=True)
INTEGERS: Final = st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)
COUNTS: Final = st.integers(0, MAX_SAFE_INTEGER)

TREES: Final[st.SearchStrategy[Any]] = st.recursive(
    st.none() | st.booleans() | INTEGERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
"""Trees that have a canonical form."""

REFS: Final = st.builds(ObjectRef, kind=st.sampled_from(Kind), id=TEXT, name=TEXT)
STATES: Final = st.builds(
    ObjectState,
    kind=st.sampled_from(Kind),
    id=TEXT,
    name=TEXT,
    facts=st.dictionaries(KEYS, TREES, max_size=3),
)


def _some(of: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(of, max_size=2).map(tuple)


def _maybe(of: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | of


EXAMPLES: Final[tuple[Event, ...]] = (
    CommandReceived(summary="stop container web", arguments={"timeout": 10}, transport="stdio", executor="e"),
    CommandRejected(summary="stop-container: invalid_arguments", code="invalid_arguments", message="no"),
    CommandPlanned(
        summary="deploy stack shop", part=1, parts=1, text='{"services":{}}', plan_sha256="0123456789abcdef"
    ),
    CommandAuthorized(rule="role-admin", policy_digest="0123456789abcdef"),
    CommandDenied(summary="stop container web", rule="role-user", policy_digest="0123456789abcdef", reason="no"),
    CommandDeferred(
        summary="stop container web",
        rule="approval-1",
        policy_digest="0123456789abcdef",
        approvers=("admin",),
        expires_at_ms=1,
    ),
    CommandApproved(summary="stop container web", by="alice", by_role="admin", decision="d", executor="e"),
    CommandRefused(summary="stop container web", by="alice", by_role="admin", decision="d", reason="refused by alice"),
    CommandExpired(summary="stop container web", reason="nobody approved it"),
    ExecutionStarted(executor="e", not_after_ms=1, settle_s=1),
    CommandSucceeded(summary="stop container web", duration_us=1500),
    CommandFailed(summary="stop container web", code="conflict", message="no", retryable=False, applied="none"),
    CommandUnknown(summary="stop container web", code="engine_interrupted", message="no answer"),
    CommandCancelled(summary="stop container web", reason="the caller has gone"),
    AuthenticationSucceeded(source="127.0.0.1"),
    AuthenticationFailed(source="127.0.0.1", reason="expired", claimed="alice"),
    TokenIssued(expires_at_s=1_780_003_600),
    UserAdded(user="alice", role="user"),
    UserKeyRotated(user="alice", role="user"),
    UserRemoved(user="alice", role="user"),
    CallsSuppressed(source="192.0.2.7", since_ms=1, total=3, codes=(("denied", 1), ("unauthenticated", 2))),
    PolicyLoaded(policy_digest="0123456789abcdef"),
    ServerStarted(version="1", transport="stdio", settings_digest="d"),
    ServerStopped(reason="the end"),
    SecretsForgotten(command_id="c", key_id="0123456789abcdef"),
    SealingKeyRotated(old_key_id="0123456789abcdef", new_key_id="fedcba9876543210", count=2),
    EngineObserved(
        engine="e",
        kind="container",
        action="die",
        object_id="c1",
        occurred_at_ms=1,
        engine_time="0.001000000",
        external=True,
    ),
    EngineSuppressed(
        engine="e",
        since_ms=1,
        until_ms=2,
        total=2,
        counts=(("container", "die", 2),),
        engine_time="0.002000000",
        newest="0123456789abcdef",
    ),
    EngineGap(engine="e", until_ms=2, engine_time="0.002000000"),
    EngineFollowed(engine="e", engine_time="0.002000000", newest="0123456789abcdef"),
)
"""An event of every type."""

_OUTCOME: Final = {
    "summary": TEXT,
    "touched": _some(REFS),
    "state_after": _some(STATES),
    "duration_us": _maybe(COUNTS),
    "cancel_requested": _maybe(st.booleans()),
    "reconciled": _maybe(st.booleans()),
}

EVENTS: Final[dict[str, st.SearchStrategy[Event]]] = {
    "command.received": st.builds(
        CommandReceived,
        summary=TEXT,
        arguments=_maybe(st.dictionaries(KEYS, TREES, max_size=3)),
        arguments_mac=_maybe(TEXT),
        argument_names=_some(TEXT),
        transport=TEXT,
        client_name=_maybe(TEXT),
        client_version=_maybe(TEXT),
        executor=TEXT,
    ),
    "command.rejected": st.builds(CommandRejected, summary=TEXT, code=TEXT, message=TEXT),
    "command.planned": st.builds(CommandPlanned, summary=TEXT, part=COUNTS, parts=COUNTS, text=TEXT, plan_sha256=TEXT),
    "command.authorized": st.builds(CommandAuthorized, rule=TEXT, policy_digest=TEXT, executor=_maybe(TEXT)),
    "command.denied": st.builds(CommandDenied, summary=TEXT, rule=TEXT, policy_digest=TEXT, reason=TEXT),
    "command.deferred": st.builds(
        CommandDeferred,
        summary=TEXT,
        rule=TEXT,
        policy_digest=TEXT,
        approvers=_some(TEXT),
        expires_at_ms=COUNTS,
        pinned=_some(STATES),
    ),
    "command.approved": st.builds(
        CommandApproved, summary=TEXT, by=TEXT, by_role=TEXT, decision=TEXT, executor=_maybe(TEXT), comment=_maybe(TEXT)
    ),
    "command.refused": st.builds(CommandRefused, summary=TEXT, by=TEXT, by_role=TEXT, decision=TEXT, reason=TEXT),
    "command.expired": st.builds(CommandExpired, summary=TEXT, reason=TEXT),
    "execution.started": st.builds(
        ExecutionStarted,
        executor=TEXT,
        attempt=COUNTS,
        engine=_maybe(TEXT),
        pinned=_some(STATES),
        planned=_maybe(st.dictionaries(KEYS, TREES, max_size=3)),
        not_after_ms=COUNTS,
        settle_s=COUNTS,
    ),
    "command.succeeded": st.builds(
        CommandSucceeded, result=TREES, result_sha256=_maybe(TEXT), result_bytes=_maybe(COUNTS), **_OUTCOME
    ),
    "command.failed": st.builds(
        CommandFailed,
        code=TEXT,
        message=TEXT,
        hint=_maybe(TEXT),
        retryable=st.booleans(),
        applied=st.sampled_from(get_args(Applied)),
        **_OUTCOME,
    ),
    "command.unknown": st.builds(
        CommandUnknown, summary=TEXT, code=TEXT, message=TEXT, observed=_some(STATES), duration_us=_maybe(COUNTS)
    ),
    "command.cancelled": st.builds(CommandCancelled, summary=TEXT, reason=TEXT),
    "authentication.succeeded": st.builds(AuthenticationSucceeded, source=TEXT),
    "authentication.failed": st.builds(AuthenticationFailed, source=TEXT, reason=TEXT, claimed=_maybe(TEXT)),
    "token.issued": st.builds(TokenIssued, expires_at_s=COUNTS, user=_maybe(TEXT)),
    "user.added": st.builds(UserAdded, user=TEXT, role=TEXT),
    "user.key_rotated": st.builds(UserKeyRotated, user=TEXT, role=TEXT),
    "user.removed": st.builds(UserRemoved, user=TEXT, role=TEXT),
    "calls.suppressed": st.builds(
        CallsSuppressed,
        source=_maybe(TEXT),
        since_ms=COUNTS,
        total=COUNTS,
        codes=st.lists(st.tuples(TEXT, COUNTS), min_size=1, max_size=2).map(tuple),
    ),
    "policy.loaded": st.builds(PolicyLoaded, policy_digest=TEXT, problem=_maybe(TEXT)),
    "server.started": st.builds(ServerStarted, version=TEXT, transport=TEXT, settings_digest=TEXT),
    "server.stopped": st.builds(ServerStopped, reason=TEXT),
    "secrets.forgotten": st.builds(SecretsForgotten, command_id=TEXT, key_id=TEXT),
    "sealing_key.rotated": st.builds(
        SealingKeyRotated, old_key_id=TEXT, new_key_id=TEXT, count=COUNTS, lost=_maybe(st.just(True))
    ),
    "checkpoint.signed": st.builds(
        CheckpointSigned, form=TEXT, log=TEXT, position=COUNTS, head=TEXT, at=TEXT, key_id=TEXT, signature=TEXT
    ),
    "chain.broken": st.builds(ChainBroken, broken_position=_maybe(COUNTS), problem=TEXT),
    "log.archived": st.builds(
        LogArchived, file_name=TEXT, file_sha256=TEXT, first_position=COUNTS, last_position=COUNTS, last_hash=TEXT
    ),
    "log.backed_up": st.builds(LogBackedUp, file_name=TEXT),
    "log.restored": st.builds(
        LogRestored, file_name=TEXT, file_sha256=TEXT, position=COUNTS, head=TEXT, copied_at=TEXT
    ),
    "log.rotated": st.builds(LogRotated, file_name=TEXT),
    "log.continued": st.builds(
        LogContinued,
        log=TEXT,
        position=COUNTS,
        head=TEXT,
        file_name=TEXT,
        file_sha256=TEXT,
        metrics=_maybe(st.dictionaries(KEYS, TREES, max_size=3)),
        world=_maybe(st.dictionaries(st.sampled_from(["objects", "gone", "dropped"]), TREES, max_size=3)),
    ),
    "engine.observed": st.builds(
        EngineObserved,
        engine=TEXT,
        kind=TEXT,
        action=TEXT,
        object_id=TEXT,
        occurred_at_ms=COUNTS,
        engine_time=TEXT,
        external=st.booleans(),
        exit_code=_maybe(INTEGERS),
        **dict.fromkeys(
            ("name", "health", "signal", "image", "container", "container_name", "old_name", "stack"), _maybe(TEXT)
        ),
        **dict.fromkeys(("command_id", "tied_by"), _maybe(TEXT)),
    ),
    "engine.suppressed": st.builds(
        EngineSuppressed,
        engine=TEXT,
        since_ms=COUNTS,
        until_ms=COUNTS,
        total=COUNTS,
        counts=st.lists(st.tuples(TEXT, TEXT, COUNTS), min_size=1, max_size=2).map(tuple),
        engine_time=TEXT,
        newest=TEXT,
    ),
    "engine.gap": st.builds(
        EngineGap, engine=TEXT, since_ms=_maybe(COUNTS), until_ms=COUNTS, engine_time=TEXT, newest=_maybe(TEXT)
    ),
    "engine.followed": st.builds(EngineFollowed, engine=TEXT, engine_time=TEXT, newest=TEXT),
}


_COLUMNS: Final = ("tool", "object", "purpose", "correlation_id", "causation_id", "trace_id", "span_id")


def _enveloped(event: Event, ids: tuple[str, str], texts: list[str | None]) -> NewEvent:
    return NewEvent(
        event_id=ids[0],
        stream=ids[1],
        stream_version=None,
        type=event.type,
        schema_version=event.schema_version,
        principal=texts[0] or "system",
        role="user",
        status=event.status,
        data=event.encode(),
        **dict(zip(_COLUMNS, texts[1:], strict=True)),
    )


_ONE_OF_A_FEW: Final[st.SearchStrategy[Event]] = st.sampled_from(EXAMPLES)


def new_events(events: st.SearchStrategy[Event] = _ONE_OF_A_FEW) -> st.SearchStrategy[NewEvent]:
    """Envelopes with any columns; the event is one of a few unless ``events`` makes more."""
    ids = st.tuples(st.uuids().map(str), st.uuids().map(str))
    texts = st.lists(_maybe(COLUMN), min_size=8, max_size=8)
    return st.builds(_enveloped, events, ids, texts)


def sealed(event: NewEvent, after: RecordedEvent | None, *, wait_ms: int = 0) -> RecordedEvent:
    """The row that follows ``after``."""
    return seal_event(
        event,
        position=after.position + 1 if after else 1,
        version=1,
        at_ms=(after.occurred_at_ms if after else 1_780_000_000_000) + wait_ms,
        previous_hash=after.event_hash if after else None,
    )


@st.composite
def chains(draw: st.DrawFn, least: int = 1, most: int = 5) -> list[RecordedEvent]:
    """An intact chain from its beginning."""
    rows: list[RecordedEvent] = []
    for event in draw(st.lists(new_events(), min_size=least, max_size=most)):
        rows.append(sealed(event, rows[-1] if rows else None, wait_ms=len(event.data)))
    return rows
