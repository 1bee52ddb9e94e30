"""The metric series, and how far they are folded.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    long = sa.Integer() if op.get_bind().dialect.name == "sqlite" else sa.BigInteger()
    op.create_table(
        "metric_series",
        sa.Column("metric", sa.Text, primary_key=True),
        sa.Column("labels", sa.Text, primary_key=True),
        sa.Column("part", sa.Text, primary_key=True),
        sa.Column("value", long, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "read_model_checkpoint",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("position", long, nullable=False),
        sa.Column("event_hash", sa.Text),
        sqlite_strict=True,
    )
    op.execute("INSERT INTO read_model_checkpoint (name, position) VALUES ('metric_series', 0)")
