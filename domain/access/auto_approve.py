"""Which tools a client may call without asking a person, for the configuration of clients that take such a list."""

from domain.access.auth_file import AutoApprove
from domain.access.patterns import matches
from domain.catalogue.tool import AnyTool, Catalogue, Effect, Surface


def auto_approved(catalogue: Catalogue, wanted: AutoApprove) -> list[str]:
    """Return the names of the tools that only read, as the auth file adds to and removes from them.

    What can destroy anything, or does so with some arguments, is never among them. The list permits nothing on the
    server: there every call is decided by the caller's role.
    """
    return [
        tool.name
        for tool in catalogue.on(Surface.TOOL)
        if (tool.effect is Effect.READ or _named(tool, wanted.add))
        and not _named(tool, wanted.remove)
        and not _may_destroy(tool)
    ]


def _named(tool: AnyTool, patterns: list[str]) -> bool:
    return any(matches(tool.name, pattern) for pattern in patterns)


def _may_destroy(tool: AnyTool) -> bool:
    return tool.effect is Effect.DESTROY or tool.destroys is not None
