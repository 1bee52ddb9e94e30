"""The newest commands by an index of their own, and a summary also of commands that are still open.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

from migrations.audit_view import CREATE_AUDIT_TRAIL, POSTGRES_AUDIT_TRAIL, SQLITE_AUDIT_TRAIL

revision = "0002"
down_revision = "0001"

FINAL = "status NOT IN ('deferred', 'running', 'unknown')"


def upgrade() -> None:
    final = sa.text(FINAL)
    # Without it, a long run of events that belong to no command would have to be read to find the newest commands.
    op.create_index("audit_newest", "event", ["position"], sqlite_where=final, postgresql_where=final)
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP VIEW audit_trail")
        op.execute(CREATE_AUDIT_TRAIL + SQLITE_AUDIT_TRAIL)
    else:  # what it was granted to stays granted
        op.execute(CREATE_AUDIT_TRAIL.replace("CREATE", "CREATE OR REPLACE") + POSTGRES_AUDIT_TRAIL)
