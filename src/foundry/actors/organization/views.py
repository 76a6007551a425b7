"""What the edge reads of Organization: every list there is (R1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from pydantic import TypeAdapter
from sqlalchemy import Select, bindparam, func, select

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
from foundry.runtime.reader import Query, Reader

Readable = Select[tuple[str]]
"""Selects the ids of the repositories that somebody may read; it is another actor's, and joined here in one query."""


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
    return [found for _, _, found in installed(reader)]


def installed(reader: Reader) -> list[tuple[OrganizationId, int | None, OrganizationView]]:
    """The same, with the installation of each."""
    rows = sorted(reader.all(_INSTALLED), key=lambda row: row.login.lower())
    return [(OrganizationId(row.organization), row.installation, view(row)) for row in rows]


_INSTALLED = select(table).where(table.c.active.is_(True))

_REFS = TypeAdapter(list[RepositoryRef])
_TASK, _REPOSITORY = organization_tasks.c, organization_repositories.c
_THERE = (_REPOSITORY.organization == _TASK.organization) & (_REPOSITORY.repository == _TASK.repository)


def task_list(
    reader: Reader,
    organization: OrganizationId,
    readable: Readable | None = None,
    values: Mapping[str, object] | None = None,
    *,
    archived: bool = False,
) -> list[TaskSummary]:
    """The organization's tasks, the newest first; the archived ones in a list of their own.

    Args:
        readable: only tasks of repositories whose ids this selects.
        values: of the parameters of `readable`.
    """
    query = _tasks(archived, readable)
    return [_listed(row) for row in reader.all(query, {**(values or {}), "organization": organization})]


@lru_cache(maxsize=16)
def _tasks(archived: bool, readable: Readable | None) -> Query:
    query = select(_TASK.summary, _REPOSITORY.ref)
    query = query.join_from(organization_tasks, organization_repositories, _THERE, isouter=readable is None)
    query = query.where(_TASK.organization == bindparam("organization"), _TASK.archived.is_(archived))
    if readable is not None:
        query = query.where(_TASK.repository.in_(readable))
    return query.order_by(_TASK.created_at.desc(), _TASK.task.desc())


def _listed(row: AnyRow) -> TaskSummary:
    """Return a task with its repository's current name; with the id only if the App no longer sees the repository."""
    task = TaskSummary.model_validate_json(row.summary)
    return task if row.ref is None else task.at(RepositoryRef.model_validate_json(row.ref))


def repository_list(
    reader: Reader,
    organization: OrganizationId,
    readable: Readable | None = None,
    values: Mapping[str, object] | None = None,
) -> list[RepositoryRef]:
    """The repositories the App may see there, by name; only those whose ids `readable` selects, if it is given."""
    return _REFS.validate_json(repository_list_json(reader, organization, readable, values))


def repository_list_json(
    reader: Reader,
    organization: OrganizationId,
    readable: Readable | None = None,
    values: Mapping[str, object] | None = None,
) -> str:
    """The same as JSON. The rows have it already, so hundreds of models need not be made to be sent."""
    rows = reader.all(_refs(readable), {**(values or {}), "organization": organization})
    return f"[{','.join(row.ref for row in rows)}]"


def repository_ids(
    reader: Reader,
    organization: OrganizationId,
    readable: Readable | None = None,
    values: Mapping[str, object] | None = None,
) -> list[str]:
    """The ids of the same repositories."""
    rows = reader.all(_ids(readable), {**(values or {}), "organization": organization})
    return [row.repository for row in rows]


@lru_cache(maxsize=16)
def _ids(readable: Readable | None) -> Query:
    query = select(_REPOSITORY.repository).where(_REPOSITORY.organization == bindparam("organization"))
    return query if readable is None else query.where(_REPOSITORY.repository.in_(readable))


@lru_cache(maxsize=16)
def _refs(readable: Readable | None) -> Query:
    by_name = func.lower(_REPOSITORY.full_name), _REPOSITORY.repository
    return _ids(readable).with_only_columns(_REPOSITORY.ref).order_by(*by_name)


def find_repository(reader: Reader, organization: OrganizationId, wanted: str) -> RepositoryRef | None:
    """The repository with this id or full name, in lower case; None if the App sees none."""
    row = reader.first(_NAMED, {"organization": organization, "wanted": wanted})
    return None if row is None else RepositoryRef.model_validate_json(row.ref)


_NAMED = select(_REPOSITORY.ref).where(
    _REPOSITORY.organization == bindparam("organization"),
    (_REPOSITORY.repository == bindparam("wanted")) | (func.lower(_REPOSITORY.full_name) == bindparam("wanted")),
)


def has_repository(reader: Reader, repository: RepositoryRef) -> bool:
    """Return True if the App sees the repository."""
    values = {"organization": repository.organization, "repository": repository.id}
    return reader.first(_HAS, values) is not None


_HAS = select(_REPOSITORY.repository).where(
    _REPOSITORY.organization == bindparam("organization"), _REPOSITORY.repository == bindparam("repository")
)


def issues(reader: Reader, organization: OrganizationId) -> list[IssueView]:
    """The organization's runtime issues, the latest first: what badges and settings show (R19)."""
    return listed(reader.all(select(organization_issues).where(organization_issues.c.owner == organization)))


def view(row: AnyRow) -> OrganizationView:
    return from_row(OrganizationView, row, id=row.organization)


def repository_refs(rows: Sequence[AnyRow]) -> list[RepositoryRef]:
    found = sorted(rows, key=lambda row: (row.full_name.lower(), row.repository))
    return [RepositoryRef.model_validate_json(row.ref) for row in found]
