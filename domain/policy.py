"""Decides whether a principal may carry out a command: allowed or denied."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.access.auth_file import ApprovalRule, AuthFile, RoleRules, Rule
from domain.access.images import Image
from domain.catalogue.tool import Effect, MaySee, sees_all
from domain.host_safety.asks import Ask
from domain.host_safety.judge import judged
from domain.objects import Touched
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


@dataclass(frozen=True, slots=True)
class Host:
    """What the rules of host safety have to know of the engine's host.

    Attributes:
        resolve: returns the real path of a path there; None if it is another host than ours.
        protected: paths that stay closed whatever is opened: the server's own.
    """

    resolve: Callable[[str], str] | None = None
    protected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Fitting:
    """The rules that are about a call, by its tool and effect and, once they are known, by its images."""

    allow: tuple[Rule, ...]
    deny: tuple[Rule, ...]
    hold: tuple[tuple[int, ApprovalRule], ...]

    def about(self, images: Sequence[Image]) -> "_Fitting":
        """Return those that are about a call which names these images."""
        return _Fitting(
            tuple(rule for rule in self.allow if rule.allows_images(images)),
            tuple(rule for rule in self.deny if rule.denies_images(images)),
            tuple((number, rule) for number, rule in self.hold if rule.denies_images(images)),
        )

    def refuse(self, *, images_known: bool) -> bool:
        """Return whether the call is denied whatever it touches."""
        return not self.allow or any(
            not rule.about_objects and (images_known or rule.images is None) for rule in self.deny
        )

    def depend(self, *, images_known: bool) -> bool:
        """Return whether the verdict depends on what the call touches, or on images that are not known yet."""
        open_images = not images_known and any(rule.images is not None for rule in self.allow)
        return bool(self.deny or self.hold) or open_images or all(rule.about_objects for rule in self.allow)


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
        images: Sequence[str] | None = (),
        *,
        deferrable: bool = True,
        approved_by: str | None = None,
    ) -> Decision:
        """Return what ``principal`` may do.

        Args:
            principal: who asks.
            tool: the name of the tool or prompt.
            effect: what this call of it does.
            objects: what it touches; None if that is not known yet, then the verdict may be ``open``.
            images: the images that it names; None if they are not known yet.
            deferrable: somebody else may have to approve it.
            approved_by: the role of who has.
        """
        if why := self._narrowing.refuses(tool, effect):
            return Decision(Verdict.DENY, "server", why)
        role = self._rules.role(principal.role)
        name = f"role-{principal.role}"
        if role is None:
            return Decision(Verdict.DENY, name, f"role {principal.role} is not defined")
        rules = _Fitting(
            tuple(rule for rule in role.allow if rule.fits_call(tool, effect)),
            tuple(rule for rule in role.deny if rule.fits_call(tool, effect)),
            self._holding(principal, tool, effect) if deferrable else (),
        )
        if rules.refuse(images_known=False):
            return Decision(Verdict.DENY, name, f"role {principal.role} may not {effect} with {tool}")
        if images is not None:
            rules = rules.about([Image.parse(image) for image in images])
            if rules.refuse(images_known=True):
                return Decision(Verdict.DENY, name, f"role {principal.role} may not {effect} with these images")
        if (objects is None or images is None) and rules.depend(images_known=images is not None):
            return Decision(Verdict.OPEN, name, "it depends on the objects")
        if not all(_allow(rules.allow, touched) and not _deny(rules.deny, touched) for touched in objects or ()):
            return Decision(Verdict.DENY, name, f"role {principal.role} may not {effect} what this call touches")
        held = _held(rules.hold, objects or (), approved_by)
        return held or Decision(Verdict.ALLOW, name, f"role {principal.role} may {effect}")

    def _holding(self, principal: Principal, tool: str, effect: Effect) -> tuple[tuple[int, ApprovalRule], ...]:
        """Return the approval rules that may hold back the call, with their numbers in the file."""
        return tuple(
            (number, rule)
            for number, rule in enumerate(self._rules.approvals, 1)
            if rule.fits_caller(principal.role) and rule.fits_call(tool, effect)
        )

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
        return self.decide(principal, tool, effect, images=None).verdict is not Verdict.DENY

    def sight(self, principal: Principal, tool: str, effect: Effect) -> MaySee:
        """Return what tells which objects a list may show to ``principal``."""
        role = self._rules.role(principal.role) or RoleRules()
        allowing = [rule for rule in role.allow if rule.fits_call(tool, effect)]
        denying = [rule for rule in role.deny if rule.fits_call(tool, effect) and rule.images is None]
        if not denying and not all(rule.about_objects for rule in allowing):
            return sees_all

        def may_see(name: str, labels: Mapping[str, str], parts: tuple[Touched, ...] = ()) -> bool:
            touched = Touched(name, labels, parts)
            return _allow(allowing, touched) and not _deny(denying, touched)

        return may_see

    def sees_all_records(self, principal: Principal) -> bool:
        """Return whether the audit trail shows ``principal`` the records of others."""
        role = self._rules.role(principal.role)
        return role is not None and role.audit == "all"

    def reads_secrets(self, principal: Principal) -> bool:
        """Return whether inspections show ``principal`` the values of environments."""
        role = self._rules.role(principal.role)
        return role is not None and role.secrets == "readable"


def _held(
    rules: Sequence[tuple[int, ApprovalRule]], objects: Sequence[Touched], approved_by: str | None
) -> Decision | None:
    """Return what the first rule that holds the call back decides, None if none does or one of its approvers agreed."""
    for number, rule in rules:
        if rule.about_objects and not any(_deny([rule], touched) for touched in objects):
            continue
        if approved_by is None:
            why = f"waits for approval by {' or '.join(rule.approvers)}"
            return Decision(Verdict.DEFER, f"approval-{number}", why, rule)
        if approved_by not in rule.approvers:
            return Decision(Verdict.DENY, f"approval-{number}", f"role {approved_by} may not approve it any more")
        return None
    return None


def _allow(rules: Sequence[Rule], touched: Touched) -> bool:
    """Return whether one of the rules fits: a stack by its own name, and by labels that every part of it bears."""
    bearers = touched.parts or (touched,)
    return any(
        rule.fits_name(touched.name, surely=True) and all(rule.fits_labels(each.labels) for each in bearers)
        for rule in rules
    )


def _deny(rules: Sequence[Rule], touched: Touched) -> bool:
    """Return whether one of the rules fits the object or any part of it."""
    return any(
        rule.fits_name(each.name, surely=False) and rule.fits_labels(each.labels)
        for rule in rules
        for each in (touched, *touched.parts)
    )
