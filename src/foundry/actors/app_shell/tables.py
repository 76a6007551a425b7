"""AppShell's tables. Times are Unix milliseconds."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, String, Text

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
    Column("expires_at", BigInteger, nullable=False),  # each use moves it; an end sets it to that moment
    Column("device", String, nullable=False, server_default=""),
    Column("address", String, nullable=False, server_default=""),  # of the last use
    Column("used_at", BigInteger),  # 0.3 does not write it
    Column("ended", Text, nullable=False, server_default=""),  # why; kept for a while, to tell the person
    Index("app_sessions_expires", "app", "expires_at"),
)

app_tokens = owned_table(
    "AppShell",
    "app_tokens",
    Column("app", String, primary_key=True),
    Column("token_hash", String, primary_key=True),
    Column("user", String, nullable=False),
    Column("login", String, nullable=False),
    Column("name", String, nullable=False),
    Column("scopes", String, nullable=False),  # a JSON list
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("used_at", BigInteger),
    Column("address", String, nullable=False, server_default=""),
    Column("ended", Text, nullable=False, server_default=""),
    Index("app_tokens_expires", "app", "expires_at"),
)

app_device_logins = owned_table(
    "AppShell",
    "app_device_logins",
    Column("app", String, primary_key=True),
    Column("device_hash", String, primary_key=True),
    Column("user_code_hash", String, nullable=False),
    Column("device", String, nullable=False),
    Column("scopes", String, nullable=False),
    Column("address", String, nullable=False),
    Column("interval", Float, nullable=False),  # seconds
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("polled_at", BigInteger),
    Column("user", String),  # who has answered
    Column("login", String, nullable=False, server_default=""),
    Column("approved", Boolean, nullable=False, server_default="0"),
    Index("app_device_logins_code", "app", "user_code_hash"),
)

app_code_guesses = owned_table(
    "AppShell",
    "app_code_guesses",
    Column("app", String, primary_key=True),
    Column("user", String, primary_key=True),
    Column("since", BigInteger, nullable=False),
    Column("wrong", Integer, nullable=False),
)

app_audit = owned_table(
    "AppShell",
    "app_audit",
    Column("app", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("kind", String, nullable=False),
    Column("person", String),
    Column("login", String, nullable=False, server_default=""),
    Column("what", String, nullable=False),
    Column("detail", Text, nullable=False, server_default=""),
    Column("method", String, nullable=False, server_default=""),
    Column("path", Text, nullable=False, server_default=""),
    Column("address", String, nullable=False, server_default=""),
    Index("app_audit_at", "app", "at"),
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
