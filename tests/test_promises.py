"""Every promise has a test that proves it, and every mark names a promise."""

import pytest

from tests.conftest import covered
from tests.promises import PROMISES


def test_every_promise_is_proven_by_a_test(request: pytest.FixtureRequest) -> None:
    if request.config.args not in ([], [str(request.config.rootpath / "tests")], ["tests"]):
        return  # only a run of all tests has collected all marks
    assert covered == set(PROMISES)
