"""Every failure has a code, a message, and says what to do where it can."""

import re

import pytest

import domain.errors
from domain.errors import DeniedError, DockerMcpError, EngineUnreachableError, NotFoundError

ALL: list[type[DockerMcpError]] = [
    each for each in vars(domain.errors).values() if isinstance(each, type) and issubclass(each, DockerMcpError)
]


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_an_error_explains_itself(error: type[DockerMcpError]) -> None:
    raised = error()

    assert error.__doc__
    assert raised.message == error.__doc__.strip()
    assert re.fullmatch(r"[a-z][a-z_]*", raised.code)
    assert raised.applied in {"none", "partial", "unknown"}
    assert raised.describe().startswith(f"{raised.code}: {raised.message}")


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_what_may_have_happened_is_not_simply_called_again(error: type[DockerMcpError]) -> None:
    assert error.applied == "none" or not error.retryable


def test_message_code_and_hint_can_be_given() -> None:
    error = NotFoundError("no container web", code="container_not_found", hint="list-containers shows what exists")

    assert error.describe() == "container_not_found: no container web - list-containers shows what exists"
    assert NotFoundError().code == "not_found"


def test_an_error_without_a_hint_is_described_without_one() -> None:
    assert DeniedError("role user may not create").describe() == "denied: role user may not create"


def test_the_hint_of_a_class_holds_unless_another_is_given() -> None:
    assert "doctor" in EngineUnreachableError().hint
    assert EngineUnreachableError(hint="wait").hint == "wait"
