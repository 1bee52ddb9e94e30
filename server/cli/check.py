"""Is the log one that a server of this version can write? Asked before a command goes on."""

from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from server.bootstrap import new_id, now_ms
from server.keys import sealer_of
from server.settings import Settings


def check_log(settings: Settings) -> None:
    """Open the log as a server does, and its key; makes both if there is no SQLite log yet.

    Raises:
        DockerMcpError: if a server could not record anything in it.
    """
    location = Location.parse(settings.database_url)
    check_store(location, settings.DOCKER_MCP_APPEND_TIMEOUT_S)
    sealer_of(settings, location)


def check_store(location: Location, timeout_s: float) -> None:
    """Connect to the database and check schema, guards and that it can be written.

    Raises:
        ConfigurationError: if it must not be written by this version, or is not guarded.
        LogUnavailableError: if it cannot be written now.
    """
    store = SqlEventStore(location, now_ms, new_id(), timeout_s)
    try:
        store.check()
    finally:
        store.close()
