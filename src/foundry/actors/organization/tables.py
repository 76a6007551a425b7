"""Organization's tables. Times are Unix milliseconds."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, String, Text

from foundry.actors.runtime_issues import issue_table
from foundry.runtime.store.tables import owned_table

organizations = owned_table(
    "Organization",
    "organizations",
    Column("organization", String, primary_key=True),
    Column("login", String, nullable=False),
    Column("name", String, nullable=False),
    Column("avatar_url", String, nullable=False),
    Column("installation", BigInteger),
    Column("active", Boolean, nullable=False),
    Column("public_work", Boolean, nullable=False, server_default="0"),  # everybody may read it
)

organization_tasks = owned_table(
    "Organization",
    "organization_tasks",
    Column("organization", String, primary_key=True),
    Column("task", String, primary_key=True),
    Column("repository", String, nullable=False),
    Column("archived", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("summary", Text, nullable=False),  # TaskSummary
    Index("organization_tasks_listing", "organization", "archived", "repository"),
)

organization_repositories = owned_table(
    "Organization",
    "organization_repositories",
    Column("organization", String, primary_key=True),
    Column("repository", String, primary_key=True),
    Column("full_name", String, nullable=False),
    Column("ref", Text, nullable=False),  # RepositoryRef
)

organization_issues = issue_table("Organization", "organization_issues")
