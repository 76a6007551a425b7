"""What release 0.1 used and nobody does any more goes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

CONTRACTS = "0010"

TASKS = (
    "repository", "trouble", "workflow", "publishing", "publish_workflow", "pull_request", "save_workflow",
    "save_wanted", "save_trouble", "restore_workflow", "release_workflow", "rest_workflow", "resting", "rename",
    "rename_workflow", "former_branches", "upstream", "fetch_workflow", "fetch_writes", "began", "rebuilt",
    "lost_sandbox", "kept", "remove_at", "mirror", "mirror_at",
)  # fmt: skip
SESSIONS = (
    "repository", "told", "opening", "began", "open_entry", "open_kind", "open_key", "open_position", "open_length",
    "open_at", "mode", "commands", "usage", "mirror",
)  # fmt: skip
GITHUB_STATES = ("sync_workflow", "sync_started_at")

# Sessions in which nothing has happened since 0.1: 0.2 moves what they have in their next turn.
AGENTS = """
INSERT INTO session_agents (session, mode, commands, usage)
SELECT session, mode, coalesce(nullif(commands, ''), '[]'), coalesce(nullif(usage, ''), '{}') FROM sessions
WHERE repository <> '' AND mirror IS NULL AND session NOT IN (SELECT session FROM session_agents)
"""
OPEN_ENTRIES = """
INSERT INTO session_open_entries (session, entry, kind, key, position, length, at)
SELECT session, open_entry, open_kind, open_key, open_position, open_length, open_at FROM sessions
WHERE repository <> '' AND mirror IS NULL AND open_entry IS NOT NULL
AND session NOT IN (SELECT session FROM session_open_entries)
"""
RENAMED = (
    "UPDATE workflows SET name = 'git_status' WHERE name = 'inspect'",
    "UPDATE workflows SET name = 'idle_stop' WHERE name = 'rest'",
    "UPDATE sandboxes SET state = 'retained' WHERE state = 'kept'",
)


def upgrade() -> None:
    for statement in (AGENTS, OPEN_ENTRIES, *RENAMED):
        op.execute(statement)
    for table, columns in (("tasks", TASKS), ("github_states", GITHUB_STATES), ("sessions", SESSIONS)):
        with op.batch_alter_table(table, schema=None) as batch_op:
            for name in columns:
                batch_op.drop_column(name)
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.alter_column("resting", existing_type=sa.Boolean(), server_default=None)
        batch_op.alter_column("heard_at", existing_type=sa.BigInteger(), server_default=None)
    op.drop_table("app_users")
    op.drop_table("app_installations")


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
