"""What the edge reads of Organization: every list there is (R1)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from foundry.actors.organization.tables import (
    organization_issues,
    organization_repositories,
    organization_tasks,
)
from foundry.actors.organization.tables import (
    organizations as table,
)
from foundry.actors.runtime_issues import listed
from foundry.contracts.errors import NotFound
from foundry.contracts.ids import OrganizationId
from foundry.contracts.organization import IssueView, OrganizationView
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.task import TaskSummary
from foundry.runtime.columns import AnyRow, from_row
from foundry.runtime.reader import Reader


def organization_view(reader: Reader, organization: OrganizationId) -> OrganizationView:
    """The organization.

    Raises:
        NotFound: the App was never installed there.
    """
    row = reader.first(select(table).where(table.c.organization == organization))
    if row is None:
        raise NotFound(f"no organization with id {organization}")
    return view(row)


def organizations(reader: Reader) -> list[OrganizationView]:
    """Every organization that has the App installed, by login."""
    found = [view(row) for row in reader.all(select(table).where(table.c.active.is_(True)))]
    return sorted(found, key=lambda organization: organization.login.lower())


def task_list(reader: Reader, organization: OrganizationId, *, archived: bool = False) -> list[TaskSummary]:
    """The organization's tasks, the newest first; the archived ones in a list of their own."""
    tasks, repositories = organization_tasks.c, organization_repositories.c
    here = (repositories.organization == tasks.organization) & (repositories.repository == tasks.repository)
    query = select(tasks.summary, repositories.ref).outerjoin_from(organization_tasks, organization_repositories, here)
    query = query.where(tasks.organization == organization, tasks.archived.is_(archived))
    rows = reader.all(query.order_by(tasks.created_at.desc(), tasks.task.desc()))
    return [_listed(row) for row in rows]


def _listed(row: AnyRow) -> TaskSummary:
    """Return a task with its repository's current name; with the id only if the App no longer sees the repository."""
    task = TaskSummary.model_validate_json(row.summary)
    return task if row.ref is None else task.at(RepositoryRef.model_validate_json(row.ref))


def repository_list(reader: Reader, organization: OrganizationId) -> list[RepositoryRef]:
    """The repositories the App may see there, by name."""
    repositories = organization_repositories
    return repository_refs(reader.all(select(repositories).where(repositories.c.organization == organization)))


def issues(reader: Reader, organization: OrganizationId) -> list[IssueView]:
    """The organization's runtime issues, the latest first: what badges and settings show (R19)."""
    return listed(reader.all(select(organization_issues).where(organization_issues.c.owner == organization)))


def view(row: AnyRow) -> OrganizationView:
    return from_row(OrganizationView, row, id=row.organization)


def repository_refs(rows: Sequence[AnyRow]) -> list[RepositoryRef]:
    found = sorted(rows, key=lambda row: (row.full_name.lower(), row.repository))
    return [RepositoryRef.model_validate_json(row.ref) for row in found]
