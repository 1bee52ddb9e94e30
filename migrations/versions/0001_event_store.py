"""The event log, its guards, the view over it, and the tables beside it.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

from migrations.guards import POSTGRES_FUNCTIONS, POSTGRES_TRIGGERS, SQLITE_TRIGGERS

revision = "0001"
down_revision = None

FINAL = "status NOT IN ('deferred', 'running', 'unknown')"
KNOWN = (
    "status IS NULL OR status IN ('cancelled', 'deferred', 'denied', 'expired', 'failed', 'refused', 'rejected', "
    "'running', 'success', 'unknown')"
)
AUDIT_FILTERS = (
    ("principal",),
    ("tool",),
    ("status",),
    ("object",),
    ("principal", "tool"),
    ("principal", "status"),
    ("tool", "status"),
)

VIEW = """
CREATE VIEW audit_trail AS
SELECT e.position, {time} AS occurred_at, e.occurred_at_ms, e.stream AS command_id, e.principal, e.role, e.tool,
       e.object, e.status, e.purpose, e.correlation_id, e.trace_id,
       {summary} AS summary, {reason} AS reason, {duration} AS duration_us
  FROM event e
 WHERE e.{final}
UNION ALL
SELECT e.position, {time}, e.occurred_at_ms, e.stream, e.principal, e.role, e.tool,
       e.object, CAST(coalesce(e.status, 'authorized') AS TEXT), e.purpose, e.correlation_id, e.trace_id,
       {summary}, {reason}, {duration}
  FROM open_command o JOIN event e ON e.position = o.position
"""


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    if sqlite:
        _create_tables(sa.Integer(), size="length(CAST(data AS BLOB))")
        for trigger in SQLITE_TRIGGERS.values():
            op.execute(trigger)
        op.execute(
            VIEW.format(
                final=FINAL,
                time="strftime('%Y-%m-%dT%H:%M:%fZ', e.occurred_at_ms / 1000.0, 'unixepoch')",
                summary="e.data ->> '$.summary'",
                reason="coalesce(e.data ->> '$.reason', e.data ->> '$.message')",
                duration="e.data ->> '$.duration_us'",
            )
        )
    else:
        _create_tables(sa.BigInteger(), size="octet_length(data)")
        _guard_postgres()
        op.execute(
            VIEW.format(
                final=FINAL,
                time="to_timestamp(e.occurred_at_ms / 1000.0)",
                summary="e.data::json ->> 'summary'",
                reason="coalesce(e.data::json ->> 'reason', e.data::json ->> 'message')",
                duration="(e.data::json ->> 'duration_us')::bigint",
            )
        )


def _create_tables(long: sa.types.TypeEngine[int], size: str) -> None:
    final = sa.text(FINAL)
    op.create_table(
        "event",
        sa.Column("position", long, primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("stream_version", sa.Integer, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("schema_version", sa.Integer, nullable=False),
        sa.Column("occurred_at_ms", long, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("tool", sa.Text),
        sa.Column("object", sa.Text),
        sa.Column("status", sa.Text),
        sa.Column("purpose", sa.Text),
        sa.Column("correlation_id", sa.Text),
        sa.Column("causation_id", sa.Text),
        sa.Column("trace_id", sa.Text),
        sa.Column("span_id", sa.Text),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("previous_hash", sa.Text),
        sa.Column("event_hash", sa.Text, nullable=False),
        sa.UniqueConstraint("event_id", name="event_id_unique"),
        sa.UniqueConstraint("stream", "stream_version", name="event_stream_version_unique"),
        sa.UniqueConstraint("previous_hash", name="event_no_fork"),
        sa.CheckConstraint("position > 0", name="event_position_positive"),
        sa.CheckConstraint("stream_version > 0", name="event_version_positive"),
        sa.CheckConstraint("(position = 1) = (previous_hash IS NULL)", name="event_only_head_has_no_previous"),
        sa.CheckConstraint("length(event_hash) = 64", name="event_hash_length"),
        sa.CheckConstraint(f"{size} <= 65536", name="event_data_size"),
        sa.CheckConstraint(KNOWN, name="event_status_known"),
        sqlite_strict=True,
    )
    op.create_index(
        "event_one_final_status", "event", ["stream"], unique=True, sqlite_where=final, postgresql_where=final
    )
    op.create_index("event_time", "event", ["occurred_at_ms", "position"])
    for columns in AUDIT_FILTERS:
        name = "audit_" + "_".join(columns)
        op.create_index(name, "event", [*columns, "position"], sqlite_where=final, postgresql_where=final)
    op.create_table(
        "open_command",
        sa.Column("command_id", sa.Text, primary_key=True),
        sa.Column("position", long, nullable=False),
        sa.Column("status", sa.Text),
        sa.Column("executor", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "data_key",
        sa.Column("command_id", sa.Text, primary_key=True),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("wrapped", sa.Text, nullable=False),
        sqlite_strict=True,
    )


def _guard_postgres() -> None:
    for name, body in POSTGRES_FUNCTIONS.items():
        op.execute(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $body${body}$body$")
    for name, (moment, each, function) in POSTGRES_TRIGGERS.items():
        op.execute(f"CREATE TRIGGER {name} {moment} ON event FOR EACH {each} EXECUTE FUNCTION {function}()")
        op.execute(f"ALTER TABLE event ENABLE ALWAYS TRIGGER {name}")
