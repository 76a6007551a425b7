"""Sandboxes that nobody uses rest; the end of a stream that was given up is read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.add_column(sa.Column("rest_workflow", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("resting", sa.Boolean(), server_default="0", nullable=False))
    for table in ("task_sessions_known", "sessions"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(sa.Column("resting", sa.Boolean(), server_default="0", nullable=False))
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("unread", sa.String(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
