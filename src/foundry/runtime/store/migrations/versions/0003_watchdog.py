"""Since when things stand that should pass, and what is overdue of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.add_column(sa.Column("release_workflow", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("began", sa.Text(), server_default="{}", nullable=False))
        batch_op.add_column(sa.Column("overdue", sa.Text(), nullable=True))
    with op.batch_alter_table("task_sessions_known", schema=None) as batch_op:
        batch_op.add_column(sa.Column("overdue", sa.Text(), nullable=True))
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("heard_at", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("began", sa.Text(), server_default="{}", nullable=False))
        batch_op.add_column(sa.Column("overdue", sa.Text(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
