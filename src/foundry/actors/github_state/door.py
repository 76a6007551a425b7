"""The one door to GitHub (R10): every call Foundry makes there, and the git credential.

The installation that works for an organization, and the present name of a repository, are read from GitHubState's
tables at each call, so a rename or a new installation is followed at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar, cast

import structlog

from foundry.actors.github_state.access_door import AccessOutside, ReadGitHub, below
from foundry.actors.github_state.person_tokens import PersonTokens
from foundry.actors.github_state.shapes import installation_summary, pull_request_view, repository_ref
from foundry.actors.github_state.views import installation_of, known_repository
from foundry.contracts.doors import Doors, GitHubDoor
from foundry.contracts.errors import Forbidden, FoundryError
from foundry.contracts.github_access import Role, SingleSignOnNeeded
from foundry.contracts.github_payloads import GitHubPullRequest
from foundry.contracts.github_state import (
    InstallationSummary,
    Member,
    NotInstalled,
    PullRequestView,
)
from foundry.contracts.ids import OrganizationId, RepositoryId, UserId
from foundry.contracts.people import Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.task import NothingToPublish, PullRequestRef
from foundry.contracts.task_rename import BranchOnGitHub, OldPullRequest
from foundry.contracts.user_github_data import ReconnectNeeded
from foundry.github.client import GitHub
from foundry.github.client_base import Caller
from foundry.github.errors import GitHubNotFound, GitHubRateLimited, GitHubRefused
from foundry.runtime.reader import Reader

T = TypeVar("T")

KEPT_BACK = 0.1  # of the hour's requests; what only looks whether something has changed leaves them alone
LOOK_AGAIN = 0.5  # seconds between two looks at a rename that GitHub has not finished

log = structlog.get_logger("foundry.github")


class GitHubReader(Protocol):
    """What GitHubState's own workflows use of the door beyond `contracts.doors.GitHubDoor`."""

    async def installations(self) -> list[InstallationSummary]: ...
    async def repositories(self, organization: OrganizationId, installation: int) -> list[RepositoryRef]: ...
    async def members(self, login: str, installation: int) -> list[Member] | None: ...
    async def pull_requests(self, repository: RepositoryRef) -> list[PullRequestView]: ...
    async def pull_request(self, repository: RepositoryRef, number: int) -> PullRequestView | None: ...


def reading(doors: Doors) -> GitHubReader:
    """The door as the sync workflows use it: the composition root hands over this package's."""
    return cast(GitHubReader, doors.github)


class GitHubOutside(GitHubDoor, GitHubReader):
    """GitHub's API, as the App's installations.

    Args:
        client: the App's client.
        read: runs a view on GitHubState's tables, as `Runtime.read` does.
        persons: people's tokens. None: nothing is done in a person's name.
    """

    def __init__(self, client: GitHub, read: ReadGitHub, persons: PersonTokens | None = None) -> None:
        self._client = client
        self._read = read
        self._persons = persons
        self.access = AccessOutside(client, self.as_person, read)

    # in a person's name

    async def as_person(self, user: UserId, call: Callable[[Caller], Awaitable[T]]) -> T:
        """Run `call` with this person's token. If GitHub rejects the token, run it once more with a refreshed one.

        Raises:
            ReconnectNeeded: there is no token that GitHub accepts; the person has to connect again.
        """
        if self._persons is None:
            raise ReconnectNeeded("this server uses no tokens of people")
        token = await self._persons.token(user)
        try:
            return await call(self._client.as_token(token, f"user {user}"))
        except GitHubRefused as refused:
            if refused.answered != 401:
                raise
            await self._persons.rejected(user, token)
        token = await self._persons.token(user)
        try:
            return await call(self._client.as_token(token, f"user {user}"))
        except GitHubRefused as refused:
            if refused.answered != 401:
                raise
            raise ReconnectNeeded(f"GitHub rejects even a new token of person {user}") from refused

    # for other rooms' workflows

    async def branch_names(self, repository: RepositoryRef) -> list[str]:
        installation, present = await self._reach(repository)
        return [branch.name for branch in await self._client.branches(installation, present.full_name)]

    async def repository(self, repository: RepositoryRef) -> RepositoryRef:
        return (await self._reach(repository))[1]

    @asynccontextmanager
    async def credential(self, repository: RepositoryRef, *, write: bool) -> AsyncGenerator[str]:
        """A token for git: this repository alone, contents alone, for as long as the `async with` lasts."""
        installation, present = await self._reach(repository)
        may = "write" if write else "read"
        audit = log.bind(repository=present.full_name, repository_id=repository.id, contents=may)
        async with self._client.git_token(installation, int(repository.id), write=write) as token:
            audit.info("git credential minted", installation=installation)
            try:
                yield token
            finally:
                audit.info("git credential given back", installation=installation)

    async def require_push(self, repository: RepositoryRef, person: Person) -> None:
        """Ask with the person's own token; with the App's, if there is none that works there."""
        try:
            found = await self.access.right(person.id, repository.id)
        except (ReconnectNeeded, SingleSignOnNeeded):
            found = await self.access.right_by_app(person.id, repository.organization, repository.id)
        if not found.access.may_write:
            may = f"{person.login} has {found.access} access to {repository.full_name} now"
            raise Forbidden(
                f"{may}, so nothing is pushed in their name",
                remedy="Somebody with write access can publish the task.",
            )

    async def open_pull_request(
        self,
        repository: RepositoryRef,
        *,
        head: str,
        base: str,
        title: str,
        body: str,
        draft: bool,
        person: UserId | None = None,
    ) -> PullRequestRef:
        """1. Find the open one of this head. 2. Else open one. 3. Somebody else was first: find theirs.

        Raises:
            NothingToPublish: GitHub sees no commits between the two branches.
        """
        installation, present = await self._reach(repository)

        async def create(caller: Caller) -> GitHubPullRequest:
            return await self._client.create_pull_request(
                caller, present.full_name, head=head, base=base, title=title, body=body, draft=draft
            )

        found = await self._open_one(installation, present, head)
        if found is None:
            try:
                found = await self._as_person_or_app(person, installation, create)
            except GitHubRefused as refused:
                found = await self._open_one(installation, present, head)
                if found is None:
                    if "no commits between" in refused.detail.lower():
                        raise NothingToPublish(f"GitHub sees no commits between {base} and {head}") from refused
                    raise
        return PullRequestRef(number=found.number, state=found.outcome, url=found.html_url)

    async def _as_person_or_app(
        self, person: UserId | None, installation: int, call: Callable[[Caller], Awaitable[T]]
    ) -> T:
        """Run `call` in the person's name where that works; else as the App. A call whose outcome is unknown raises.

        Raises:
            GitHubUnavailable: nobody knows whether GitHub did it. What repeats this has to look first.
        """
        if person is not None and self._persons is not None:
            try:
                await self._persons.token(person)
            except FoundryError as error:
                log.info("done as the App, not in a person's name", user=person, reason=error.detail)
            else:
                try:
                    return await self.as_person(person, call)
                except GitHubRefused as refused:
                    if refused.answered != 403:
                        raise
                    log.info("done as the App, not in a person's name", user=person, reason=refused.detail)
                except (ReconnectNeeded, GitHubNotFound, GitHubRateLimited) as error:
                    log.info("done as the App, not in a person's name", user=person, reason=error.detail)
        return await call(self._client.as_installation(installation))

    async def _open_one(self, installation: int, repository: RepositoryRef, head: str) -> GitHubPullRequest | None:
        listed = await self._client.pull_requests(installation, repository.full_name, head=f"{repository.owner}:{head}")
        return next((p for p in listed if p.head.ref == head and _same_repository(p, repository)), None)

    async def heads(self, repository: RepositoryRef, names: list[str]) -> dict[str, str]:
        """One conditional request, for the branches that begin as all of these do.

        Raises:
            GitHubRateLimited: what is left of the hour's budget is kept for those who wait for something.
        """
        installation, present = await self._reach(repository)
        budget = self._client.budget(installation)
        if below(budget, KEPT_BACK):
            left = f"{budget.remaining} of {budget.limit} requests are left in this hour"
            raise GitHubRateLimited(f"{left}; they are kept for people's work", reset_at=budget.reset_at)
        found = await self._client.heads(installation, present.full_name, _common_beginning(names))
        return {name: found[name] for name in names if name in found}

    async def open_pull_requests(self, repository: RepositoryRef) -> list[int]:
        return [pull_request.number for pull_request in await self.pull_requests(repository)]

    # renaming a branch

    async def branch(self, repository: RepositoryRef, head: str, replaces: int | None) -> BranchOnGitHub:
        installation, present = await self._reach(repository)
        if replaces is None:
            found = await self._open_one(installation, present, head)
            replaces = found.number if found else None
        names = [branch.name for branch in await self._client.branches(installation, present.full_name)]
        if replaces is None:
            return BranchOnGitHub(names=names)
        text = await self._client.pull_request_text(installation, present.full_name, replaces)
        old = OldPullRequest(
            number=text.number,
            state=text.outcome,
            url=text.html_url,
            title=text.title,
            body=text.body or "",
            base=text.base.ref,
            draft=text.draft,
            labels=[label.name for label in text.labels],
            reviewers=[account.login for account in text.requested_reviewers],
            teams=[team.slug for team in text.requested_teams],
        )
        return BranchOnGitHub(names=names, pull_request=old)

    async def rename_branch(self, repository: RepositoryRef, old: str, new: str) -> None:
        """1. The new name is there: GitHub was asked before. 2. Else ask."""
        installation, present = await self._reach(repository)
        names = {branch.name for branch in await self._client.branches(installation, present.full_name)}
        if new not in names:
            await self._client.rename_branch(installation, present.full_name, old, new)

    async def renamed(
        self, repository: RepositoryRef, old: str, new: str, replaces: int | None
    ) -> PullRequestRef | None:
        installation, present = await self._reach(repository)
        while True:
            names = {branch.name for branch in await self._client.branches(installation, present.full_name)}
            if new in names and old not in names:
                if replaces is None:
                    return None
                seen = await self._client.pull_request(installation, present.full_name, replaces)
                if seen.outcome != "open" or seen.head.ref == new:
                    return PullRequestRef(number=seen.number, state=seen.outcome, url=seen.html_url)
            await asyncio.sleep(LOOK_AGAIN)

    async def replace_pull_request(
        self, repository: RepositoryRef, old: OldPullRequest, *, head: str, body: str
    ) -> PullRequestRef:
        """1. Find the one of this head that came after. 2. Else open one. 3. Somebody else was first: find theirs."""
        installation, present = await self._reach(repository)
        listed = await self._client.pull_requests(
            installation, present.full_name, state="all", head=f"{present.owner}:{head}"
        )
        later = [p for p in listed if p.number > old.number and p.head.ref == head and _same_repository(p, present)]
        if not later:
            return await self.open_pull_request(
                repository, head=head, base=old.base, title=old.title, body=body, draft=old.draft
            )
        found = max(later, key=lambda p: p.number)
        return PullRequestRef(number=found.number, state=found.outcome, url=found.html_url)

    async def copy_labels(self, repository: RepositoryRef, number: int, labels: list[str]) -> str:
        installation, present = await self._reach(repository)
        words = await _words(self._client.add_labels(installation, present.full_name, number, labels))
        return words and f"The labels were not copied: {words}."

    async def ask_reviewers(self, repository: RepositoryRef, number: int, logins: list[str], teams: list[str]) -> str:
        installation, present = await self._reach(repository)
        words = await _words(self._client.request_reviewers(installation, present.full_name, number, logins, teams))
        return words and f"The reviewers were not asked again: {words}."

    async def comment_once(self, repository: RepositoryRef, number: int, body: str) -> str:
        installation, present = await self._reach(repository)
        said = await self._client.comments(installation, present.full_name, number)
        if any(comment.body == body for comment in said):
            return ""
        return await _words(self._client.comment(installation, present.full_name, number, body))

    # for GitHubState's own workflows

    async def installations(self) -> list[InstallationSummary]:
        return [installation_summary(seen) for seen in await self._client.installations()]

    async def repositories(self, organization: OrganizationId, installation: int) -> list[RepositoryRef]:
        return [repository_ref(organization, seen) for seen in await self._client.repositories(installation)]

    async def members(self, login: str, installation: int) -> list[Member] | None:
        """The organization's members; None if the App may not see them."""
        found: list[Member] = []
        try:
            for role, as_github in ((Role.OWNER, "admin"), (Role.MEMBER, "member")):
                listed = await self._client.members(installation, login, as_github)
                found += [Member(id=UserId(str(one.id)), login=one.login, role=role) for one in listed]
        except (GitHubRefused, GitHubNotFound) as refused:
            log.warning("members are not read", organization=login, reason=refused.detail)
            return None
        return found

    async def pull_requests(self, repository: RepositoryRef) -> list[PullRequestView]:
        """The open ones."""
        installation, present = await self._reach(repository)
        listed = await self._client.pull_requests(installation, present.full_name)
        return [pull_request_view(repository.id, seen) for seen in listed]

    async def pull_request(self, repository: RepositoryRef, number: int) -> PullRequestView | None:
        """Return one pull request in any state; None if GitHub does not show it."""
        installation, present = await self._reach(repository)
        try:
            return pull_request_view(
                repository.id, await self._client.pull_request(installation, present.full_name, number)
            )
        except GitHubNotFound:
            return None

    async def _reach(self, repository: RepositoryRef) -> tuple[int, RepositoryRef]:
        """The installation to ask as, and the repository as it is called now.

        Raises:
            NotInstalled: the App works nowhere for this organization.
        """

        def look(reader: Reader) -> tuple[int | None, RepositoryRef | None]:
            organization = repository.organization
            return installation_of(reader, organization), known_repository(reader, organization, repository.id)

        installation, present = await self._read(look)
        if installation is None:
            raise NotInstalled(f"the GitHub App is not installed for {repository.owner}, or it is suspended there")
        return installation, present or repository


async def _words(call: Awaitable[object]) -> str:
    """GitHub's words where it refuses something that may be left out; empty if it does not."""
    try:
        await call
    except (GitHubRefused, GitHubNotFound) as refused:
        return refused.detail
    return ""


def _common_beginning(names: list[str]) -> str:
    """Of the first and the last one in order, which is that of all."""
    first, last = min(names), max(names)
    return next((first[:at] for at, letter in enumerate(first) if last[at : at + 1] != letter), first)


def _same_repository(seen: GitHubPullRequest, repository: RepositoryRef) -> bool:
    return seen.head.repo is not None and RepositoryId(str(seen.head.repo.id)) == repository.id
