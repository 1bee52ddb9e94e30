"""How the effect of an interrupted command on a stack is recognised; see :mod:`domain.catalogue.recognise`."""

from collections.abc import Callable, Sequence

from domain.catalogue.recognise import Evidence, Recogniser, Verdict, about_existing, restarted, started, stopped
from domain.objects import ObjectRef, ObjectState
from domain.stacks.state import Member, by_service, changes, members_of


@about_existing
def stack_deployed(evidence: Evidence) -> Verdict:
    """Judge by Compose's configuration hashes: every service has its containers, made as planned."""
    before, now = members_of(evidence.before[0]), _members(evidence.now[0])
    services = by_service(now)
    touched = tuple(member.ref for member in now)
    planned = (evidence.planned or {}).get("services", [])
    if planned and all(_stands(services.get(name, []), config, count) for name, config, count in planned):
        orphans = set(services) - {name for name, _, _ in planned}
        if not orphans:
            return Verdict("yes", "every service runs with the planned configuration", touched)
    changed = {service: change for service, change in changes(before, now).items() if change != "unchanged"}
    if not changed:
        return Verdict("no", "no container of the stack was made, started or removed")
    told = ", ".join(f"{service} {change}{_unfit(services.get(service, []))}" for service, change in changed.items())
    return Verdict("partial", f"the stack is not as planned: {told}", touched)


@about_existing
def stack_removed(evidence: Evidence) -> Verdict:
    """Judge by what is left: containers and networks by id, volumes by name if they were to go."""
    before, now = evidence.before[0], evidence.now[0]
    kinds = ["containers", "networks", *(["volumes"] if evidence.arguments.get("volumes") else [])]
    had = {str(item) for kind in kinds for item in _identities(before, kind)}
    left = {str(item) for kind in kinds for item in _identities(now, kind)} & had if now else set()
    if now and before.facts.get("containers_total", 0) > len(members_of(before)) and now.facts["containers_total"]:
        return Verdict("partial", f"{now.facts['containers_total']} containers of the stack are left")
    if not left:
        return Verdict("yes", "nothing is left of the stack")
    if left == had:
        return Verdict("no", "the stack stands as before")
    return Verdict("partial", f"{len(left)} of {len(had)} objects of the stack are left")


def for_each(rule: Recogniser) -> Recogniser:
    """Return the rule that judges each container of a stack (or of the service that was named) by ``rule``."""

    @about_existing
    def judge(evidence: Evidence) -> Verdict:
        service = evidence.arguments.get("service")
        now = {member.id: member for member in _members(evidence.now[0])}
        verdicts = [
            rule(Evidence(arguments={}, before=(_as_container(member),), now=(_found(now, member),)))
            for member in members_of(evidence.before[0])
            if service in (None, member.service)
        ]
        applied = {verdict.applied for verdict in verdicts}
        if len(applied) == 1 or "unknown" in applied:
            return max(verdicts, key=lambda verdict: verdict.applied == "unknown")
        yes = sum(verdict.applied == "yes" for verdict in verdicts)
        return Verdict("partial", f"{yes} of {len(verdicts)} containers were changed") if verdicts else _NOTHING

    return judge


_NOTHING = Verdict("no", "the stack had no containers")

stack_started: Callable[[Evidence], Verdict] = for_each(started)
stack_stopped: Callable[[Evidence], Verdict] = for_each(stopped)
stack_restarted: Callable[[Evidence], Verdict] = for_each(restarted)


def _members(state: ObjectState | None) -> list[Member]:
    return members_of(state) if state else []


def _stands(members: Sequence[Member], config: str, count: int) -> bool:
    made = [member for member in members if member.config == config and member.status in ("running", "exited")]
    return len(made) == len(members) == count


def _unfit(members: Sequence[Member]) -> str:
    """Return in which states containers are that neither run nor have ended."""
    states = {"not started" if member.status == "created" else member.status for member in members}
    unfit = ", ".join(sorted(states - {"running", "exited"}))
    return f" ({unfit})" if unfit else ""


def _identities(state: ObjectState, kind: str) -> list[str]:
    if kind == "containers":
        return [member.id for member in members_of(state)]
    return [item[0] if isinstance(item, list) else item for item in state.facts.get(kind, [])]


def _as_container(member: Member) -> ObjectState:
    facts = {
        "status": member.status,
        "running": member.status == "running",
        "started_at": member.started_at,
        "finished_at": member.finished_at,
    }
    return ObjectState(**ObjectRef.model_dump(member.ref), facts=facts)


def _found(now: dict[str, Member], member: Member) -> ObjectState | None:
    return _as_container(now[member.id]) if member.id in now else None
