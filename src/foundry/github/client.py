"""The parts of GitHub's REST API that Foundry uses, for the App's installations and for signed-in people."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TypeVar
from urllib.parse import quote, urlencode

from foundry.contracts.github_payloads import (
    GitHubAccount,
    GitHubBranch,
    GitHubComment,
    GitHubHead,
    GitHubPermission,
    GitHubPullRequest,
    GitHubPullRequestText,
    GitHubRepository,
)
from foundry.github.app import GitHubApp
from foundry.github.client_base import Caller, http_client
from foundry.github.errors import GitHubNotFound, GitHubRefused, GitHubSignInFailed

__all__ = ["GitHub", "http_client"]

T = TypeVar("T")


class GitHub(GitHubApp):
    """GitHub's API for one App. `full_name` is the current `owner/name`; GitHub redirects earlier names."""

    # repositories and people

    async def repositories(self, installation: int) -> list[GitHubRepository]:
        caller = self.as_installation(installation)
        return await caller.all("/installation/repositories", GitHubRepository, key="repositories")

    async def members(self, installation: int, organization: str, role: str) -> list[GitHubAccount]:
        """Return the members with this role: admin or member."""
        url = f"/orgs/{quote(organization)}/members?role={role}"
        return await self.as_installation(installation).all(url, GitHubAccount)

    async def permission(self, caller: Caller, repository: str, login: str) -> GitHubPermission | None:
        """Return the access of whoever has this login now; None if GitHub knows nobody of this name."""
        url = f"/repositories/{repository}/collaborators/{quote(login)}/permission"
        try:
            return await caller.get(url, GitHubPermission)
        except GitHubNotFound:
            return None

    # branches

    async def branches(self, installation: int, full_name: str) -> list[GitHubBranch]:
        return await self.as_installation(installation).all(f"/repos/{full_name}/branches", GitHubBranch)

    async def heads(self, installation: int, full_name: str, prefix: str) -> dict[str, str]:
        """Return the branches whose names start with this prefix, and their heads."""
        url = f"/repos/{full_name}/git/matching-refs/heads/{quote(prefix)}"
        found = await self.as_installation(installation).all(url, GitHubHead)
        return {head.ref.removeprefix("refs/heads/"): head.object.sha for head in found}

    async def rename_branch(self, installation: int, full_name: str, branch: str, new_name: str) -> GitHubBranch:
        """Rename the branch on GitHub. GitHub continues in the background after its response.

        GitHub closes open pull requests whose head is this branch, and retargets those whose base it is.
        """
        url = f"{_branch(full_name, branch)}/rename"
        return await self.as_installation(installation).post(url, {"new_name": new_name}, GitHubBranch)

    # pull requests

    async def pull_requests(
        self, installation: int, full_name: str, *, state: str = "open", head: str | None = None
    ) -> list[GitHubPullRequest]:
        """Return pull requests, optionally only those of one head (`owner:branch`). `state`: open, closed or all."""
        query = {"state": state} | ({"head": head} if head else {})
        url = f"/repos/{full_name}/pulls?{urlencode(query)}"
        return await self.as_installation(installation).all(url, GitHubPullRequest)

    async def pull_request(self, installation: int, full_name: str, number: int) -> GitHubPullRequest:
        return await self.as_installation(installation).get(f"/repos/{full_name}/pulls/{number}", GitHubPullRequest)

    async def create_pull_request(
        self, caller: Caller, full_name: str, *, head: str, base: str, title: str, body: str, draft: bool
    ) -> GitHubPullRequest:
        """Open a pull request as this caller: an installation, or a person."""
        wish = {"head": head, "base": base, "title": title, "body": body, "draft": draft}
        return await caller.post(f"/repos/{full_name}/pulls", wish, GitHubPullRequest)

    async def pull_request_text(self, installation: int, full_name: str, number: int) -> GitHubPullRequestText:
        return await self.as_installation(installation).get(f"/repos/{full_name}/pulls/{number}", GitHubPullRequestText)

    async def add_labels(self, installation: int, full_name: str, number: int, labels: Sequence[str]) -> None:
        url = f"/repos/{full_name}/issues/{number}/labels"
        await self.as_installation(installation).post(url, {"labels": list(labels)})

    async def request_reviewers(
        self, installation: int, full_name: str, number: int, logins: Sequence[str], teams: Sequence[str]
    ) -> None:
        url = f"/repos/{full_name}/pulls/{number}/requested_reviewers"
        await self.as_installation(installation).post(url, {"reviewers": list(logins), "team_reviewers": list(teams)})

    async def comments(self, installation: int, full_name: str, number: int) -> list[GitHubComment]:
        """Return the comments on a pull request or issue, the oldest first."""
        url = f"/repos/{full_name}/issues/{number}/comments"
        return await self.as_installation(installation).all(url, GitHubComment)

    async def comment(self, installation: int, full_name: str, number: int, body: str) -> GitHubComment:
        """Write a comment on a pull request or issue."""
        url = f"/repos/{full_name}/issues/{number}/comments"
        return await self.as_installation(installation).post(url, {"body": body}, GitHubComment)

    # calls with a person's own token; each raises GitHubSignInFailed if GitHub no longer accepts the token

    async def user(self, token: str) -> GitHubAccount:
        return await _signed_in(self.as_token(token).get("/user", GitHubAccount))


async def _signed_in(call: Awaitable[T]) -> T:
    try:
        return await call
    except GitHubRefused as refused:
        if refused.answered != 401:
            raise
        raise GitHubSignInFailed("GitHub no longer accepts this person's token") from refused


def _branch(full_name: str, branch: str) -> str:
    return f"/repos/{full_name}/branches/{quote(branch)}"
