"""App sessions that say where they are used, API tokens, sign-ins from a command line, and the audit log.

A server of 0.3 goes on writing app sessions without the new columns, and reads `expires_at`, which an end sets.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("app_sessions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("device", sa.String(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("address", sa.String(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("used_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("ended", sa.Text(), server_default="", nullable=False))
    op.create_table(
        "app_tokens",
        sa.Column("app", sa.String(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("scopes", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.Column("address", sa.String(), server_default="", nullable=False),
        sa.Column("ended", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("app", "token_hash"),
    )
    with op.batch_alter_table("app_tokens", schema=None) as batch_op:
        batch_op.create_index("app_tokens_expires", ["app", "expires_at"], unique=False)
    op.create_table(
        "app_device_logins",
        sa.Column("app", sa.String(), nullable=False),
        sa.Column("device_hash", sa.String(), nullable=False),
        sa.Column("user_code_hash", sa.String(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("scopes", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("interval", sa.Float(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("polled_at", sa.BigInteger(), nullable=True),
        sa.Column("user", sa.String(), nullable=True),
        sa.Column("login", sa.String(), server_default="", nullable=False),
        sa.Column("approved", sa.Boolean(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("app", "device_hash"),
    )
    with op.batch_alter_table("app_device_logins", schema=None) as batch_op:
        batch_op.create_index("app_device_logins_code", ["app", "user_code_hash"], unique=False)
    op.create_table(
        "app_code_guesses",
        sa.Column("app", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("wrong", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("app", "user"),
    )
    op.create_table(
        "app_audit",
        sa.Column("app", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("person", sa.String(), nullable=True),
        sa.Column("login", sa.String(), server_default="", nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("method", sa.String(), server_default="", nullable=False),
        sa.Column("path", sa.Text(), server_default="", nullable=False),
        sa.Column("address", sa.String(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("app", "id"),
    )
    with op.batch_alter_table("app_audit", schema=None) as batch_op:
        batch_op.create_index("app_audit_at", ["app", "at"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
