"""The newest commands without any filter, also where the log holds long runs of events of no command.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

FINAL = "status NOT IN ('deferred', 'running', 'unknown')"


def upgrade() -> None:
    final = sa.text(FINAL)
    op.create_index("audit_newest", "event", ["position"], sqlite_where=final, postgresql_where=final)
