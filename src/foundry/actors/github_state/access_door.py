"""GitHub's answers to the edge's questions about access, each in the name that it is asked in (R10, R11).

With the person's own token, so within their own budget: reach, listings, single rights, roles. With the App's: what is
public, and one right of a person without a usable token. The App's budget has a floor: pushes, webhooks and syncs go on
below it, these questions do not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from foundry.actors.github_state.tables import github_states
from foundry.actors.github_state.views import installation_of
from foundry.contracts.addresses import github as address
from foundry.contracts.doors import AccessDoor
from foundry.contracts.github_access import (
    EVERYBODY,
    FLOOR,
    ListedPage,
    Reached,
    Right,
    Role,
    SingleRight,
)
from foundry.contracts.github_payloads import GitHubAccount, GitHubBudget, GitHubMembership, GitHubReachedRepository
from foundry.contracts.github_state import NotInstalled
from foundry.contracts.ids import OrganizationId, RepositoryId, UserId
from foundry.contracts.people import Access
from foundry.github.client import GitHub
from foundry.github.client_base import Caller, Page
from foundry.github.errors import GitHubNotFound, GitHubRateLimited, GitHubRefused
from foundry.runtime.reader import Reader

PAGE = 100  # repositories

Call = Callable[[Caller], Awaitable[Any]]
AsPerson = Callable[[UserId, Call], Awaitable[Any]]
"""Calls with a person's token: `GitHubOutside.as_person`."""

ReadGitHub = Callable[[Callable[[Reader], Any]], Awaitable[Any]]
"""Reads GitHubState's tables: `Runtime.read`."""


class AccessOutside(AccessDoor):
    """`foundry.contracts.doors.AccessDoor` on GitHub's API."""

    def __init__(self, client: GitHub, as_person: AsPerson, read: ReadGitHub) -> None:
        self._client, self._as_person, self._read = client, as_person, read

    async def reached(self, person: UserId) -> Reached:
        async def call(caller: Caller) -> Reached:
            installations, hidden, number = list[int](), set[str](), 1
            while True:
                page = await caller.page(f"/user/installations?per_page={PAGE}&page={number}")
                assert page is not None  # it was asked for without an ETag
                installations += [installation["id"] for installation in page.data["installations"]]
                hidden |= _hidden(page.single_sign_on)
                if not page.more:
                    organizations = [OrganizationId(id) for id in sorted(hidden)]
                    return Reached(installations=installations, single_sign_on=organizations)
                number += 1

        return await self._as_person(person, call)

    async def role(self, person: UserId, organization: OrganizationId) -> Role:
        if organization == person:
            return Role.OWNER
        login, personal = await self._account(organization)
        if personal:
            return Role.NONE
        try:
            found = await self._as_person(
                person, lambda caller: caller.get(f"/user/memberships/orgs/{login}", GitHubMembership)
            )
        except (GitHubNotFound, GitHubRefused):
            return Role.NONE
        if found.state != "active" or str(found.organization.id) != organization:
            return Role.NONE
        return Role.OWNER if found.role == "admin" else Role.MEMBER

    async def listed(self, person: UserId, organization: OrganizationId, page: int, etag: str) -> ListedPage | None:
        installation = await self._installation(organization)
        query = f"repositories?per_page={PAGE}&page={page}"
        if person == EVERYBODY:
            found = await self._as_app(installation).page(f"/installation/{query}", etag)
            return found and _listed(found, public=True)
        url = f"/user/installations/{installation}/{query}"
        try:
            found = await self._as_person(person, lambda caller: caller.page(url, etag))
        except (GitHubNotFound, GitHubRefused):  # the person does not reach the installation
            return ListedPage(rights=[], total=0, last=True)
        return found and _listed(found)

    async def right(self, person: UserId, repository: RepositoryId) -> SingleRight:
        url = f"/repositories/{repository}"  # GitHub redirects renamed repositories to this address
        try:
            found = await self._as_person(person, lambda caller: caller.get(url, GitHubReachedRepository))
        except (GitHubNotFound, GitHubRefused):
            return SingleRight(access=Access.NONE)
        return SingleRight(access=found.access, public=not found.private)

    async def right_by_app(self, person: UserId, organization: OrganizationId, repository: RepositoryId) -> SingleRight:
        """1. The person's login now: the known one may be somebody else's. 2. Their right. 3. By number."""
        caller = self._as_app(await self._installation(organization))
        try:
            account = await caller.get(f"/user/{person}", GitHubAccount)
            there = await caller.get(f"/repositories/{repository}", GitHubReachedRepository)
        except GitHubNotFound:
            return SingleRight(access=Access.NONE)
        found = await self._client.permission(caller, repository, account.login)
        if found is None or found.user is None or str(found.user.id) != person:
            return SingleRight(access=Access.NONE)
        return SingleRight(access=Access(found.role), public=not there.private)

    async def budget(self, organization: OrganizationId) -> GitHubBudget | None:
        installation = await self._read(lambda reader: installation_of(reader, organization))
        return None if installation is None else self._client.budget(installation)

    def _as_app(self, installation: int) -> Caller:
        """The installation's caller, above the floor.

        Raises:
            GitHubRateLimited: what is left of the hour's budget is kept for people's work.
        """
        budget = self._client.budget(installation)
        if below(budget, FLOOR):
            left = f"{budget.remaining} of {budget.limit} requests are left in this hour"
            raise GitHubRateLimited(f"{left}; they are kept for pushes and webhooks", reset_at=budget.reset_at)
        return self._client.as_installation(installation)

    async def _installation(self, organization: OrganizationId) -> int:
        found = await self._read(lambda reader: installation_of(reader, organization))
        if found is None:
            raise NotInstalled(f"the GitHub App is not installed for organization {organization}")
        return found

    async def _account(self, organization: OrganizationId) -> tuple[str, bool]:
        row = await self._read(lambda reader: reader.rows(address(organization)).one(github_states))
        return row.login, bool(row.personal)


def below(budget: GitHubBudget, part: float) -> bool:
    """Return True if less than this part of the hour's requests is left."""
    if budget.limit is None or budget.remaining is None or budget.reset_at is None:
        return False
    return budget.remaining < budget.limit * part and budget.reset_at > datetime.now(UTC)


def _listed(page: Page, *, public: bool = False) -> ListedPage:
    items: list[Any] = page.data["repositories"]
    seen = [GitHubReachedRepository.model_validate(item) for item in items]
    rights = [
        Right(repository=RepositoryId(str(one.id)), access=Access.READ if public else one.access)
        for one in seen
        if not (public and one.private)
    ]
    return ListedPage(rights=rights, total=page.data["total_count"], last=not page.more, etag=page.etag)


def _hidden(header: str) -> set[str]:
    """The organizations that a list leaves out: `partial-results; organizations=1,2`."""
    kind, _, rest = header.partition(";")
    if kind != "partial-results":
        return set()
    return {id for id in rest.partition("organizations=")[2].split(",") if id.isdigit()}
