"""A connection that breaks as soon as it is made: whoever asked hears that the log is not available."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from adapters.store.location import Location
from adapters.store.object_locks import shared_locks_of
from adapters.store.postgres import PostgresSession, connect
from adapters.store.postgres_executors import PostgresExecutors
from domain.errors import LogUnavailableError
from tests.conftest import PostgresServer

pytestmark = [pytest.mark.postgres, pytest.mark.promise("P5")]

_QUERY = b"Q"


@pytest.fixture
def broken_url(postgres: PostgresServer) -> Iterator[str]:
    """Leads to a relay that closes each connection at its first query."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(listener, postgres.port), daemon=True).start()
    yield f"postgresql://postgres@127.0.0.1:{listener.getsockname()[1]}/postgres?sslmode=disable&gssencmode=disable"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def _accept(listener: socket.socket, port: int) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_relay, args=(client, port), daemon=True).start()


def _relay(client: socket.socket, port: int) -> None:
    with client, socket.create_connection(("127.0.0.1", port)) as server, contextlib.suppress(OSError):
        while not (asked := client.recv(65536)).startswith(_QUERY) and asked:
            server.sendall(asked)
            client.sendall(server.recv(65536))


@pytest.mark.parametrize(
    "ask",
    [
        lambda url: connect(url, 2),
        lambda url: PostgresSession(url, 2),
        lambda url: shared_locks_of(Location.parse(url), 2).try_hold(["container/web"]),
        lambda url: PostgresExecutors(url, 2).is_alive("someone"),
        lambda url: PostgresExecutors(url, 2).hold("someone"),
    ],
    ids=["connect", "session", "locks", "is-alive", "hold"],
)
def test_a_connection_that_breaks_at_once_means_that_the_log_is_not_available(
    broken_url: str, ask: Callable[[str], object]
) -> None:
    with pytest.raises(LogUnavailableError, match="cannot connect to the database"):
        ask(broken_url)
