"""A task follows its branch on GitHub."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.add_column(sa.Column("upstream", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("fetch_workflow", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("fetch_writes", sa.Boolean(), server_default="0", nullable=False))
        batch_op.create_index("tasks_open", ["state", "organization"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
