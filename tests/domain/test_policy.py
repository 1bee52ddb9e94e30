"""What a role does not allow is denied."""

import pytest

from domain.catalogue.tool import Effect
from domain.policy import DEFAULT_POLICY, Policy
from domain.principal import SYSTEM, Principal, Role

ALLOWED = {
    (Role.ADMIN, Effect.READ),
    (Role.ADMIN, Effect.CREATE),
    (Role.ADMIN, Effect.MUTATE),
    (Role.ADMIN, Effect.DESTROY),
    (Role.USER, Effect.READ),
}


@pytest.mark.promise("P7")
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("effect", Effect)
def test_a_role_may_do_what_the_table_says_and_nothing_else(role: Role, effect: Effect) -> None:
    decision = DEFAULT_POLICY.decide(Principal("alice", role), effect)

    assert decision.allowed == ((role, effect) in ALLOWED)
    assert decision.rule == f"role-{role.value}"
    assert decision.reason == f"role {role.value} {'may' if decision.allowed else 'may not'} {effect.value}"


@pytest.mark.promise("P7")
@pytest.mark.parametrize("effect", Effect)
def test_a_policy_without_rules_denies_everything(effect: Effect) -> None:
    assert not Policy({}).decide(Principal("alice", Role.ADMIN), effect).allowed
    assert not Policy({Role.ADMIN: frozenset()}).decide(Principal("alice", Role.ADMIN), effect).allowed


@pytest.mark.promise("P7")
def test_the_server_itself_may_do_nothing_to_docker() -> None:
    assert not any(DEFAULT_POLICY.decide(SYSTEM, effect).allowed for effect in Effect)


def test_the_digest_names_the_rules() -> None:
    everything = frozenset(Effect)
    read = frozenset({Effect.READ})
    policies = [
        Policy({}),
        Policy({Role.ADMIN: everything}),
        Policy({Role.ADMIN: read}),
        Policy({Role.USER: read}),
        Policy({Role.ADMIN: everything, Role.USER: read}),
        Policy({Role.ADMIN: read, Role.USER: everything}),
    ]

    assert len({policy.digest for policy in policies}) == len(policies)
    assert all(len(policy.digest) == 16 and int(policy.digest, 16) >= 0 for policy in policies)


def test_the_digest_does_not_depend_on_the_order_of_the_rules() -> None:
    one = Policy({Role.ADMIN: frozenset(Effect), Role.USER: frozenset({Effect.READ})})
    other = Policy({Role.USER: frozenset([Effect.READ]), Role.ADMIN: frozenset(reversed(Effect))})

    assert one.digest == other.digest == DEFAULT_POLICY.digest


def test_the_digest_of_the_default_rules_is_the_one_that_logs_hold() -> None:
    assert DEFAULT_POLICY.digest == "ab4209e16b4f48de"
