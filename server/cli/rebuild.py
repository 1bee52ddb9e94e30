"""``docker-mcp rebuild``: the read models, made anew from the log."""

import gc
from typing import Final

from adapters.store.location import Location
from adapters.store.read_models import check_read_models, rebuild
from adapters.store.world_check import check_world, rebuild_world
from server.cli.check import check_store
from server.cli.local import local_admin
from server.cli.output import tell
from server.cli.progress import Progress
from server.settings import Settings

_MOST_TOLD: Final = 100


def rebuild_read_models(settings: Settings, *, only_check: bool, as_json: bool) -> bool:
    """Build every read model from the log and swap it in; with ``only_check``, only tell what is different.

    Returns whether the models are now what the log yields.

    Raises:
        DockerMcpError: if this user may only read and something is to be changed, or the log cannot be used.
    """
    location, timeout_s = Location.parse(settings.database_url), settings.DOCKER_MCP_APPEND_TIMEOUT_S
    if not only_check:
        local_admin(settings)
    check_store(location, timeout_s)
    gc.disable()  # records make no cycles, and looking for some would take a fifth of the time
    if only_check:
        found = check_read_models(location, timeout_s, Progress("check"))
        found += check_world(location, timeout_s, Progress("check"))
    else:
        found = rebuild(location, timeout_s, Progress("rebuild"))
        found += rebuild_world(location, timeout_s, Progress("rebuild"))
    told = found[:_MOST_TOLD]
    done = "checked" if only_check else "rebuilt"
    lines = [difference.describe() for difference in told] + [f"{done}: {len(found) or 'no'} differences"]
    tree = {"done": done, "found": len(found), "differences": [difference._asdict() for difference in told]}
    tell("\n".join(lines), tree, as_json=as_json)
    return not (only_check and found)
