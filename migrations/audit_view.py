"""What the view ``audit_trail`` selects, as of revision 0002.

The migration makes the view of it, the product's own answers read it as a subquery, whatever the view has become, and
verification compares the view with it.
"""

from typing import Final

AUDIT_TRAIL_COLUMNS: Final = (
    "position",
    "occurred_at",
    "occurred_at_ms",
    "command_id",
    "principal",
    "role",
    "tool",
    "object",
    "status",
    "purpose",
    "correlation_id",
    "trace_id",
    "summary",
    "reason",
    "duration_us",
)

_SELECT: Final = """
SELECT e.position, {time} AS occurred_at, e.occurred_at_ms, e.stream AS command_id, e.principal, e.role, e.tool,
       e.object, e.status, e.purpose, e.correlation_id, e.trace_id,
       {summary} AS summary, {reason} AS reason, {duration} AS duration_us
  FROM event e
 WHERE e.status NOT IN ('deferred', 'running', 'unknown')
UNION ALL
SELECT e.position, {time}, e.occurred_at_ms, e.stream, e.principal, e.role, e.tool,
       e.object, CAST(coalesce(e.status, 'authorized') AS TEXT), e.purpose, e.correlation_id, e.trace_id,
       {first_summary}, {reason}, {duration}
  FROM open_command o JOIN event e ON e.position = o.position
                      JOIN event f ON f.stream = e.stream AND f.stream_version = 1"""

SQLITE_AUDIT_TRAIL: Final = _SELECT.format(
    time="strftime('%Y-%m-%dT%H:%M:%fZ', e.occurred_at_ms / 1000.0, 'unixepoch')",
    summary="e.data ->> '$.summary'",
    first_summary="f.data ->> '$.summary'",
    reason="coalesce(e.data ->> '$.reason', e.data ->> '$.message')",
    duration="e.data ->> '$.duration_us'",
)

POSTGRES_AUDIT_TRAIL: Final = _SELECT.format(
    time="to_timestamp(e.occurred_at_ms / 1000.0)",
    summary="e.data::json ->> 'summary'",
    first_summary="f.data::json ->> 'summary'",
    reason="coalesce(e.data::json ->> 'reason', e.data::json ->> 'message')",
    duration="(e.data::json ->> 'duration_us')::bigint",
)

CREATE_AUDIT_TRAIL: Final = "CREATE VIEW audit_trail AS"
