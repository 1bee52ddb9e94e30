"""Decides whether a principal may carry out a command: allowed or denied."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from domain.access.auth_file import ApprovalRule, AuthFile, RoleRules, Rule
from domain.catalogue.tool import Effect
from domain.host_safety.asks import Ask
from domain.host_safety.judge import judged
from domain.principal import Principal

_MOST_REASONS: Final = 5


class Verdict(StrEnum):
    """What a decision says."""

    ALLOW = "allow"
    DENY = "deny"
    OPEN = "open"
    """It depends on the objects, which are not known yet."""
    DEFER = "defer"
    """Allowed once somebody else has approved it."""


@dataclass(frozen=True, slots=True)
class Touched:
    """An object that a command touches or makes, as rules see it: ``container/web`` and its labels."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy says of one command, by which rule, and why."""

    verdict: Verdict
    rule: str
    reason: str
    approval: ApprovalRule | None = None
    """Says who may approve the command, if it is deferred."""

    @property
    def allowed(self) -> bool:
        return self.verdict is Verdict.ALLOW


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What the operator narrows a server to, whatever the roles say."""

    read_only: bool = False
    tools: frozenset[str] | None = None

    def refuses(self, tool: str, effect: Effect) -> str | None:
        """Return why this server does not run the tool for anybody, None if it may."""
        if self.read_only and effect is not Effect.READ:
            return "this server is read-only"
        if self.tools is not None and tool not in self.tools:
            return "this server does not offer the tool"
        return None


MaySee = Callable[[str, Mapping[str, str]], bool]
"""Tells by name (``container/web``) and labels whether an object may be shown."""


@dataclass(frozen=True, slots=True)
class Host:
    """What the rules of host safety have to know of the engine's host.

    Attributes:
        resolve: returns the real path of a path there; None if it is another host than ours.
        protected: paths that stay closed whatever is opened: the server's own.
    """

    resolve: Callable[[str], str] | None = None
    protected: tuple[str, ...] = ()


class Policy:
    """The rules of an auth file, as narrowed by the operator. What no rule allows is denied."""

    def __init__(self, rules: AuthFile, narrowing: Narrowing = Narrowing(), host: Host = Host()) -> None:
        self._rules = rules
        self._narrowing = narrowing
        self._host = host
        self.digest: Final = rules.digest
        """Names this set of rules in every decision that is recorded."""

    def decide(
        self,
        principal: Principal,
        tool: str,
        effect: Effect,
        objects: Sequence[Touched] | None = None,
        *,
        approved: bool = False,
    ) -> Decision:
        """Return what ``principal`` may do.

        Args:
            principal: who asks.
            tool: the name of the tool or prompt.
            effect: what this call of it does.
            objects: what it touches; None if that is not known yet, then the verdict may be ``open``.
            approved: nobody else has to approve it, or somebody has.
        """
        if why := self._narrowing.refuses(tool, effect):
            return Decision(Verdict.DENY, "server", why)
        role = self._rules.role(principal.role)
        name = f"role-{principal.role}"
        if role is None:
            return Decision(Verdict.DENY, name, f"role {principal.role} is not defined")
        allowing = [rule for rule in role.allow if rule.fits_call(tool, effect)]
        denying = [rule for rule in role.deny if rule.fits_call(tool, effect)]
        if not allowing or any(not rule.about_objects for rule in denying):
            return Decision(Verdict.DENY, name, f"role {principal.role} may not {effect} with {tool}")
        holding = [] if approved else self._holding(principal, tool, effect)
        if objects is None:
            if denying or holding or all(rule.about_objects for rule in allowing):
                return Decision(Verdict.OPEN, name, "it depends on the objects")
            objects = ()
        for touched in objects:
            if not _fits(allowing, touched) or _fits(denying, touched):
                return Decision(Verdict.DENY, name, f"role {principal.role} may not {effect} what this call touches")
        for number, rule in holding:
            if not rule.about_objects or any(_fits([rule], touched) for touched in objects):
                why = f"waits for approval by {' or '.join(rule.approvers)}"
                return Decision(Verdict.DEFER, f"approval-{number}", why, rule)
        return Decision(Verdict.ALLOW, name, f"role {principal.role} may {effect}")

    def _holding(self, principal: Principal, tool: str, effect: Effect) -> list[tuple[int, ApprovalRule]]:
        """Return the approval rules that may hold back the call, with their numbers in the file."""
        return [
            (number, rule)
            for number, rule in enumerate(self._rules.approvals, 1)
            if rule.fits_caller(principal.role) and rule.fits_call(tool, effect)
        ]

    def host_denial(self, asks: Iterable[Ask]) -> Decision | None:
        """Return the denial of what is asked of the engine's host, None if all of it is allowed."""
        found = judged(asks, self._rules.host_safety, self._host.resolve, self._host.protected)
        if not found:
            return None
        more = f"; and {len(found) - _MOST_REASONS} more" if len(found) > _MOST_REASONS else ""
        reasons = "; ".join(violation.message for violation in found[:_MOST_REASONS])
        return Decision(Verdict.DENY, found[0].rule, reasons + more)

    def offers(self, principal: Principal, tool: str, effect: Effect) -> bool:
        """Return whether ``principal`` could ever call the tool with this effect."""
        return self.decide(principal, tool, effect).verdict is not Verdict.DENY

    def sight(self, principal: Principal, tool: str, effect: Effect) -> MaySee:
        """Return what tells which objects a list may show to ``principal``."""
        role = self._rules.role(principal.role) or RoleRules()
        allowing = [rule for rule in role.allow if rule.fits_call(tool, effect)]
        denying = [rule for rule in role.deny if rule.fits_call(tool, effect) and rule.about_objects]

        def may_see(name: str, labels: Mapping[str, str]) -> bool:
            touched = Touched(name, labels)
            return _fits(allowing, touched) and not _fits(denying, touched)

        return may_see

    def sees_all_records(self, principal: Principal) -> bool:
        """Return whether the audit trail shows ``principal`` the records of others."""
        role = self._rules.role(principal.role)
        return role is not None and role.audit == "all"


def _fits(rules: Sequence[Rule], touched: Touched) -> bool:
    return any(rule.fits_object(touched.name, touched.labels) for rule in rules)
