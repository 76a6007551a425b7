"""GitHub's shapes as ours."""

from __future__ import annotations

from foundry.contracts.github_payloads import GitHubInstallation, GitHubPullRequest, GitHubRepository
from foundry.contracts.github_state import InstallationSummary, PullRequestState, PullRequestView
from foundry.contracts.ids import OrganizationId, RepositoryId
from foundry.contracts.repository import RepositoryRef


def installation_summary(seen: GitHubInstallation) -> InstallationSummary:
    account = seen.account
    return InstallationSummary(
        id=seen.id,
        organization=OrganizationId(str(account.id)),
        login=account.login,
        name=account.name or "",
        avatar_url=account.avatar_url,
        personal=account.type == "User",
        active=seen.suspended_at is None,
    )


def repository_ref(organization: OrganizationId, seen: GitHubRepository) -> RepositoryRef:
    return RepositoryRef(
        id=RepositoryId(str(seen.id)),
        organization=organization,
        owner=seen.owner.login,
        name=seen.name,
        default_branch=seen.default_branch,
        private=seen.private,
        clone_url=seen.clone_url,
        html_url=seen.html_url,
    )


def pull_request_view(repository: RepositoryId, seen: GitHubPullRequest) -> PullRequestView:
    return PullRequestView(
        repository=repository,
        number=seen.number,
        state=PullRequestState(seen.outcome),
        title=seen.title,
        draft=seen.draft,
        url=seen.html_url,
        author=seen.user.login if seen.user else "",
        head=seen.head.ref,
        head_sha=seen.head.sha,
        head_repository=RepositoryId(str(seen.head.repo.id)) if seen.head.repo else None,
        base=seen.base.ref,
        created_at=seen.created_at,
        updated_at=seen.updated_at,
    )
