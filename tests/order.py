"""Which modules the workers of a parallel run take first: a long one that begins last keeps one of them busy alone."""

from collections import Counter
from typing import Final

import pytest

LONGEST: Final = (
    "tests/torture/test_torture.py",
    "tests/protocol/test_nothing_leaks.py",
    "tests/real/test_engine_restart.py",
    "tests/server/test_dead_or_alive.py",
    "tests/real/test_stacks.py",
    "tests/real/test_host_safety.py",
    "tests/server/test_turns.py",
    "tests/protocol/test_seed_examples.py",
    "tests/cli/test_tail.py",
    "tests/cli/test_demo.py",
    "tests/monitoring/test_command.py",
    "tests/monitoring/test_on_prometheus.py",
    "tests/server/test_engine_watch.py",
    "tests/contract/test_model.py",
    "tests/domain/test_audit_record.py",
)
"""Those that take more than fifteen seconds with few tests, the longest first."""


def longest_first(items: list[pytest.Item]) -> None:
    """Sort by module: those known to be long, then those with the most tests."""
    modules = {item: item.nodeid.partition("::")[0] for item in items}
    sizes = Counter(modules.values())
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (ranks.get(modules[item], len(ranks)), -sizes[modules[item]], modules[item]))
