"""The budget of refused calls: per source, bounded, and no call is ever lost from record and count together."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.flood import MOST_ADDRESSES, OTHERS, RefusalBudget, Source, Suppressed
from domain.principal import ANONYMOUS, Principal

pytestmark = pytest.mark.promise("P2", "P9")

ALICE = Source.of(Principal("alice", "user"), "192.0.2.1")


def nobody(number: int) -> Source:
    return Source.of(ANONYMOUS, f"192.0.2.{number}")


def spent_by(budget: RefusalBudget, source: Source, calls: int) -> int:
    """Refuse calls; return how many of them are recorded."""
    recorded = 0
    for _ in range(calls):
        if budget.spend(source):
            recorded += 1
        else:
            budget.count(source, "denied")
    return recorded


def test_beyond_the_budget_calls_are_counted_by_code_until_the_next_minute() -> None:
    budget = RefusalBudget(2)
    assert spent_by(budget, ALICE, 5) == 2
    assert not budget.admits(ALICE)
    budget.count(ALICE, "a_code")
    assert budget.turn() == [Suppressed(ALICE, (("a_code", 1), ("denied", 3)))]
    assert budget.admits(ALICE)
    assert spent_by(budget, ALICE, 2) == 2
    assert budget.turn() == []


def test_one_source_does_not_spend_the_budget_of_another() -> None:
    budget = RefusalBudget(2)
    assert spent_by(budget, nobody(1), 9) == 2
    assert spent_by(budget, ALICE, 2) == 2
    assert spent_by(budget, nobody(2), 2) == 2
    assert budget.turn() == [Suppressed(nobody(1), (("denied", 7),))]


def test_a_principal_is_the_same_source_wherever_it_calls_from() -> None:
    assert Source.of(ALICE.principal, "198.51.100.7") == ALICE
    assert Source.of(ANONYMOUS, "198.51.100.7") != nobody(1)


@pytest.mark.parametrize(
    ("address", "known_as"),
    [
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("192.0.2.7", "192.0.2.7"),
        ("stdio", "stdio"),
        ("", ""),
    ],
)
def test_an_ipv6_host_is_known_by_its_network(address: str, known_as: str) -> None:
    assert Source.of(ANONYMOUS, address).address == known_as


def test_addresses_without_end_share_one_budget_and_leave_users_theirs() -> None:
    budget = RefusalBudget(3)
    recorded = sum(spent_by(budget, nobody(number), 4) for number in range(1000))
    assert recorded == 3 * (MOST_ADDRESSES + 1)
    assert spent_by(budget, ALICE, 3) == 3
    counted = budget.turn()
    assert len(counted) == MOST_ADDRESSES + 1
    assert counted[-1].source == Source(ANONYMOUS, OTHERS)
    assert spent_by(budget, nobody(5000), 1) == 1, "a new minute tells others apart"


@given(st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=200), st.integers(1, 4))
def test_every_refused_call_is_recorded_or_counted_exactly_once(calls: list[tuple[int, bool]], limit: int) -> None:
    """Whatever comes, also when a minute's counts could not be recorded and are taken back."""
    budget = RefusalBudget(limit)
    recorded: Counter[str] = Counter()
    counted = 0
    for number, turns in calls:
        recorded["calls"] += spent_by(budget, nobody(number), 1)
        if turns:
            suppressed = budget.turn()
            if number % 2:
                budget.count_again(suppressed)
            else:
                counted += sum(times for each in suppressed for _, times in each.codes)
    counted += sum(times for each in budget.turn() for _, times in each.codes)
    assert recorded["calls"] + counted == len(calls)
