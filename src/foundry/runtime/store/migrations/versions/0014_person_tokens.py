"""When a person's refresh token ends, the refresh under way, and the state of their connection to GitHub."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0011"
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


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
