"""Alembic's entry: run revisions on the connection that `migrate` gives, or compare with the metadata."""

from __future__ import annotations

from alembic import context

from foundry.runtime.store.tables import metadata

connection = context.config.attributes["connection"]
if not connection.in_transaction():
    connection.begin()  # the caller's: it commits at the end, and a revision with many rows to change may in between
context.configure(connection=connection, target_metadata=metadata, render_as_batch=connection.dialect.name == "sqlite")
with context.begin_transaction():
    context.run_migrations()
