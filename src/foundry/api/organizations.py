"""The app, organizations, repositories, runtime issues, sandboxes, and the actors themselves."""

from __future__ import annotations

from fastapi import APIRouter, Request
from sqlalchemy import select

from foundry.actors.app_shell.views import issues as app_issues
from foundry.actors.history.views import entries
from foundry.actors.organization.views import issues, organization_view
from foundry.actors.repository.views import repository_view, task_list
from foundry.actors.sandbox_instance.views import sandbox_view
from foundry.api import access
from foundry.api.auth import Admin, Me, Signed
from foundry.api.context import Foundry, foundry_of
from foundry.api.keys import IdempotencyKey
from foundry.contracts import addresses
from foundry.contracts.errors import NotFound
from foundry.contracts.ids import OrganizationId, RepositoryId, SandboxId, is_id
from foundry.contracts.people import (
    ClearIssues,
    HistoryView,
    IssueView,
    OrganizationView,
    Person,
    RepositoryRef,
)
from foundry.contracts.sandbox_words import ReadLog, SandboxView
from foundry.contracts.tasks import TaskSummary
from foundry.contracts.words import Word
from foundry.runtime.store.tables import actors
from foundry.runtime.turn import AnyRow, Reader

router = APIRouter(prefix="/api", tags=["organizations"])


class AppView(Word):
    """Who is signed in, and where they work."""

    person: Person
    organizations: list[OrganizationView]
    issues: list[IssueView]


class Cleared(Word):
    cleared: int


class ActorView(Word):
    """One actor's row in the runtime."""

    kind: str
    key: str
    parent: str | None
    scope: str
    version: int
    sent: int
    dropped: int
    ended: bool


@router.get("/app")
async def app(request: Request, who: Signed) -> AppView:
    foundry = foundry_of(request)
    return AppView(
        person=who.person,
        organizations=await access.seen_organizations(foundry, who),
        issues=await foundry.runtime.read(app_issues) if who.admin else [],
    )


@router.get("/organizations/{organization}")
async def organization(request: Request, who: Signed, organization: str) -> OrganizationView:
    await access.organization(foundry_of(request), who, organization)
    return await foundry_of(request).runtime.read(organization_view, OrganizationId(organization))


@router.get("/organizations/{organization}/repositories")
async def repositories(request: Request, who: Signed, organization: str) -> list[RepositoryRef]:
    return await access.organization(foundry_of(request), who, organization)


# runtime issues (R19, R20)


@router.get("/organizations/{organization}/issues")
async def runtime_issues(request: Request, who: Signed, organization: str) -> list[IssueView]:
    await access.organization(foundry_of(request), who, organization)
    return await foundry_of(request).runtime.read(issues, OrganizationId(organization))


async def clear_issues(foundry: Foundry, who: Me, organization: str, issue: str | None) -> Cleared:
    """Forget one recorded issue, or all."""
    await access.organization(foundry, who, organization)
    address = addresses.organization(OrganizationId(organization))
    count = await foundry.runtime.ask(address, ClearIssues(issue=issue))
    if issue is not None and not count:
        raise NotFound(f"no runtime issue with id {issue}", field="issue")
    return Cleared(cleared=count)


@router.delete("/organizations/{organization}/issues")
async def clear_all(request: Request, who: Signed, organization: str) -> Cleared:
    return await clear_issues(foundry_of(request), who, organization, None)


@router.delete("/organizations/{organization}/issues/{issue}")
async def clear_one(request: Request, who: Signed, organization: str, issue: str) -> Cleared:
    return await clear_issues(foundry_of(request), who, organization, issue)


async def set_aside(foundry: Foundry, who: Me, organization: str, issue: str) -> int:
    """The mailbox row that an issue is about."""
    await access.organization(foundry, who, organization)
    found = await foundry.runtime.read(issues, OrganizationId(organization))
    number = next((one.trouble.mailbox_id for one in found if one.id == issue), None)
    if number is None:
        raise NotFound(f"no message set aside under issue {issue}", field="issue")
    return number


@router.post("/organizations/{organization}/issues/{issue}/retry")
async def retry(request: Request, who: Signed, organization: str, issue: str) -> Cleared:
    """Send a message that was set aside anew."""
    foundry = foundry_of(request)
    await foundry.runtime.retry_message(await set_aside(foundry, who, organization, issue))
    return await clear_issues(foundry, who, organization, issue)


@router.post("/organizations/{organization}/issues/{issue}/drop")
async def drop(request: Request, who: Signed, organization: str, issue: str) -> Cleared:
    """Forget a message that was set aside."""
    foundry = foundry_of(request)
    await foundry.runtime.drop_message(await set_aside(foundry, who, organization, issue))
    return await clear_issues(foundry, who, organization, issue)


# repositories


async def repository_of(request: Request, who: Me, repository: str) -> RepositoryRef:
    foundry = foundry_of(request)
    found = await foundry.runtime.read(repository_view, RepositoryId(repository))
    await access.may_read(foundry, who, found, f"no repository with id {repository}")
    return found


@router.get("/repositories/{repository}")
async def repository(request: Request, who: Signed, repository: str) -> RepositoryRef:
    return await repository_of(request, who, repository)


@router.get("/repositories/{repository}/tasks")
async def repository_tasks(request: Request, who: Signed, repository: str, archived: bool = False) -> list[TaskSummary]:
    found = await repository_of(request, who, repository)
    return await foundry_of(request).runtime.read(lambda r: task_list(r, found.id, archived=archived))


@router.get("/repositories/{repository}/history")
async def history(
    request: Request, who: Signed, repository: str, before: int | None = None, limit: int = 50
) -> list[HistoryView]:
    found = await repository_of(request, who, repository)
    return await foundry_of(request).runtime.read(entries, found.id, before, min(200, max(1, limit)))


# sandboxes


async def sandbox_of(request: Request, who: Me, sandbox: str, *, change: bool = False) -> SandboxView:
    if not is_id(sandbox, "sbx"):
        raise NotFound(f"no sandbox with id {sandbox}", field="sandbox")
    found = await foundry_of(request).runtime.read(sandbox_view, SandboxId(sandbox))
    await access.task_of(request, who, found.task, change=change)
    return found


@router.get("/sandboxes/{sandbox}")
async def sandbox(request: Request, who: Signed, sandbox: str) -> SandboxView:
    return await sandbox_of(request, who, sandbox)


@router.post("/sandboxes/{sandbox}/log", status_code=202)
async def read_log(request: Request, who: Signed, sandbox: str, key: IdempotencyKey = None) -> None:
    """Read the end of sandbox-agent's log again, in the background; the sandbox then carries it."""
    found = await sandbox_of(request, who, sandbox, change=True)
    await foundry_of(request).runtime.ask(addresses.sandbox(found.id), ReadLog(), key=key, caller=who.caller)


# the actors themselves


def _actor(row: AnyRow) -> ActorView:
    kind, _, key = row.actor.partition(":")
    return ActorView(
        kind=kind,
        key=key,
        parent=row.parent,
        scope=row.scope,
        version=row.version,
        sent=row.seq,
        dropped=row.dropped,
        ended=row.deleted_at is not None,
    )


def all_actors(reader: Reader, kind: str | None) -> list[ActorView]:
    query = select(actors).order_by(actors.c.kind, actors.c.created_at).limit(1000)
    return [_actor(row) for row in reader.all(query if kind is None else query.where(actors.c.kind == kind))]


@router.get("/actors", tags=["admin"])
async def list_actors(request: Request, who: Admin, kind: str | None = None) -> list[ActorView]:
    """The actors this server has, at most 1,000. Needs the admin token."""
    return await foundry_of(request).runtime.read(all_actors, kind)


@router.get("/actors/{kind}/{key}", tags=["admin"])
async def show_actor(request: Request, who: Admin, kind: str, key: str) -> ActorView:
    found = await foundry_of(request).runtime.read(
        lambda r: r.first(select(actors).where(actors.c.actor == f"{kind}:{key}"))
    )
    if found is None:
        raise NotFound(f"no {kind} with key {key}", field="key")
    return _actor(found)
