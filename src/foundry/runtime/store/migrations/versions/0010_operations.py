"""Operations as rows: what runs is read from the runtime's table; a task's parts have tables of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("actors", schema=None) as batch_op:
        batch_op.add_column(sa.Column("shown", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("told", sa.String(), nullable=True))
    with op.batch_alter_table("workflows", schema=None) as batch_op:
        batch_op.add_column(sa.Column("release", sa.String(), nullable=True))
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.add_column(sa.Column("repository_id", sa.String(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("sandbox_stopped", sa.Boolean(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("pull_request_number", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("pull_request_ended", sa.String(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("mirror", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("mirror_at", sa.BigInteger(), nullable=True))
        batch_op.alter_column("repository", existing_type=sa.Text(), server_default="")
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("mirror", sa.String(), nullable=True))
        for name in ("repository", "told", "commands", "usage"):
            batch_op.alter_column(name, existing_type=sa.Text(), server_default="")
        for name in ("open_kind", "open_key", "mode"):
            batch_op.alter_column(name, existing_type=sa.String(), server_default="")
        for name in ("open_position", "open_length", "open_at"):
            batch_op.alter_column(name, existing_type=sa.BigInteger(), server_default="0")
    _task_tables()
    _session_tables()


def _task_tables() -> None:
    op.create_table(
        "task_operations",
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("step", sa.String(), server_default="", nullable=False),
        sa.Column("holds", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("task", "kind"),
    )
    op.create_table(
        "task_wanted_checkpoints",
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("session", sa.String(), nullable=True),
        sa.Column("message", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("task"),
    )
    op.create_table(
        "task_diffs",
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("diff", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("task"),
    )
    op.create_table(
        "task_remote_branches",
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("head", sa.String(), nullable=True),
        sa.Column("before", sa.String(), nullable=True),
        sa.Column("since", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("pushed", sa.Text(), server_default="[]", nullable=False),
        sa.Column("tried", sa.String(), nullable=True),
        sa.Column("later", sa.Boolean(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("task"),
    )
    op.create_table(
        "task_renames",
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("old", sa.String(), nullable=False),
        sa.Column("new", sa.String(), nullable=False),
        sa.Column("replaces", sa.Integer(), nullable=True),
        sa.Column("touched", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("asked", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("giving_up", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("merged", sa.Boolean(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("task"),
    )
    op.create_table(
        "task_former_branches",
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("branch", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("task", "branch"),
    )
    op.create_table(
        "task_lost_sandboxes",
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("sandbox", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("replaced", sa.Boolean(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("task", "sandbox"),
    )
    op.create_table(
        "task_releases",
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("retained", sa.Text(), server_default="", nullable=False),
        sa.Column("remove_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("task"),
    )


def _session_tables() -> None:
    op.create_table(
        "session_agents",
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("commands", sa.Text(), nullable=False),
        sa.Column("usage", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("session"),
    )
    op.create_table(
        "session_open_entries",
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("entry", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("session"),
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
