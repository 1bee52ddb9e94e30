"""The options that narrow what is shown of the log, for every command that shows some of it."""

from typing import Annotated

import typer

Username = Annotated[str | None, typer.Option(help="Only this principal.")]
Tool = Annotated[str | None, typer.Option(help="Only this tool.")]
Status = Annotated[str | None, typer.Option(help="Only this status, for example success or denied.")]
ObjectName = Annotated[
    str | None, typer.Option("--object", help="Only this object: container/web, or web of any kind.")
]
Effect = Annotated[str | None, typer.Option(help="Only tools that read, create, mutate or destroy.")]
Role = Annotated[str | None, typer.Option(help="Only principals with this role.")]
CorrelationId = Annotated[str | None, typer.Option(help="Only this conversation.")]


def given(
    username: str | None,
    tool: str | None,
    status: str | None,
    object_name: str | None,
    effect: str | None,
    role: str | None,
    correlation_id: str | None,
) -> dict[str, str]:
    """Return those that are given, by the names that ``audit-logs`` has for them."""
    named = {
        "username": username,
        "tool_name": tool,
        "status": status,
        "object": object_name,
        "effect": effect,
        "principal_role": role,
        "correlation_id": correlation_id,
    }
    return {name: value for name, value in named.items() if value is not None}
