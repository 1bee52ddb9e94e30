"""The newest commands by an index of their own, and a summary also of commands that are still open.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

FINAL = "status NOT IN ('deferred', 'running', 'unknown')"

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
       {first_summary}, {reason}, {duration}
  FROM open_command o JOIN event e ON e.position = o.position
                      JOIN event f ON f.stream = e.stream AND f.stream_version = 1
"""


def upgrade() -> None:
    final = sa.text(FINAL)
    # Without it, a long run of events that belong to no command would have to be read to find the newest commands.
    op.create_index("audit_newest", "event", ["position"], sqlite_where=final, postgresql_where=final)
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP VIEW audit_trail")
        view = VIEW.format(
            final=FINAL,
            time="strftime('%Y-%m-%dT%H:%M:%fZ', e.occurred_at_ms / 1000.0, 'unixepoch')",
            summary="e.data ->> '$.summary'",
            first_summary="f.data ->> '$.summary'",
            reason="coalesce(e.data ->> '$.reason', e.data ->> '$.message')",
            duration="e.data ->> '$.duration_us'",
        )
    else:
        view = VIEW.replace("CREATE", "CREATE OR REPLACE").format(  # what it was granted to stays granted
            final=FINAL,
            time="to_timestamp(e.occurred_at_ms / 1000.0)",
            summary="e.data::json ->> 'summary'",
            first_summary="f.data::json ->> 'summary'",
            reason="coalesce(e.data::json ->> 'reason', e.data::json ->> 'message')",
            duration="(e.data::json ->> 'duration_us')::bigint",
        )
    op.execute(view)
