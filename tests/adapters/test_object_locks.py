"""Locks on objects that all processes of a log share."""

from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.store.location import Location
from adapters.store.object_locks import FileLocks, shared_locks_of
from domain.errors import LogUnavailableError
from domain.ports import SharedLocks

pytestmark = [pytest.mark.promise("P5")]

WEB, DB, NET = "container/web", "container/db", "network/net"


@pytest.fixture
def holder(location: Location) -> Callable[[], SharedLocks]:
    if location.path:
        location.path.parent.mkdir()
    return lambda: shared_locks_of(location, 2)


def test_one_holder_at_a_time_takes_all_or_none(holder: Callable[[], SharedLocks]) -> None:
    one, two = holder(), holder()
    held = one.try_hold([DB, WEB])
    assert held
    assert two.try_hold([NET, WEB]) is None
    free = two.try_hold([NET])  # what was taken before the refusal is not kept
    assert free
    free()
    held()
    again = two.try_hold([NET, WEB])
    assert again
    again()
    one.close()
    two.close()


def test_a_file_that_cannot_be_opened_means_that_the_log_is_not_available(tmp_path: Path) -> None:
    with pytest.raises(LogUnavailableError, match="lock file cannot be used"):
        FileLocks(tmp_path).try_hold([WEB])
