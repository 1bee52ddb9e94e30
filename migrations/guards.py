"""What makes the database itself refuse to change the log, as of revision 0001.

The migration installs it, and every start compares what the database has with what stands here.
"""

from typing import Final

SQLITE_TRIGGERS: Final = {
    "event_no_update": """\
CREATE TRIGGER event_no_update BEFORE UPDATE ON event
BEGIN SELECT RAISE(ABORT, 'the event log is append-only'); END""",
    "event_no_delete": """\
CREATE TRIGGER event_no_delete BEFORE DELETE ON event
BEGIN SELECT RAISE(ABORT, 'the event log is append-only'); END""",
    # INSERT OR REPLACE deletes a row that collides on a secondary key without firing the delete trigger,
    # therefore a collision is refused before it can become a deletion.
    "event_chain": """\
CREATE TRIGGER event_chain BEFORE INSERT ON event
BEGIN
  SELECT RAISE(ABORT, 'the event log has no gaps: wrong position, link or time')
    WHERE (NEW.position, NEW.previous_hash) IS NOT (
        SELECT coalesce(max(position), 0) + 1, (SELECT event_hash FROM event ORDER BY position DESC LIMIT 1) FROM event)
       OR NEW.occurred_at_ms < (SELECT occurred_at_ms FROM event ORDER BY position DESC LIMIT 1);
  SELECT RAISE(ABORT, 'the stream has moved on, or misses an event')
    WHERE NEW.stream_version IS NOT (
        SELECT coalesce(max(stream_version), 0) + 1 FROM event WHERE stream = NEW.stream);
  SELECT RAISE(ABORT, 'the event is recorded already')
    WHERE EXISTS (SELECT 1 FROM event WHERE event_id = NEW.event_id);
  SELECT RAISE(ABORT, 'the command already has its final status')
    WHERE NEW.status NOT IN ('deferred', 'running', 'unknown')
      AND EXISTS (SELECT 1 FROM event WHERE stream = NEW.stream AND status NOT IN ('deferred', 'running', 'unknown'));
END""",
}

POSTGRES_FUNCTIONS: Final = {
    "event_refuse": """
BEGIN
  RAISE EXCEPTION 'the event log is append-only' USING ERRCODE = 'insufficient_privilege';
END
""",
    "event_check_chain": """
DECLARE head record;
BEGIN
  SELECT position, event_hash, occurred_at_ms INTO head FROM event ORDER BY position DESC LIMIT 1;
  IF NEW.position <> coalesce(head.position, 0) + 1
     OR NEW.previous_hash IS DISTINCT FROM head.event_hash
     OR NEW.occurred_at_ms < head.occurred_at_ms THEN
    RAISE EXCEPTION 'the event log has no gaps: wrong position, link or time' USING ERRCODE = 'check_violation';
  END IF;
  IF NEW.stream_version <> (SELECT coalesce(max(stream_version), 0) + 1 FROM event WHERE stream = NEW.stream) THEN
    RAISE EXCEPTION 'the stream has moved on, or misses an event' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END
""",
}

POSTGRES_TRIGGERS: Final = {
    "event_no_change": ("BEFORE UPDATE OR DELETE", "STATEMENT", "event_refuse"),
    "event_no_truncate": ("BEFORE TRUNCATE", "STATEMENT", "event_refuse"),
    "event_chain": ("BEFORE INSERT", "ROW", "event_check_chain"),
}
"""Name of a trigger: when it fires, for each what, and the function it calls. Each is ENABLE ALWAYS."""
