"""Changes of users leave a record before they are made."""

from collections.abc import Callable

from domain.errors import LogUnavailableError
from domain.events import Event, event_of
from domain.ports import EventStore, NewId
from domain.principal import Principal

AUTH_STREAM = "auth"


def recorder(store: EventStore, principal: Principal, new_id: NewId) -> Callable[[Event], None]:
    """Return what records an event in the name of ``principal`` and waits until it is durable.

    Raises (when called):
        LogUnavailableError: it is not recorded, so what it tells of must not be done.
    """

    def record(event: Event) -> None:
        try:
            store.append([event_of(principal, event, AUTH_STREAM, new_id())]).result()
        except LogUnavailableError as error:
            raise LogUnavailableError(
                f"nothing was changed, since it cannot be recorded: {error.message}", hint=error.hint
            ) from error

    return record
