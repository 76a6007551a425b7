"""What a SessionStatusSync keeps: whose stream it reads."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, String

from foundry.runtime.store.tables import owned_table

read_streams = owned_table(
    "SessionStatusSync",
    "followed_streams",
    Column("session", String, primary_key=True),
    Column("sandbox", String, nullable=False),
    Column("server", String, nullable=False),
    Column("following", Boolean, key="reading", nullable=False, index=True),
    Column("since", BigInteger, nullable=False),
)
