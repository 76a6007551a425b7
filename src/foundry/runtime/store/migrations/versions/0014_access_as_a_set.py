"""Access as a set."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "github_access",
        sa.Column("github", sa.String(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("repository", sa.String(), nullable=False),
        sa.Column("access", sa.String(), nullable=False),
        sa.Column("page", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("github", "person", "repository"),
    )
    op.create_table(
        "github_access_changes",
        sa.Column("github", sa.String(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("repository", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("github", "person", "repository"),
    )
    op.create_table(
        "github_listing_pages",
        sa.Column("github", sa.String(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("page", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("etag", sa.Text(), nullable=False),
        sa.Column("last", sa.Boolean(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("github", "person", "page"),
    )
    op.create_table(
        "github_listings",
        sa.Column("github", sa.String(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("torn", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("single_sign_on", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("round", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("page", sa.Integer(), nullable=True),
        sa.Column("again", sa.Integer(), server_default="0", nullable=False),
        sa.Column("began_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("progressed_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("questions", sa.Integer(), server_default="0", nullable=False),
        sa.Column("questions_since", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("github", "person"),
    )
    op.create_table(
        "github_reaches",
        sa.Column("github", sa.String(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("installations", sa.Text(), nullable=False),
        sa.Column("single_sign_on", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("github", "person"),
    )
    with op.batch_alter_table("github_members", schema=None) as batch_op:
        batch_op.add_column(sa.Column("role", sa.String(), server_default="member", nullable=False))

    with op.batch_alter_table("github_states", schema=None) as batch_op:
        batch_op.add_column(sa.Column("access_number", sa.BigInteger(), server_default="0", nullable=False))

    with op.batch_alter_table("organization_tasks", schema=None) as batch_op:
        batch_op.drop_index("organization_tasks_listing")
        batch_op.create_index("organization_tasks_listing", ["organization", "archived", "repository"], unique=False)

    with op.batch_alter_table("organizations", schema=None) as batch_op:
        batch_op.add_column(sa.Column("public_work", sa.Boolean(), server_default="0", nullable=False))


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
