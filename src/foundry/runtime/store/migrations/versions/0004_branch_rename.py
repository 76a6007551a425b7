"""A rename of a task's branch that runs or failed, the names it had, and the second name it holds meanwhile."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.add_column(sa.Column("rename", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("rename_workflow", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("former_branches", sa.Text(), server_default="[]", nullable=False))
    with op.batch_alter_table("repository_branches", schema=None) as batch_op:
        batch_op.add_column(sa.Column("renaming_to", sa.String(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
