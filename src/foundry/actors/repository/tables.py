"""Repository's tables. Times are Unix milliseconds. No pull requests here: those are GitHubState's (R14)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, String, Text, UniqueConstraint

from foundry.runtime.store.tables import owned_table

repositories = owned_table(
    "Repository",
    "repositories",
    Column("repository", String, primary_key=True),
    Column("organization", String, nullable=False),
    Column("ref", Text, nullable=False),  # RepositoryRef
)

repository_branches = owned_table(
    "Repository",
    "repository_branches",
    Column("repository", String, primary_key=True),
    Column("branch", String, primary_key=True),
    Column("task", String, nullable=False),
    Column("renaming_to", String),  # held too while the task's branch is being renamed
    Column("reserved_at", BigInteger, nullable=False),
    UniqueConstraint("repository", "task", name="repository_branches_task"),  # R4
)

repository_tasks = owned_table(
    "Repository",
    "repository_tasks",
    Column("repository", String, primary_key=True),
    Column("task", String, primary_key=True),
    Column("archived", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("summary", Text, nullable=False),  # TaskSummary
    Index("repository_tasks_listing", "repository", "archived", "created_at"),
)
