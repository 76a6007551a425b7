"""The start page, organizations, and repositories."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from foundry.actors.history.views import entries
from foundry.actors.repository.views import task_list
from foundry.actors.user_github_data.views import github_connection
from foundry.api import access
from foundry.api.access import answer
from foundry.api.auth import Signed
from foundry.api.context import foundry_of
from foundry.api.sees import Sees
from foundry.contracts.history import HistoryView
from foundry.contracts.messages import Model
from foundry.contracts.organization import OrganizationView
from foundry.contracts.people import Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.task import TaskSummary
from foundry.contracts.user_github_data import GitHubConnection

router = APIRouter(prefix="/api", tags=["organizations"])

LARGE = 2**53  # the largest integer that JSON carries exactly


class AppView(Model):
    """The signed-in person, their organizations, and the agents that a new task may use."""

    person: Person
    github: GitHubConnection
    organizations: list[OrganizationView]
    agents: list[str]
    default_agent: str


@router.get("/app")
async def app(request: Request) -> AppView:
    """Get the signed-in person, the organizations they may see, and the agents that a task may use."""
    foundry = foundry_of(request)

    def look(sees: Sees) -> AppView:
        return AppView(
            person=sees.me.person,
            github=github_connection(sees.reader, sees.me.person.id),
            organizations=sees.organizations(),
            agents=list(foundry.agents),
            default_agent=foundry.default_agent,
        )

    return await answer(request, look)


@router.get("/organizations/{organization}")
async def organization(request: Request, organization: str) -> OrganizationView:
    """Get one organization."""
    return await answer(request, lambda sees: sees.organization(organization))


@router.get("/organizations/{organization}/repositories", response_model=list[RepositoryRef])
async def repositories(request: Request, organization: str) -> Response:
    """List the organization's repositories that you may read, sorted by name."""

    def look(sees: Sees) -> str:
        return sees.repositories_json(sees.organization(organization).id)

    return Response(await answer(request, look), media_type="application/json")


@router.get("/repositories/{repository}", tags=["repositories"])
async def repository(request: Request, who: Signed, repository: str) -> RepositoryRef:
    """Get one repository."""
    return await access.repository_of(request, who, repository)


@router.get("/repositories/{repository}/tasks", tags=["repositories"])
async def repository_tasks(request: Request, who: Signed, repository: str, archived: bool = False) -> list[TaskSummary]:
    """List the repository's tasks, the newest first. Archived tasks are a separate list."""
    found = await access.repository_of(request, who, repository)
    return await foundry_of(request).runtime.read(lambda r: task_list(r, found.id, archived=archived))


@router.get("/repositories/{repository}/history", tags=["repositories"])
async def history(
    request: Request,
    who: Signed,
    repository: str,
    before: Annotated[int | None, Query(ge=0, le=LARGE, description="only entries with a lower number")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> list[HistoryView]:
    """List what happened in the repository, the latest first."""
    found = await access.repository_of(request, who, repository)
    return await foundry_of(request).runtime.read(entries, found.id, before, limit)
