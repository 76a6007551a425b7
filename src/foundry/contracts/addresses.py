"""Who is who: one function per actor kind, so that no room needs another's class to address it."""

from __future__ import annotations

from foundry.contracts.ids import OrganizationId, RepositoryId, SandboxId, SessionId, TaskId, UserId
from foundry.contracts.messages import APP, Address, ScopeId


def app_shell() -> Address:
    return Address("AppShell", "app")


def github_app() -> Address:
    """GitHub as far as no organization is known yet: OAuth, the App, webhook intake."""
    return Address("GitHubState", "app")


def github(organization: OrganizationId) -> Address:
    return Address("GitHubState", organization)


def user_github_data(user: UserId) -> Address:
    return Address("UserGitHubData", user)


def organization(organization: OrganizationId) -> Address:
    return Address("Organization", organization)


def repository(repository: RepositoryId) -> Address:
    return Address("Repository", repository)


def history(repository: RepositoryId) -> Address:
    return Address("History", repository)


def task(task: TaskId) -> Address:
    return Address("Task", task)


def session(session: SessionId) -> Address:
    return Address("TaskSession", session)


def status_sync(session: SessionId) -> Address:
    return Address("SessionStatusSync", session)


def sandbox(sandbox: SandboxId) -> Address:
    return Address("SandboxInstance", sandbox)


def coordinator(scope: ScopeId) -> Address:
    """Where a scope's runtime issues are recorded (R18)."""
    return app_shell() if scope == APP else organization(OrganizationId(scope))
