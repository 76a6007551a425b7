"""AppShell's tables. Times are Unix milliseconds."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, String, Text

from foundry.actors.runtime_issues import issue_table
from foundry.runtime.store.tables import owned_table

app_sessions = owned_table(
    "AppShell",
    "app_sessions",
    Column("app", String, primary_key=True),
    Column("token_hash", String, primary_key=True),
    Column("user", String, nullable=False),
    Column("login", String, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("app_sessions_expires", "app", "expires_at"),
)

app_issues = issue_table("AppShell", "app_issues")

app_orphans = owned_table(
    "AppShell",
    "app_strays",
    Column("app", String, primary_key=True),
    Column("sandbox", String, primary_key=True),
    Column("since", BigInteger, nullable=False),
    Column("disk", BigInteger),  # bytes
    Column("removing", Boolean, nullable=False, server_default="0"),  # somebody asked for that
    Column("trouble", Text, key="failure", nullable=False, server_default=""),  # why it could not be removed
)
