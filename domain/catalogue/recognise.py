"""How the effect of an interrupted command is recognised: pure judgements over what was observed.

Each rule compares the state recorded before the command with the state found once the engine has had time to finish.
A rule never repeats a command. What it cannot tell is ``unknown``, and stays so until someone looks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Literal

from domain.canonical import JSON
from domain.objects import Kind, ObjectRef, ObjectState


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of an interrupted command.

    Attributes:
        command_id: the command's.
        arguments: as recorded, secrets sealed.
        before: the pinned objects as they were when the command started.
        now: the same objects as found now; None where the object is gone.
        made: the objects that carry the command's label.
        planned: the facts of the command's plan, if it has one.
    """

    command_id: str = ""
    arguments: Mapping[str, JSON]
    before: tuple[ObjectState, ...]
    now: tuple[ObjectState | None, ...]
    made: tuple[ObjectState, ...] = ()
    planned: Mapping[str, JSON] | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the effect happened: ``yes``, ``no``, ``partial`` or ``unknown``; why; and which objects it made."""

    applied: Literal["yes", "no", "partial", "unknown"]
    reason: str
    touched: tuple[ObjectRef, ...] = ()


Recogniser = Callable[[Evidence], Verdict]


def about_existing(rule: Recogniser) -> Recogniser:
    """Let ``rule`` judge only if its objects were found: a command that found none has asked nothing of the engine."""

    @wraps(rule)
    def judge(evidence: Evidence) -> Verdict:
        return rule(evidence) if evidence.before else Verdict("no", "nothing was asked of the engine")

    return judge


def container_created(evidence: Evidence) -> Verdict:
    """Judge by our label; a container that was never started, or lacks a network, is only a part of the effect."""
    touched = tuple(made.ref for made in evidence.made)
    if len(touched) != 1:
        return _not_one(touched, "container")
    facts = evidence.made[0].facts
    if evidence.arguments.get("start", True):  # the last step: it implies the others
        if not facts.get("started_at"):
            return Verdict("partial", "the container was created but never started", touched)
    elif len(facts.get("networks", ())) < len(set(evidence.arguments.get("networks", ()))):
        return Verdict("partial", "the container was created but not connected to all its networks", touched)
    return Verdict("yes", "a container carries the command's label", touched)


def _not_one(touched: tuple[ObjectRef, ...], kind: str) -> Verdict:
    if not touched:
        return Verdict("no", f"no {kind} carries the command's label")
    return Verdict("unknown", f"{len(touched)} {kind}s carry the command's label: remove all but one", touched)


def network_created(evidence: Evidence) -> Verdict:
    """Judge by our label; engines before 25 may hold two networks of one name."""
    touched = tuple(made.ref for made in evidence.made)
    if len(touched) != 1:
        return _not_one(touched, "network")
    return Verdict("yes", "a network carries the command's label", touched)


@about_existing
def removed(evidence: Evidence) -> Verdict:
    """Judge by id: ids are never used again."""
    now = evidence.now[0]
    if now is None:
        return Verdict("yes", "the object no longer exists")
    if now.facts.get("status") in ("removing", "dead"):
        return Verdict("unknown", "the engine is still removing the object")
    return Verdict("no", "the object still exists")


@about_existing
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


@about_existing
def stopped(evidence: Evidence) -> Verdict:
    """Judge by the time of the last end; of a container that runs again nobody knows who ended it."""
    before, now = evidence.before[0], evidence.now[0]
    if now is None:
        return Verdict("unknown", "the container no longer exists")
    ended = now.facts.get("finished_at") != before.facts.get("finished_at")
    if not now.facts.get("running"):
        return Verdict("yes", "the container has ended since" if ended else "the container was not running")
    if ended:
        return Verdict("unknown", "the container has ended since and runs again")
    return Verdict("no", "the container still runs, as before")


@about_existing
def restarted(evidence: Evidence) -> Verdict:
    """Judge by the times of the last end and start; what a restart policy may have done is left to a person."""
    before, now = evidence.before[0], evidence.now[0]
    if now is None:
        return Verdict("unknown", "the container no longer exists")
    if now.facts.get("restart_count", 0) > before.facts.get("restart_count", 0):
        return Verdict("unknown", "the container's restart policy has started it again since")
    if now.facts.get("started_at") != before.facts.get("started_at"):
        return Verdict("yes", "the container was started again since")
    if now.facts.get("finished_at") != before.facts.get("finished_at"):
        return Verdict("unknown", "the container has ended and was not started again")
    return Verdict("no", "the container runs as before")


@about_existing
def connected(evidence: Evidence) -> Verdict:
    """Judge by whether the container is in the network."""
    if None in evidence.now:
        return Verdict("unknown", "the container or the network no longer exists")
    before, now = _endpoint(evidence, evidence.before), _endpoint(evidence, evidence.now)
    if before is None and now is not None:
        return Verdict("yes", "the container has joined the network")
    return Verdict("no", f"the container is {'not' if now is None else 'still'} in the network")


@about_existing
def disconnected(evidence: Evidence) -> Verdict:
    """Judge by whether the container is in the network; if it came back by another endpoint, nobody knows why."""
    if None in evidence.now:
        return Verdict("unknown", "the container or the network no longer exists")
    before, now = _endpoint(evidence, evidence.before), _endpoint(evidence, evidence.now)
    if before is not None and now is None:
        return Verdict("yes", "the container has left the network")
    if before and now and now != before:
        return Verdict("unknown", "the container is in the network by another endpoint")
    return Verdict("no", f"the container is {'not' if now is None else 'still'} in the network")


@about_existing
def pulled(evidence: Evidence) -> Verdict:
    """Judge by the id behind the name; pulling again is harmless, so an unchanged image counts as not pulled."""
    before, now = evidence.before[0], evidence.now[0]
    if now is not None and now.id != before.id:
        return Verdict("yes", "the image has arrived", (now.ref,))
    return Verdict("no", "no other image has arrived under that name")


@about_existing
def decided(evidence: Evidence) -> Verdict:
    """Judge by which command the decision about a deferred command came from."""
    now = evidence.now[0]
    if now is not None and now.facts.get("decision") == evidence.command_id:
        return Verdict("yes", "the decision is recorded")
    return Verdict("no", "the decision is not recorded")


def _endpoint(evidence: Evidence, states: tuple[ObjectState | None, ...]) -> str | None:
    """Return the id of the container's endpoint in the network, None if it is not in the network.

    The engine gives a container that does not run an empty endpoint id, and an empty network id until it runs.
    """
    network = next(state for state in evidence.before if state.kind is Kind.NETWORK)
    container = next(state for state in states if state and state.kind is Kind.CONTAINER)
    for name, network_id, endpoint_id in container.facts.get("networks", []):
        if network_id == network.id or (not network_id and name == network.name):
            return str(endpoint_id)
    return None
