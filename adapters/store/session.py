"""What the group-commit writer needs of a database connection, the same for both databases."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from domain.events import RecordedEvent, SealingKeyRotated
from domain.lifecycle import FINAL, Status
from domain.projections.open_commands import NOBODY
from domain.secrets import DataKey

EVENT_COLUMNS: Final = RecordedEvent._fields


@dataclass(frozen=True, slots=True)
class Head:
    """The newest record of the log; position 0 for an empty log."""

    position: int = 0
    event_hash: str | None = None
    occurred_at_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What one transaction writes."""

    events: Sequence[RecordedEvent]
    opened: Sequence[tuple[str, int, str | None, str | None]]
    """Open commands to insert or update: command id, position, status, executor (None: as before)."""
    closed: Sequence[str]
    data_keys: Sequence[DataKey]
    claims: Sequence[tuple[str, str, str]] = ()
    """Idempotency keys that commands claim: principal, key, command id."""


class ConflictInLogError(Exception):
    """The database refused a record because its place in its stream is taken."""


class SessionLostError(Exception):
    """The connection is gone; whether a running commit took effect is open."""


class Session(Protocol):
    """One connection, used by one thread. Every method may raise ``LogUnavailableError`` or ``SessionLostError``."""

    def begin(self) -> Head:
        """Start a transaction, take the append lock, and return the head as of now."""
        ...

    def last_version(self, stream: str) -> int:
        """Return the newest version of ``stream``, 0 if it has none."""
        ...

    def commit(self, changes: Changes) -> None:
        """Write ``changes`` and make them durable.

        Raises:
            ConflictInLogError: nothing was written.
        """
        ...

    def rollback(self) -> None:
        """Give up the transaction, if one is open."""
        ...

    def hash_at(self, position: int) -> str | None:
        """Return the hash of the record at ``position``, None if there is none."""
        ...

    def find(self, event_id: str) -> tuple[Any, ...] | None:
        """Return the recorded values of an event in the order of ``EVENT_COLUMNS``."""
        ...

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a fixed statement without parameters."""
        ...

    def delete_data_key(self, command_id: str) -> None:
        """Delete the data key of a command, in the transaction that is open."""
        ...

    def replace_data_keys(self, keys: Sequence[DataKey]) -> None:
        """Leave exactly ``keys`` in the table of data keys, in the transaction that is open."""
        ...

    def wipe(self) -> bool:
        """Take the bytes of deleted data keys out of the database's files; return whether that was possible now."""
        ...

    def close(self) -> None: ...


NEWER_WINS: Final = (
    "ON CONFLICT (command_id) DO UPDATE SET position = excluded.position, status = excluded.status, "
    f"executor = coalesce(nullif(excluded.executor, '{NOBODY}'), open_command.executor)"
)
"""What happens when an open command is inserted that is there already."""


def marks(values: Collection[object]) -> str:
    """Return a ``?`` for each of ``values``, as a statement lists them."""
    return ", ".join("?" * len(values))


def statements(placeholder: str) -> tuple[str, str, str, str, str]:
    """Return the SQL to insert events, upsert and delete open commands, and insert data keys and claims."""

    def values(count: int) -> str:
        return ", ".join([placeholder] * count)

    return (
        f"INSERT INTO event ({', '.join(EVENT_COLUMNS)}) VALUES ({values(len(EVENT_COLUMNS))})",  # noqa: S608 (fixed names)
        "INSERT INTO open_command (command_id, position, status, executor) "  # noqa: S608
        f"VALUES ({values(3)}, coalesce({placeholder}, '{NOBODY}')) {NEWER_WINS}",
        f"DELETE FROM open_command WHERE command_id = {placeholder}",  # noqa: S608
        f"INSERT INTO data_key (command_id, key_id, wrapped) VALUES ({values(3)})",  # noqa: S608
        f"INSERT INTO idempotency_key (principal, key, command_id) VALUES ({values(3)})",  # noqa: S608
    )


SEALING_KEY_STREAM: Final = "sealing_key"
ROTATED_SQL: Final = (
    f"SELECT data FROM event WHERE stream = '{SEALING_KEY_STREAM}' ORDER BY stream_version DESC LIMIT 1"  # noqa: S608
)


def rotated_to(rows: Sequence[tuple[Any, ...]]) -> str | None:
    """Return the id of the sealing key that the rows of ``ROTATED_SQL`` name; None if it was never rotated."""
    return SealingKeyRotated.model_validate_json(rows[0][0]).new_key_id if rows else None


DATA_KEYS_SQL: Final = "SELECT command_id, key_id, wrapped FROM data_key ORDER BY command_id"
HEAD_SQL: Final = "SELECT position, event_hash, occurred_at_ms FROM event ORDER BY position DESC LIMIT 1"
EVENT_SQL: Final = f"SELECT {', '.join(EVENT_COLUMNS)} FROM event"  # noqa: S608 (fixed names)
# NOT IN, because no index serves it: with IN, SQLite would walk the status index and sort instead of reading the index
# that fits the question in its order.
FINAL_SQL: Final = "status NOT IN ({})".format(", ".join(f"'{status}'" for status in sorted(set(Status) - FINAL)))

AUDIT_FILTERS: Final[tuple[tuple[str, ...], ...]] = (
    (),
    ("principal",),
    ("tool",),
    ("status",),
    ("object",),
    ("principal", "tool"),
    ("principal", "status"),
    ("tool", "status"),
)
"""What audit queries filter by; each has an index over the final events that ends in ``position``."""
