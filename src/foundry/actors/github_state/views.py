"""What the edge and the door read of GitHubState."""

from __future__ import annotations

from sqlalchemy import select

from foundry.actors.github_state.tables import (
    github_deliveries,
    github_members,
    github_pull_requests,
    github_repositories,
    github_states,
)
from foundry.contracts.addresses import github as address
from foundry.contracts.github_access import Role
from foundry.contracts.github_state import (
    DeliveryView,
    GitHubStateView,
    Member,
    PullRequestState,
    PullRequestView,
)
from foundry.contracts.ids import OrganizationId, RepositoryId, UserId
from foundry.contracts.messages import utc
from foundry.contracts.repository import RepositoryRef
from foundry.runtime.columns import from_row
from foundry.runtime.reader import Reader


def github_state(reader: Reader, organization: OrganizationId) -> GitHubStateView:
    """How far the organization's picture of GitHub is trusted; all unknown if the App was never there."""
    rows = reader.rows(address(organization))
    row = rows.find(github_states)
    if row is None:
        return GitHubStateView(organization=organization, active=False)
    runs = [one for one in rows.running() if not one.cancelling]
    since = utc(runs[-1].since) if runs else None
    return from_row(GitHubStateView, row, organization=organization, syncing_since=since)


def installation_of(reader: Reader, organization: OrganizationId) -> int | None:
    """The installation of the App that works for this organization; None if there is none (any more)."""
    row = reader.rows(address(organization)).find(github_states)
    return row.installation if row is not None and row.active else None


def known_repository(reader: Reader, organization: OrganizationId, repository: RepositoryId) -> RepositoryRef | None:
    """The repository as GitHub last described it; None if the App does not see it there (any more)."""
    c = github_repositories.c
    row = reader.first(select(c.ref).where(c.github == organization, c.repository == repository))
    return None if row is None else RepositoryRef.model_validate_json(row.ref)


def pull_requests(
    reader: Reader,
    organization: OrganizationId,
    repository: RepositoryId | None = None,
    *,
    state: PullRequestState | None = PullRequestState.OPEN,
) -> list[PullRequestView]:
    """The organization's pull requests, or one repository's, the latest number first; `state` None: all of them."""
    c = github_pull_requests.c
    query = select(c.view).where(c.github == organization)
    if repository is not None:
        query = query.where(c.repository == repository)
    if state is not None:
        query = query.where(c.state == state.value)
    rows = reader.all(query.order_by(c.repository, c.number.desc()))
    return [PullRequestView.model_validate_json(row.view) for row in rows]


def pull_request(
    reader: Reader, organization: OrganizationId, repository: RepositoryId, number: int
) -> PullRequestView | None:
    """One pull request as GitHub last described it; None if it is not known here."""
    c = github_pull_requests.c
    where = (c.github == organization, c.repository == repository, c.number == number)
    row = reader.first(select(c.view).where(*where))
    return None if row is None else PullRequestView.model_validate_json(row.view)


def members(reader: Reader, organization: OrganizationId) -> list[Member]:
    """The organization's members, by login; none for a person's own account."""
    rows = reader.all(select(github_members).where(github_members.c.github == organization))
    found = [Member(id=UserId(row.user), login=row.login, role=Role(row.role)) for row in rows]
    return sorted(found, key=lambda member: member.login.lower())


def deliveries(reader: Reader, limit: int = 50) -> list[DeliveryView]:
    """The latest webhook deliveries, newest first."""
    query = select(github_deliveries).order_by(github_deliveries.c.at.desc(), github_deliveries.c.delivery)
    return [from_row(DeliveryView, row, id=row.delivery) for row in reader.all(query.limit(limit))]
