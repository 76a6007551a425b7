"""UserGitHubData's table. Times are Unix milliseconds."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Text

from foundry.runtime.store.tables import owned_table

user_identities = owned_table(
    "UserGitHubData",
    "user_identities",
    Column("user", String, primary_key=True),
    Column("login", String, nullable=False),
    Column("name", String, nullable=False),
    Column("email", String, nullable=False),
    Column("avatar_url", String, nullable=False),
    Column("access_token", Text, nullable=False),  # encrypted; empty: none
    Column("refresh_token", Text),  # encrypted
    Column("expires_at", BigInteger),
    Column("changed_at", BigInteger, nullable=False),
    Column("refresh_expires_at", BigInteger),
    Column("refreshing", String),  # the attempt that may send the refresh token, or has sent it
    Column("refreshing_since", BigInteger),
    Column("state", String),  # ConnectionState; NULL: a server of 0.3 stored the row
    Column("state_since", BigInteger),
    Column("state_reason", Text, nullable=False, server_default=""),
)
