"""How the effect of an interrupted command is recognised: pure judgements over what was observed.

Each rule compares the state recorded before the command with the state found once the engine has had time to finish.
A rule never repeats a command. What it cannot tell is ``unknown``, and stays so until someone looks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from domain.canonical import JSON
from domain.objects import Kind, ObjectRef, ObjectState


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of an interrupted command.

    Attributes:
        arguments: as recorded, secrets sealed.
        before: the pinned objects as they were when the command started.
        now: the same objects as found now; None where the object is gone.
        made: the objects that carry the command's label.
    """

    arguments: Mapping[str, JSON]
    before: tuple[ObjectState, ...]
    now: tuple[ObjectState | None, ...]
    made: tuple[ObjectState, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the effect happened: ``yes``, ``no``, ``partial`` or ``unknown``; why; and which objects it made."""

    applied: Literal["yes", "no", "partial", "unknown"]
    reason: str
    touched: tuple[ObjectRef, ...] = ()


Recogniser = Callable[[Evidence], Verdict]


def container_created(evidence: Evidence) -> Verdict:
    """Judge by our label; a container that should run but was never started is only a part of the effect."""
    if not evidence.made:
        return Verdict("no", "no container carries the command's label")
    touched = tuple(made.ref for made in evidence.made)
    if evidence.arguments.get("start", True) and not evidence.made[0].facts.get("started_at"):
        return Verdict("partial", "the container was created but never started", touched)
    return Verdict("yes", "a container carries the command's label", touched)


def network_created(evidence: Evidence) -> Verdict:
    """Judge by our label."""
    if not evidence.made:
        return Verdict("no", "no network carries the command's label")
    return Verdict("yes", "a network carries the command's label", tuple(made.ref for made in evidence.made))


def removed(evidence: Evidence) -> Verdict:
    """Judge by id: ids are never used again."""
    now = evidence.now[0]
    if now is None:
        return Verdict("yes", "the object no longer exists")
    if now.facts.get("status") in ("removing", "dead"):
        return Verdict("unknown", "the engine is still removing the object")
    return Verdict("no", "the object still exists")


def started(evidence: Evidence) -> Verdict:
    """Judge by the time of the last start."""
    before, now = evidence.before[0], evidence.now[0]
    if now is None:
        return Verdict("unknown", "the container no longer exists")
    if now.facts.get("started_at") != before.facts.get("started_at"):
        return Verdict("yes", "the container was started since")
    if now.facts.get("running"):
        return Verdict("yes", "the container was already running")
    return Verdict("no", "the container was not started")


def stopped(evidence: Evidence) -> Verdict:
    """Judge by the time of the last end."""
    before, now = evidence.before[0], evidence.now[0]
    if now is None:
        return Verdict("unknown", "the container no longer exists")
    if now.facts.get("finished_at") != before.facts.get("finished_at"):
        return Verdict("yes", "the container has ended since")
    if not now.facts.get("running"):
        return Verdict("yes", "the container was not running")
    return Verdict("no", "the container still runs, as before")


def restarted(evidence: Evidence) -> Verdict:
    """Judge by the times of the last end and start; an ended container that did not come back is left to a person."""
    before, now = evidence.before[0], evidence.now[0]
    if now is None:
        return Verdict("unknown", "the container no longer exists")
    if now.facts.get("started_at") != before.facts.get("started_at"):
        return Verdict("yes", "the container was started again since")
    if now.facts.get("finished_at") != before.facts.get("finished_at"):
        return Verdict("unknown", "the container has ended and was not started again")
    return Verdict("no", "the container runs as before")


def connected(evidence: Evidence) -> Verdict:
    """Judge by the container's endpoint in the network."""
    endpoints = _endpoints(evidence)
    if endpoints is None:
        return Verdict("unknown", "the container or the network no longer exists")
    before, now = endpoints
    if now and now != before:
        return Verdict("yes", "the container has an endpoint in the network")
    return Verdict("no", "the container's endpoints are as before")


def disconnected(evidence: Evidence) -> Verdict:
    """Judge by the container's endpoint in the network."""
    endpoints = _endpoints(evidence)
    if endpoints is None:
        return Verdict("unknown", "the container or the network no longer exists")
    before, now = endpoints
    if before and now != before:
        return Verdict("yes", "the container's endpoint is gone")
    return Verdict("no", "the container's endpoints are as before")


def pulled(evidence: Evidence) -> Verdict:
    """Judge by the id behind the name; pulling again is harmless, so an unchanged image counts as not pulled."""
    before, now = evidence.before[0], evidence.now[0]
    if now is not None and now.id != before.id:
        return Verdict("yes", "the image has arrived", (now.ref,))
    return Verdict("no", "the image is as before")


def _endpoints(evidence: Evidence) -> tuple[str | None, str | None] | None:
    """Return the container's endpoint id in the network before and now; None if one of the two is gone."""
    if None in evidence.now:
        return None
    network = next(state for state in evidence.before if state.kind is Kind.NETWORK)

    def endpoint(states: tuple[ObjectState | None, ...]) -> str | None:
        container = next(state for state in states if state and state.kind is Kind.CONTAINER)
        attached = container.facts.get("networks", [])
        return next((end for _, network_id, end in attached if network_id == network.id), None)

    return endpoint(evidence.before), endpoint(evidence.now)
