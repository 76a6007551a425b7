"""When a person's refresh token ends, its refresh, and the state of their GitHub connection; the servers' secrets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("user_identities", schema=None) as batch_op:
        batch_op.add_column(sa.Column("refresh_expires_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("refreshing", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("refreshing_since", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("state", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("state_since", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("state_reason", sa.Text(), server_default="", nullable=False))
    op.create_table(
        "server_secrets",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
