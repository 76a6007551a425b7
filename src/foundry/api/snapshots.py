"""Topics as the edge serves them: each topic's owner, its snapshot, and the events for catching up."""

from __future__ import annotations

from collections.abc import Sequence

from foundry.actors.github_state.views import pull_requests
from foundry.actors.repository import views as repositories
from foundry.actors.sandbox_instance.views import sandbox_snapshot
from foundry.api import issues
from foundry.api.sees import Sees, whole_task
from foundry.api.sessions import SessionSnapshot, snapshot
from foundry.contracts import addresses
from foundry.contracts.github_access import AccessState
from foundry.contracts.github_state import PullRequestView
from foundry.contracts.ids import OrganizationId, RepositoryId, SandboxId, SessionId, TaskId, UserId
from foundry.contracts.messages import APP, Address, Model, ScopeId
from foundry.contracts.organization import IssueView, OrganizationView
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.sandbox_instance import SandboxView
from foundry.contracts.task import TaskSummary, TaskView
from foundry.runtime.columns import AnyRow
from foundry.runtime.reader import Reader

CATCH_UP = 2_000  # events; a client that missed more gets a fresh snapshot
KEPT = ("TaskSession",)  # their events are never purged, only replaced by newer events of the same entity

Visible = frozenset[str]  # the repositories that a person may read


class AppSnapshot(Model):
    version: int
    organizations: list[OrganizationView]
    issues: list[IssueView]


class OrganizationSnapshot(Model):
    version: int
    organization: OrganizationView
    tasks: list[TaskSummary]  # without archived ones
    repositories: list[RepositoryRef]
    issues: list[IssueView]
    access: AccessState = AccessState.LISTED  # how much of what the person may see is known


class PullRequestsSnapshot(Model):
    version: int
    pull_requests: list[PullRequestView]  # the open ones


class RepositorySnapshot(Model):
    version: int
    repository: RepositoryRef
    tasks: list[TaskSummary]


class TaskSnapshot(Model):
    version: int
    task: TaskView


class SandboxSnapshot(Model):
    version: int
    sandbox: SandboxView


Snapshot = (
    AppSnapshot | OrganizationSnapshot | PullRequestsSnapshot | RepositorySnapshot | TaskSnapshot
    | SessionSnapshot | SandboxSnapshot
)  # fmt: skip


def of_app(sees: Sees) -> AppSnapshot:
    return AppSnapshot(
        version=sees.reader.version(addresses.app_shell()),
        organizations=sees.organizations(),
        issues=issues.visible(sees, APP),
    )


def of_organization(sees: Sees, id: OrganizationId) -> OrganizationSnapshot:
    return OrganizationSnapshot(
        version=sees.reader.version(addresses.organization(id)),
        organization=sees.organization(id),
        tasks=sees.tasks(id),
        repositories=sees.repositories(id),
        issues=issues.visible(sees, ScopeId(id)),
        access=sees.access_state(id),
    )


def of_pull_requests(sees: Sees, id: OrganizationId) -> PullRequestsSnapshot:
    seen = sees.visible(id)
    return PullRequestsSnapshot(
        version=sees.reader.version(addresses.github(id)),
        pull_requests=[one for one in pull_requests(sees.reader, id) if one.repository in seen],
    )


def of_repository(reader: Reader, id: RepositoryId) -> RepositorySnapshot:
    return RepositorySnapshot(
        version=reader.version(addresses.repository(id)),
        repository=repositories.repository_view(reader, id),
        tasks=repositories.task_list(reader, id),
    )


def of_task(reader: Reader, id: TaskId) -> TaskSnapshot:
    return TaskSnapshot(version=reader.version(addresses.task(id)), task=whole_task(reader, id))


def of_session(reader: Reader, id: SessionId, person: UserId) -> SessionSnapshot:
    return snapshot(reader, id, person)


def of_sandbox(sees: Sees, id: SandboxId) -> SandboxSnapshot:
    version, _ = sandbox_snapshot(sees.reader, id)
    return SandboxSnapshot(version=version, sandbox=sees.sandbox(id))


def missed(reader: Reader, address: Address, after: int) -> Sequence[AnyRow] | None:
    """Return the events after this version, or None if some were purged or there are too many."""
    version = reader.version(address)
    if after > version:
        return None  # a version from before a restore of this database
    found = reader.events(address, after=after, limit=CATCH_UP + 1)
    if len(found) > CATCH_UP:
        return None
    purged = version > after and (not found or found[0].version > after + 1) and address.kind not in KEPT
    return None if purged else found
