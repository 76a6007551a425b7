"""A sandbox that is lost is made anew."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.add_column(sa.Column("rebuilt", sa.Text(), server_default="[]", nullable=False))
        batch_op.add_column(sa.Column("lost_sandbox", sa.String(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
