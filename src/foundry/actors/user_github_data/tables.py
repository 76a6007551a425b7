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
    Column("access_token", Text, nullable=False),  # encrypted
    Column("refresh_token", Text),  # encrypted
    Column("expires_at", BigInteger),
    Column("changed_at", BigInteger, nullable=False),
)
