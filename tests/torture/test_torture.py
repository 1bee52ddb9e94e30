"""The short form of the torture: about a minute for each database."""

import pytest

from tests.torture.run import Plan, torture

pytestmark = [
    pytest.mark.engine,
    pytest.mark.promise("P1", "P4", "P5"),
    pytest.mark.timeout(400),
]


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_killed_paused_and_broken_servers_lose_nothing_and_do_nothing_twice(database: str) -> None:
    summary = torture(Plan(database, minutes=0.4, seed="ci", kill_every_s=0.8))
    assert summary.violations == [], summary.text()
    assert summary.kills > 5, summary.text()
    assert summary.outcomes["success"] > 5, summary.text()
