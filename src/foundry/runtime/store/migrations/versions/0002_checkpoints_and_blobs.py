"""Checkpoints, and the blobs that hold what they saved."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "blobs",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", "part"),
    )
    op.create_table(
        "task_checkpoints",
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("checkpoint", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("session", sa.String(), nullable=True),
        sa.Column("message", sa.String(), nullable=True),
        sa.Column("saved", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task", "checkpoint"),
    )
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.add_column(sa.Column("begins_from", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("save_workflow", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("save_wanted", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("save_trouble", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("restore_workflow", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("kept", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
