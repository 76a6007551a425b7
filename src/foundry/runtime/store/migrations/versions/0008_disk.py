"""What sandboxes take on disk, when an archived task's is removed, and those that nobody uses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("sandboxes", schema=None) as batch_op:
        batch_op.add_column(sa.Column("disk", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("remove_at", sa.BigInteger(), nullable=True))
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.add_column(sa.Column("remove_at", sa.BigInteger(), nullable=True))
    op.create_table(
        "app_strays",
        sa.Column("app", sa.String(), nullable=False),
        sa.Column("sandbox", sa.String(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("disk", sa.BigInteger(), nullable=True),
        sa.Column("removing", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("trouble", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("app", "sandbox"),
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
