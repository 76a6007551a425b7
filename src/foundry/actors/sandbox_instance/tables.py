"""What a SandboxInstance keeps."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Text

from foundry.runtime.store.tables import owned_table

sandboxes = owned_table(
    "SandboxInstance",
    "sandboxes",
    Column("sandbox", String, primary_key=True),
    Column("task", String, nullable=False),
    Column("provider", String, nullable=False, server_default=""),
    Column("state", String, nullable=False),
    Column("state_since", BigInteger, nullable=False),
    Column("endpoint", Text),  # Endpoint
    Column("warning", Text, nullable=False, server_default=""),
    Column("log", Text, nullable=False, server_default=""),
    Column("disk", BigInteger),  # bytes, as last measured
    Column("remove_at", BigInteger),  # when an archived task's is removed
)
