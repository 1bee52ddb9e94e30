"""What a person does to the log itself, without a server: allowed by the local role, recorded as theirs."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import typer

from adapters.identity import local_principal
from adapters.store.data_keys import wipe
from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from domain.errors import DeniedError
from domain.events import Event, NewEvent, event_of
from domain.principal import Principal, Role
from server.bootstrap import new_id, now_ms
from server.settings import Settings
from server.user_changes import recorder


def local_admin(settings: Settings) -> Principal:
    """Return who runs this process.

    Raises:
        DeniedError: if this user may only read.
    """
    principal = local_principal(settings.DOCKER_MCP_STDIO_ROLE)
    if principal.role != Role.ADMIN:
        raise DeniedError(
            f"role {principal.role} may only read", hint="DOCKER_MCP_STDIO_ROLE gives the local user a role"
        )
    return principal


def own_event(event: Event, stream: str, principal: Principal) -> NewEvent:
    """Return ``event`` as ``principal`` records it outside of any command."""
    return event_of(principal, event, stream, new_id())


@contextmanager
def recording(settings: Settings) -> Iterator[Callable[[Event], None]]:
    """Give what records in the name of who runs this process, and waits for it; see ``server.user_changes``."""
    location = Location.parse(settings.database_url)
    store = SqlEventStore(location, now_ms, new_id(), settings.DOCKER_MCP_APPEND_TIMEOUT_S)
    with closing(store):
        yield recorder(store, local_principal(settings.DOCKER_MCP_STDIO_ROLE), new_id)


def wiped(location: Location, timeout_s: float) -> bool:
    """Take the bytes of deleted data keys out of the database's files; tell, and return False, if some may be left."""
    done = wipe(location, timeout_s)
    if not done:
        when = (
            "another process reads the log just now; they go once all servers have stopped"
            if location.path
            else "let the owner of the table run VACUUM (FULL) data_key"
        )
        typer.echo(f"docker-mcp: bytes of deleted keys may still be in a file of the database: {when}", err=True)
    return done
