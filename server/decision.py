"""Puts a call before the rules: what they say before Docker is looked at, and what once its objects are known."""

from collections.abc import Callable, Iterable, Sequence

from adapters import spans
from domain.catalogue.tool import AnyTool, Effect
from domain.errors import DeniedError
from domain.host_safety.asks import Ask
from domain.objects import ObjectState, Touched, column_name, touched
from domain.policy import Decision, Policy, Verdict
from domain.principal import ANONYMOUS, Principal
from server.call import Job, Sight


def first_decision(policy: Policy, job: Job) -> Decision:
    """Return what the policy says of a job before Docker is looked at.

    If it depends on the objects, the verdict is ``open`` and ``job.judge`` decides once they are known.
    """
    return _traced(lambda: _first_decision(policy, job))


def _traced(decide: Callable[[], Decision]) -> Decision:
    with spans.span("policy", {}) as current:
        decision = decide()
        current.set_attribute("docker_mcp.policy.verdict", decision.verdict)
        current.set_attribute("docker_mcp.policy.rule", decision.rule)
        return decision


def _first_decision(policy: Policy, job: Job) -> Decision:
    tool, principal = job.tool, job.caller.principal
    if tool.open_to_all:
        return Decision(Verdict.ALLOW, "open-to-all", "everybody may")
    if principal == ANONYMOUS:
        return Decision(Verdict.DENY, "unauthenticated", "credentials are missing or not valid")
    effect = tool.effect_of(job.command)

    def decide(objects: Sequence[Touched] | None) -> Decision:
        images = tool.images(job.command, job.plan)
        return policy.decide(
            principal, tool.name, effect, objects, images, deferrable=tool.deferrable, approved_by=job.approved_by
        )

    def judge(pinned: Sequence[ObjectState]) -> Decision:
        decision = decide(_touched(job, pinned))
        if not decision.allowed:
            return decision
        if job.approved_for and not _are_the_same(job.approved_for, pinned):
            return Decision(Verdict.DENY, "approval", "what it was approved for is gone or was replaced since")
        if tool.judge and (why := tool.judge(principal, pinned)):
            return Decision(Verdict.DENY, "approval", why)
        return decision

    needs_a_look = bool(tool.targets or tool.prepare or tool.uses(job.command))
    decision = decide(None if needs_a_look else _touched(job, ()))
    if not tool.prepare and decision.verdict is not Verdict.DENY:
        decision = policy.host_denial(tool.asks(job.command, None)) or decision
    if decision.verdict is Verdict.OPEN or (decision.allowed and (tool.judge or job.approved_for)):
        job.judge = lambda pinned: _traced(lambda: judge(pinned))
    return decision


def sight_of(policy: Policy, principal: Principal, tool: AnyTool, effect: Effect) -> Sight:
    """Return what a principal may see with a tool, and ask of the host."""

    def check_host(asks: Iterable[Ask]) -> None:
        if denial := policy.host_denial(asks):
            raise DeniedError(denial.reason)

    sight = policy.sight(principal, tool.name, effect)
    return Sight(sight, policy.sees_all_records(principal), policy.reads_secrets(principal), check_host)


def _are_the_same(then: Sequence[ObjectState], now: Sequence[ObjectState]) -> bool:
    """Return whether the targets found now, which come first, are those of then: names can come to mean others."""
    return [(state.kind, state.id) for state in then] == [(state.kind, state.id) for state in now[: len(then)]]


def _touched(job: Job, pinned: Sequence[ObjectState]) -> list[Touched]:
    """Return the objects of a command as rules see them: those found, else as the caller names them."""
    tool, command = job.tool, job.command
    if job.plan:
        return list(job.plan.touched(pinned))
    found = [touched(state) for state in pinned]
    named = [each for each in (tool.creates, *(() if pinned else (tool.about, *tool.targets))) if each]
    labels = (getattr(command, "labels", None) or {}) if tool.creates else {}
    return found + [Touched(column_name(each.kind, getattr(command, each.field) or ""), labels) for each in named]
