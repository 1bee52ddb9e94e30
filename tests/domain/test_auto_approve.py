"""Clients are told to call without asking what only reads, as the operator corrects it, and never what destroys."""

import pytest

from domain.access.auth_file import AutoApprove
from domain.access.auto_approve import auto_approved
from domain.catalogue import CATALOGUE
from domain.catalogue.tool import Effect, Surface

READING = [tool.name for tool in CATALOGUE.on(Surface.TOOL) if tool.effect is Effect.READ]


def test_without_corrections_it_is_what_only_reads() -> None:
    found = auto_approved(CATALOGUE, AutoApprove())
    assert found == READING
    assert {"list-containers", "get-logs", "network-list", "compose-ps", "compose-logs"} <= set(found)
    assert "audit-logs" not in found  # a prompt is asked for by a person


def test_the_operator_adds_and_removes() -> None:
    found = auto_approved(CATALOGUE, AutoApprove(add=["start-*", "stop-container"], remove=["get-logs", "stop-*"]))
    assert set(found) == {*READING, "start-container"} - {"get-logs"}


@pytest.mark.parametrize("add", [["*"], ["remove-container", "compose-down", "network-remove", "approvals-*"]])
def test_what_destroys_or_approves_is_never_in_it(add: list[str]) -> None:
    """Also not what destroys with some arguments only."""
    found = set(auto_approved(CATALOGUE, AutoApprove(add=add)))
    assert not found & {"remove-container", "network-remove", "compose-down", "approvals-approve", "approvals-refuse"}
    assert found <= {tool.name for tool in CATALOGUE if tool.effect is not Effect.DESTROY}
