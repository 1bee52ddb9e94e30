"""Rules that decide whether a principal may run a tool."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from domain.canonical import canonical_json, sha256_hex
from domain.catalogue.tool import Effect
from domain.principal import Principal, Role


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy says of one command: allowed or not, by which rule, and why."""

    allowed: bool
    rule: str
    reason: str


class Policy:
    """Decides by role and effect. What no rule allows is denied."""

    def __init__(self, allowed: Mapping[Role, frozenset[Effect]]) -> None:
        self._allowed = allowed
        rules = {role.value: sorted(effect.value for effect in effects) for role, effects in allowed.items()}
        self.digest: Final = sha256_hex(canonical_json(rules))[:16]
        """Names this set of rules in every decision that is recorded."""

    def decide(self, principal: Principal, effect: Effect) -> Decision:
        """Return whether ``principal`` may run a tool with this effect."""
        rule = f"role-{principal.role}"
        if effect in self._allowed.get(principal.role, frozenset()):
            return Decision(True, rule, f"role {principal.role} may {effect}")
        return Decision(False, rule, f"role {principal.role} may not {effect}")


DEFAULT_POLICY: Final = Policy(
    {
        Role.ADMIN: frozenset(Effect),
        Role.USER: frozenset({Effect.READ}),
    }
)
