"""What clients see before they call."""

from typing import Any

import pytest

from domain.catalogue import CATALOGUE
from domain.catalogue.tool import Effect, Surface
from tests.protocol.servers import Raw
from tests.protocol.wires import Connect

SEED_TOOLS = {
    "create-container", "list-containers", "get-logs", "start-container", "stop-container", "restart-container",
    "remove-container", "network-create", "network-remove", "network-list", "network-connect", "network-disconnect",
    "network-inspect",
}  # fmt: skip


@pytest.mark.anyio
async def test_all_tools_and_prompts_are_listed_with_what_an_agent_needs(connect: Connect) -> None:
    async with connect() as wire:
        listed = {tool.name: tool for tool in (await wire.client.list_tools()).tools}
        prompts = {prompt.name: prompt for prompt in (await wire.client.list_prompts()).prompts}
        assert wire.client.instructions
        assert wire.client.server_info
        assert wire.client.server_info.name == "docker-mcp"
    assert listed.keys() == {tool.name for tool in CATALOGUE.on(Surface.TOOL)} > SEED_TOOLS
    for tool in CATALOGUE.on(Surface.TOOL):
        shown = listed[tool.name]
        assert shown.title
        assert shown.description
        assert shown.annotations
        hints = (shown.annotations.read_only_hint, shown.annotations.destructive_hint)
        assert hints == (tool.effect is Effect.READ, tool.effect in (Effect.MUTATE, Effect.DESTROY))
        assert shown.annotations.idempotent_hint is tool.idempotent
        assert shown.annotations.open_world_hint is tool.open_world
        assert shown.input_schema["type"] == "object"
        assert shown.input_schema["additionalProperties"] is False
        assert "title" not in shown.input_schema
    assert listed["remove-container"].input_schema["required"] == ["container_name"]
    assert prompts.keys() == {"audit-logs", "authenticate", "incident-review"}
    prompt = prompts["audit-logs"]
    assert prompt.arguments
    seed = ["username", "tool_name", "status", "limit"]
    more = ["since", "until", "object", "effect", "principal_role", "correlation_id", "cursor"]
    assert [argument.name for argument in prompt.arguments] == seed + more
    assert all(argument.description and not argument.required for argument in prompt.arguments)


def test_what_is_listed_is_small(raw: Raw) -> None:
    listed: dict[str, Any] = raw.ask("tools/list")["result"]
    assert len(str(listed)) < 20_000


def test_listing_leaves_no_record(raw: Raw) -> None:
    start = raw.records.head()
    raw.ask("tools/list")
    raw.ask("prompts/list")
    assert raw.records.rows(start) == []
