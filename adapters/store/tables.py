"""The schema, as the migrations build it. Appends do not pass through here: they use the driver directly."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, CheckConstraint, Index, Integer, Text, TypeDecorator, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from adapters.store.session import AUDIT_FILTERS, FINAL_SQL
from domain.events import MAX_DATA_BYTES
from domain.lifecycle import Status

_STATUS_SQL: Final = "status IS NULL OR status IN ({})".format(", ".join(f"'{status}'" for status in sorted(Status)))


def audit_index(columns: Sequence[str]) -> str:
    """Return the name of the index for audit queries that filter by ``columns``."""
    return "_".join(("audit", *columns)) if columns else "audit_newest"


class Long(TypeDecorator[int]):
    """64 bits on both databases: SQLModel's ``int`` has 32 on PostgreSQL, and SQLite's strict tables know no BIGINT."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> Any:
        return dialect.type_descriptor(Integer() if dialect.name == "sqlite" else BigInteger())


def _final_index(name: str, *columns: str, unique: bool = False) -> Index:
    condition = text(FINAL_SQL)
    return Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


class EventRow(SQLModel, table=True):
    """The log: one row per event, never changed."""

    __tablename__ = "event"
    __table_args__ = (
        UniqueConstraint("event_id", name="event_id_unique"),
        UniqueConstraint("stream", "stream_version", name="event_stream_version_unique"),
        UniqueConstraint("previous_hash", name="event_no_fork"),
        CheckConstraint("position > 0", name="event_position_positive"),
        CheckConstraint("stream_version > 0", name="event_version_positive"),
        CheckConstraint("(position = 1) = (previous_hash IS NULL)", name="event_only_head_has_no_previous"),
        CheckConstraint("length(event_hash) = 64", name="event_hash_length"),
        CheckConstraint(f"length(CAST(data AS BLOB)) <= {MAX_DATA_BYTES}", name="event_data_size").ddl_if("sqlite"),
        CheckConstraint(f"octet_length(data) <= {MAX_DATA_BYTES}", name="event_data_size").ddl_if("postgresql"),
        CheckConstraint(_STATUS_SQL, name="event_status_known"),
        _final_index("event_one_final_status", "stream", unique=True),
        Index("event_time", "occurred_at_ms", "position"),
        *(_final_index(audit_index(columns), *columns, "position") for columns in AUDIT_FILTERS),
        {"sqlite_strict": True},
    )

    position: int = Field(sa_type=Long, primary_key=True, sa_column_kwargs={"autoincrement": False})
    event_id: str = Field(sa_type=Text)
    stream: str = Field(sa_type=Text)
    stream_version: int
    type: str = Field(sa_type=Text)
    schema_version: int
    occurred_at_ms: int = Field(sa_type=Long)
    principal: str = Field(sa_type=Text)
    role: str = Field(sa_type=Text)
    tool: str | None = Field(sa_type=Text)
    object: str | None = Field(sa_type=Text)
    status: str | None = Field(sa_type=Text)
    purpose: str | None = Field(sa_type=Text)
    correlation_id: str | None = Field(sa_type=Text)
    causation_id: str | None = Field(sa_type=Text)
    trace_id: str | None = Field(sa_type=Text)
    span_id: str | None = Field(sa_type=Text)
    data: str = Field(sa_type=Text)
    previous_hash: str | None = Field(sa_type=Text)
    event_hash: str = Field(sa_type=Text)


class OpenCommandRow(SQLModel, table=True):
    """Read model: the commands without a final status, kept in the transaction that appends. Can be rebuilt."""

    __tablename__ = "open_command"
    __table_args__ = ({"sqlite_strict": True},)

    command_id: str = Field(sa_type=Text, primary_key=True)
    position: int = Field(sa_type=Long)
    status: str | None = Field(sa_type=Text)
    executor: str = Field(sa_type=Text)


class IdempotencyKeyRow(SQLModel, table=True):
    """Read model: which command a principal's idempotency key belongs to. Can be rebuilt."""

    __tablename__ = "idempotency_key"
    __table_args__ = ({"sqlite_strict": True},)

    principal: str = Field(sa_type=Text, primary_key=True)
    key: str = Field(sa_type=Text, primary_key=True)
    command_id: str = Field(sa_type=Text)


class DataKeyRow(SQLModel, table=True):
    """The wrapped data keys of sealed arguments. Deleting one makes the values unreadable, the log stays whole."""

    __tablename__ = "data_key"
    __table_args__ = ({"sqlite_strict": True},)

    command_id: str = Field(sa_type=Text, primary_key=True)
    key_id: str = Field(sa_type=Text)
    wrapped: str = Field(sa_type=Text)


class MetricSeriesRow(SQLModel, table=True):
    """Read model: what the metrics count, as of the position in the checkpoint. Can be rebuilt."""

    __tablename__ = "metric_series"
    __table_args__ = ({"sqlite_strict": True},)

    metric: str = Field(sa_type=Text, primary_key=True)
    labels: str = Field(sa_type=Text, primary_key=True)
    part: str = Field(sa_type=Text, primary_key=True)
    value: int = Field(sa_type=Long)


class ReadModelCheckpointRow(SQLModel, table=True):
    """How far a read model is folded: the position, and the hash of the record there (none at position 0)."""

    __tablename__ = "read_model_checkpoint"
    __table_args__ = ({"sqlite_strict": True},)

    name: str = Field(sa_type=Text, primary_key=True)
    position: int = Field(sa_type=Long)
    event_hash: str | None = Field(sa_type=Text)


class WorldSnapshotRow(SQLModel, table=True):
    """Read model: the world at a position of the log, see ``domain.replay``; ``form`` as there. Can be rebuilt."""

    __tablename__ = "world_snapshot"
    __table_args__ = ({"sqlite_strict": True},)

    position: int = Field(sa_type=Long, primary_key=True, sa_column_kwargs={"autoincrement": False})
    form: int
    event_hash: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
