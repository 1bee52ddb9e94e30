"""``docker-mcp rebuild``: the read models, made anew from the log."""

from typing import Final

import typer

from adapters.store.location import Location
from adapters.store.read_models import check_read_models, rebuild
from server.cli.check import check_store
from server.cli.local import local_admin
from server.cli.progress import Progress
from server.settings import Settings

_MOST_TOLD: Final = 100


def rebuild_read_models(settings: Settings, *, only_check: bool) -> bool:
    """Build every read model from the log and swap it in; with ``only_check``, only tell what is different.

    Returns whether the models are now what the log yields.

    Raises:
        DockerMcpError: if this user may only read and something is to be changed, or the log cannot be used.
    """
    location, timeout_s = Location.parse(settings.database_url), settings.DOCKER_MCP_APPEND_TIMEOUT_S
    if not only_check:
        local_admin(settings)
    check_store(location, timeout_s)
    if only_check:
        found = check_read_models(location, timeout_s, Progress("check"))
    else:
        found = rebuild(location, timeout_s, Progress("rebuild"))
    for difference in found[:_MOST_TOLD]:
        typer.echo(difference.describe())
    typer.echo(f"{'checked' if only_check else 'rebuilt'}: {len(found) or 'no'} differences")
    return not (only_check and found)
