"""Logs with sealed values, for the commands that forget and rotate keys."""

import base64
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from adapters.sealing import AesSealer
from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from domain.chain import verify
from domain.command_stream import CommandStream
from domain.events import RecordedEvent
from domain.secrets import DataKey
from server.bootstrap import new_id, now_ms
from tests.conftest import SEALING_KEY, PostgresServer
from tests.contract.events import life, stream
from tests.contract.rows import rows

PLACE = "/environment/TOKEN"
OTHER_KEY = base64.b64encode(b"another key of thirty-two bytes!").decode()

Sealed = dict[str, Any]


def sealer(key: str = SEALING_KEY) -> AesSealer:
    return AesSealer(base64.b64decode(key))


def seal(location: Location, value: str, of: CommandStream | None = None, by: AesSealer | None = None) -> Sealed:
    """Record a command with ``value`` sealed; return its id and its sealed value."""
    command = of or stream()
    envelope = (by or sealer()).envelope(command.context.command_id)
    sealed = envelope.seal(PLACE, value)
    with closing(SqlEventStore(location, now_ms, new_id())) as store:
        store.append(life(of=command), envelope.data_key).result(30)
    return {"id": command.context.command_id, "sealed": sealed}


def data_keys(location: Location) -> dict[str, DataKey]:
    """Return what the table of data keys holds."""
    found = rows(location, "SELECT command_id, key_id, wrapped FROM data_key")
    return {row[0]: DataKey(*row) for row in found}


def opened(location: Location, command: Sealed, by: AesSealer) -> str:
    """Return the sealed value of a command as who holds the log and its key can read it."""
    return by.open(data_keys(location)[command["id"]], PLACE, command["sealed"])


def events(location: Location) -> list[RecordedEvent]:
    """Return the whole log, whose chain has to be intact."""
    with closing(SqlEventStore(location, now_ms, new_id())) as store:
        found = store.read()
    assert list(verify(found)) == []
    return found


def files_with(text: str, location: Location, postgres: PostgresServer | None) -> list[Path]:
    """Return the files of the database that hold ``text``; of PostgreSQL those of its tables."""
    directory = location.path and location.path.parent
    if postgres:
        with psycopg.connect(location.url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
            row = connection.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()
        directory = postgres.data / "base" / str(row and row[0])
    assert directory
    return [file for file in directory.rglob("*") if file.is_file() and text.encode() in file.read_bytes()]
