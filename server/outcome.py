"""Turns what happened into the event that records it."""

import logging
from typing import Final

from domain.canonical import JSON, NotCanonicalError, canonical_json, sha256_hex
from domain.catalogue.tool import Effect, Result
from domain.errors import DockerMcpError
from domain.events import (
    MAX_DATA_BYTES,
    CommandAuthorized,
    CommandDenied,
    CommandFailed,
    CommandSucceeded,
    CommandUnknown,
    Event,
)
from domain.policy import Decision
from domain.secrets import SEALED_MARK, argument_tree
from domain.text import column_text
from server.call import Job
from server.effect import Happened

MOST_RESULT_BYTES: Final = 16 * 1024
"""Most bytes of a result that the log keeps; of a larger one it keeps digest and size."""

MESSAGE_LIMIT: Final = 1024
_SHORTEST_SECRET: Final = 4
"""Shorter values are not looked for in messages: they would mask ordinary words."""

logger = logging.getLogger(__name__)


def decision_event(job: Job, decision: Decision, executor: str | None = None) -> Event:
    """Return the event for what the policy says; ``executor`` goes on with a command that another process received."""
    if decision.allowed:
        return CommandAuthorized(rule=decision.rule, policy_digest=job.policy_digest, executor=executor)
    return CommandDenied(
        summary=job.summary,
        rule=decision.rule,
        policy_digest=job.policy_digest,
        reason=column_text(decision.reason, MESSAGE_LIMIT),
    )


def outcome_event(job: Job, happened: Happened, duration_us: int) -> Event:
    """Return the event for ``happened``; secrets of the command are masked in its error, also for the caller.

    What does not fit into an event is left out rather than the event: an outcome has to be recorded.
    """
    event = _outcome(job, happened, duration_us)
    if not happened.state_after:
        return event
    try:
        if len(event.encode().encode()) <= MAX_DATA_BYTES:
            return event
    except NotCanonicalError:
        logger.exception("command %s: the state after it has no canonical form", job.command_id)
    happened.state_after = ()
    return _outcome(job, happened, duration_us)


def _outcome(job: Job, happened: Happened, duration_us: int) -> Event:
    if happened.error is None and happened.result is not None:
        return _succeeded(job, happened, happened.result, duration_us)
    error = happened.error = _masked(happened.error or DockerMcpError("no result"), job)
    if error.applied == "unknown" and not happened.change_asked:
        error.hint = "nothing was changed; call again"
    uncertain = error.applied == "unknown" or error.code == "internal_error"
    if uncertain and happened.change_asked and job.tool.effect is not Effect.READ:
        return CommandUnknown(
            summary=job.summary,
            code=error.code,
            message=error.message,
            observed=happened.state_after,
            duration_us=duration_us,
        )
    return CommandFailed(
        summary=job.summary,
        code=error.code,
        message=error.message,
        hint=error.hint or None,
        retryable=error.retryable,
        applied="none" if error.applied == "unknown" else error.applied,
        state_after=happened.state_after,
        duration_us=duration_us,
        cancel_requested=job.cancel_requested or None,
    )


def _succeeded(job: Job, happened: Happened, result: Result, duration_us: int) -> CommandSucceeded:
    size = len(result.text)
    kept = job.tool.effect is not Effect.READ and size <= MOST_RESULT_BYTES and _is_canonical(result.content)
    return CommandSucceeded(
        summary=job.summary,
        result=result.content if kept else None,
        result_sha256=sha256_hex(result.text),
        result_bytes=size,
        touched=result.touched(),
        state_after=happened.state_after,
        duration_us=duration_us,
        cancel_requested=job.cancel_requested or None,
    )


def _is_canonical(tree: JSON) -> bool:
    try:
        canonical_json(tree)
    except NotCanonicalError:
        return False
    return True


def _masked(error: DockerMcpError, job: Job) -> DockerMcpError:
    """Replace the command's secrets in the message: the engine may have quoted them."""
    secrets: set[str] = set()

    def collect(_place: str, value: str) -> JSON:
        secrets.add(value)
        return None

    argument_tree(job.command, collect)
    if job.plan:
        job.plan.sealed(collect)
    message = error.message
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            message = message.replace(secret, SEALED_MARK)
    error.args = (column_text(message, MESSAGE_LIMIT),)
    return error
