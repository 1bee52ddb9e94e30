"""The examples of the product's first description are valid calls, word for word."""

import json
from typing import Any

import pytest

from domain.canonical import canonical_json
from domain.catalogue import CATALOGUE
from domain.catalogue.tool import Surface
from domain.catalogue.values import parse_bytes, parse_duration_ns, parse_nano_cpus, parse_ports
from domain.secrets import argument_tree, clear
from tests.examples import AUDIT, STORY

TOOLS = dict(STORY)


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_an_example_is_understood_as_it_stands(name: str) -> None:
    arguments: dict[str, Any] = json.loads(TOOLS[name])

    command = CATALOGUE.find(name, Surface.TOOL).parse(arguments)

    given = command.model_dump(exclude_unset=True)
    assert given == arguments
    assert canonical_json(argument_tree(command, clear))


def test_the_example_of_a_container_means_what_it_says() -> None:
    command = CATALOGUE.find("create-container", Surface.TOOL).parse(json.loads(TOOLS["create-container"]))

    assert [(binding.container_port, binding.host_port) for binding in parse_ports(command.ports)] == [(80, "8080")]
    assert parse_nano_cpus(command.resources.cpu) == 500_000_000
    assert parse_bytes(command.resources.memory) == 512 * 1024 * 1024
    assert parse_duration_ns(command.health_check.interval) == 30 * 10**9
    assert command.start


@pytest.mark.parametrize("limit", [10, "10"], ids=["as a number", "as text"])
def test_the_example_of_the_audit_log_is_understood(limit: object) -> None:
    command = CATALOGUE.find("audit-logs", Surface.PROMPT).parse({**json.loads(AUDIT), "limit": limit})

    assert command.model_dump(exclude_none=True) == json.loads(AUDIT)
