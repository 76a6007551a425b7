"""History's table. Times are Unix milliseconds."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, String, Text

from foundry.runtime.store.tables import owned_table

history_entries = owned_table(
    "History",
    "history_entries",
    Column("repository", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # 1, 2, 3…
    Column("what", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("login", String),
    Column("task", String),
    Column("at", BigInteger, nullable=False),
)
