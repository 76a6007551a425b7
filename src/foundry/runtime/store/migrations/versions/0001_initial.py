"""The first shape."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "actors",
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("parent", sa.String(), nullable=True),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("dropped", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("actor"),
    )
    with op.batch_alter_table("actors", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_actors_kind"), ["kind"], unique=False)
        batch_op.create_index(batch_op.f("ix_actors_parent"), ["parent"], unique=False)

    op.create_table(
        "app_installations",
        sa.Column("app", sa.String(), nullable=False),
        sa.Column("installation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("app", "installation"),
    )
    op.create_table(
        "app_issues",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "id"),
        sa.UniqueConstraint("owner", "fingerprint", name="app_issues_fingerprint"),
    )
    op.create_table(
        "app_sessions",
        sa.Column("app", sa.String(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("app", "token_hash"),
    )
    with op.batch_alter_table("app_sessions", schema=None) as batch_op:
        batch_op.create_index("app_sessions_expires", ["app", "expires_at"], unique=False)

    op.create_table(
        "app_users",
        sa.Column("app", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("signed_in_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("app", "user"),
    )
    op.create_table(
        "asks",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("refusal", sa.Text(), nullable=True),
        sa.Column("workflow", sa.String(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    with op.batch_alter_table("asks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_asks_created_at"), ["created_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_asks_workflow"), ["workflow"], unique=False)

    op.create_table(
        "events",
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("word", sa.String(), nullable=False),
        sa.Column("entity", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("repository", sa.String(), nullable=True),
        sa.Column("person", sa.String(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("actor", "version"),
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index("events_at", ["at"], unique=False)
        batch_op.create_index("events_entity", ["actor", "entity"], unique=False)

    op.create_table(
        "followed_streams",
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("sandbox", sa.String(), nullable=False),
        sa.Column("server", sa.String(), nullable=False),
        sa.Column("following", sa.Boolean(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("session"),
    )
    with op.batch_alter_table("followed_streams", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_followed_streams_following"), ["following"], unique=False)

    op.create_table(
        "github_deliveries",
        sa.Column("github", sa.String(), nullable=False),
        sa.Column("delivery", sa.String(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("installation", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("github", "delivery"),
    )
    with op.batch_alter_table("github_deliveries", schema=None) as batch_op:
        batch_op.create_index("github_deliveries_at", ["github", "at"], unique=False)

    op.create_table(
        "github_installations",
        sa.Column("github", sa.String(), nullable=False),
        sa.Column("installation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("removed", sa.Boolean(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("github", "installation"),
    )
    op.create_table(
        "github_members",
        sa.Column("github", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("login", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("github", "user"),
    )
    op.create_table(
        "github_permissions",
        sa.Column("github", sa.String(), nullable=False),
        sa.Column("repository", sa.String(), nullable=False),
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("access", sa.String(), nullable=False),
        sa.Column("checked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("github", "repository", "login"),
    )
    op.create_table(
        "github_pull_requests",
        sa.Column("github", sa.String(), nullable=False),
        sa.Column("repository", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("head", sa.String(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("view", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("github", "repository", "number"),
    )
    with op.batch_alter_table("github_pull_requests", schema=None) as batch_op:
        batch_op.create_index("github_pull_requests_state", ["github", "state"], unique=False)

    op.create_table(
        "github_repositories",
        sa.Column("github", sa.String(), nullable=False),
        sa.Column("repository", sa.String(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("github", "repository"),
    )
    op.create_table(
        "github_states",
        sa.Column("github", sa.String(), nullable=False),
        sa.Column("installation", sa.BigInteger(), nullable=True),
        sa.Column("login", sa.String(), server_default="", nullable=False),
        sa.Column("name", sa.String(), server_default="", nullable=False),
        sa.Column("avatar_url", sa.String(), server_default="", nullable=False),
        sa.Column("personal", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("active", sa.Boolean(), server_default="1", nullable=False),
        sa.Column("sync_workflow", sa.String(), nullable=True),
        sa.Column("sync_started_at", sa.BigInteger(), nullable=True),
        sa.Column("sync_again", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("synced_at", sa.BigInteger(), nullable=True),
        sa.Column("trouble", sa.Text(), server_default="", nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("github"),
    )
    op.create_table(
        "history_entries",
        sa.Column("repository", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("login", sa.String(), nullable=True),
        sa.Column("task", sa.String(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("repository", "number"),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("fencing", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "mailbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("receiver", sa.String(), nullable=False),
        sa.Column("sender", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("word", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_try_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("set_aside_at", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sender", "seq", name="mailbox_sender_seq"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("mailbox", schema=None) as batch_op:
        batch_op.create_index("mailbox_receiver", ["receiver", "id"], unique=False)
        batch_op.create_index(
            "mailbox_waiting",
            ["receiver", "sender"],
            unique=False,
            sqlite_where=sa.text("next_try_at > 0"),
            postgresql_where=sa.text("next_try_at > 0"),
        )

    op.create_table(
        "organization_issues",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "id"),
        sa.UniqueConstraint("owner", "fingerprint", name="organization_issues_fingerprint"),
    )
    op.create_table(
        "organization_repositories",
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("repository", sa.String(), nullable=False),
        sa.Column("full_name", sa.String(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("organization", "repository"),
    )
    op.create_table(
        "organization_tasks",
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("repository", sa.String(), nullable=False),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("organization", "task"),
    )
    with op.batch_alter_table("organization_tasks", schema=None) as batch_op:
        batch_op.create_index("organization_tasks_listing", ["organization", "archived", "created_at"], unique=False)

    op.create_table(
        "organizations",
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("avatar_url", sa.String(), nullable=False),
        sa.Column("installation", sa.BigInteger(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("organization"),
    )
    op.create_table(
        "repositories",
        sa.Column("repository", sa.String(), nullable=False),
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("repository"),
    )
    op.create_table(
        "repository_branches",
        sa.Column("repository", sa.String(), nullable=False),
        sa.Column("branch", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("reserved_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("repository", "branch"),
        sa.UniqueConstraint("repository", "task", name="repository_branches_task"),
    )
    op.create_table(
        "repository_tasks",
        sa.Column("repository", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("repository", "task"),
    )
    with op.batch_alter_table("repository_tasks", schema=None) as batch_op:
        batch_op.create_index("repository_tasks_listing", ["repository", "archived", "created_at"], unique=False)

    op.create_table(
        "sandboxes",
        sa.Column("sandbox", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), server_default="", nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("state_since", sa.BigInteger(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=True),
        sa.Column("warning", sa.Text(), server_default="", nullable=False),
        sa.Column("log", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("sandbox"),
    )
    op.create_table(
        "schedules",
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("actor", "name"),
    )
    with op.batch_alter_table("schedules", schema=None) as batch_op:
        batch_op.create_index("schedules_due", ["due_at"], unique=False)

    op.create_table(
        "session_cards",
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("card", sa.String(), nullable=False),
        sa.Column("entry", sa.String(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("session", "card"),
    )
    op.create_table(
        "session_messages",
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("outcome", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("rpc", sa.String(), nullable=True),
        sa.Column("entry", sa.String(), nullable=True),
        sa.Column("workflow", sa.String(), nullable=True),
        sa.Column("doubtful", sa.Boolean(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("session", "message"),
    )
    op.create_table(
        "session_people",
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("draft", sa.Text(), server_default="", nullable=False),
        sa.Column("read_position", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("session", "person"),
    )
    op.create_table(
        "session_permissions",
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("permission", sa.String(), nullable=False),
        sa.Column("rpc", sa.String(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("answer", sa.String(), nullable=True),
        sa.Column("person", sa.Text(), nullable=True),
        sa.Column("workflow", sa.String(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("session", "permission"),
    )
    op.create_table(
        "sessions",
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.String(), nullable=False),
        sa.Column("sandbox", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("status_since", sa.BigInteger(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.Column("told", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("server", sa.String(), nullable=True),
        sa.Column("connected", sa.Boolean(), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("agent_session", sa.Text(), nullable=True),
        sa.Column("opening", sa.String(), nullable=True),
        sa.Column("resumed", sa.Boolean(), nullable=False),
        sa.Column("unreachable", sa.Boolean(), nullable=False),
        sa.Column("replay_ends", sa.String(), nullable=False),
        sa.Column("needs_context", sa.Boolean(), nullable=False),
        sa.Column("prompted", sa.Boolean(), nullable=False),
        sa.Column("running", sa.String(), nullable=True),
        sa.Column("lost", sa.String(), nullable=True),
        sa.Column("stopping", sa.Boolean(), nullable=False),
        sa.Column("open_entry", sa.String(), nullable=True),
        sa.Column("open_kind", sa.String(), nullable=False),
        sa.Column("open_key", sa.String(), nullable=False),
        sa.Column("open_position", sa.BigInteger(), nullable=False),
        sa.Column("open_length", sa.BigInteger(), nullable=False),
        sa.Column("open_at", sa.BigInteger(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("commands", sa.Text(), nullable=False),
        sa.Column("usage", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("session"),
    )
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sessions_task"), ["task"], unique=False)

    op.create_table(
        "task_sessions_known",
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("title", sa.String(), server_default="", nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.Column("opening", sa.Boolean(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("task", "session"),
    )
    op.create_table(
        "task_waiting_prompts",
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task", "message"),
    )
    op.create_table(
        "tasks",
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("wanted_branch", sa.String(), nullable=True),
        sa.Column("branch", sa.String(), nullable=True),
        sa.Column("base", sa.String(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("phase_since", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="1", nullable=False),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.Column("workflow", sa.String(), nullable=True),
        sa.Column("publishing", sa.String(), server_default="", nullable=False),
        sa.Column("publish_workflow", sa.String(), nullable=True),
        sa.Column("auto_publish", sa.Boolean(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("sandbox", sa.String(), nullable=False),
        sa.Column("active_session", sa.String(), nullable=True),
        sa.Column("running_message", sa.String(), nullable=True),
        sa.Column("pull_request", sa.Text(), nullable=True),
        sa.Column("work", sa.Text(), server_default="{}", nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("archived", sa.String(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task"),
    )
    op.create_table(
        "user_identities",
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("avatar_url", sa.String(), nullable=False),
        sa.Column("access_token", sa.Text(), nullable=False),
        sa.Column("refresh_token", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user"),
    )
    op.create_table(
        "workflows",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("generation", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("crashes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("executor", sa.String(), nullable=True),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("cancelled", sa.Integer(), server_default="0", nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("workflows", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_workflows_owner"), ["owner"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
