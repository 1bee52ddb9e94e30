"""Which tools a client may call without asking a person, for the configuration of clients that take such a list."""

from domain.access.auth_file import AutoApprove
from domain.access.patterns import matches
from domain.catalogue.tool import AnyTool, Catalogue, Effect, Surface


def auto_approved(catalogue: Catalogue, wanted: AutoApprove) -> list[str]:
    """Return the names of the tools that only read, as the auth file adds to and removes from them.

    Never among them is what can destroy anything, be it with some arguments only, and what decides about commands that
    wait for a person. The list permits nothing on the server: there every call is decided by the caller's role.
    """
    return [
        tool.name
        for tool in catalogue.on(Surface.TOOL)
        if (tool.effect is Effect.READ or _named(tool, wanted.add))
        and not _named(tool, wanted.remove)
        and not _asks_for_a_person(tool)
    ]


def _named(tool: AnyTool, patterns: list[str]) -> bool:
    return any(matches(tool.name, pattern) for pattern in patterns)


def _asks_for_a_person(tool: AnyTool) -> bool:
    return tool.effect is Effect.DESTROY or tool.destroys is not None or not tool.deferrable
