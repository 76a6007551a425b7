"""Runtime issues: the badges and settings pages show them (R19), and explicit actions clear them (R20).

Who may read a repository sees the issues of its work; who may push to it clears them. The people of an organization see
and clear the issues of the organization itself. The people of any organization see and clear those of scope `app`.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request
from sqlalchemy import select

from foundry.actors.app_shell import views as app_shell
from foundry.actors.organization import views as organizations
from foundry.actors.repository.views import repository_view
from foundry.actors.sandbox_instance.views import sandbox_view
from foundry.api import access
from foundry.api.auth import Me, Signed
from foundry.api.context import Foundry, foundry_of
from foundry.contracts import addresses
from foundry.contracts.errors import Forbidden, NotFound
from foundry.contracts.ids import OrganizationId, RepositoryId, SandboxId
from foundry.contracts.messages import APP, Address, Model, ScopeId
from foundry.contracts.organization import ClearIssues, IssueView
from foundry.contracts.repository import RepositoryRef
from foundry.runtime.reader import Reader
from foundry.runtime.store.tables import actors

DEPTH = 6  # of the actor tree, at most

router = APIRouter(prefix="/api", tags=["issues"])


class Cleared(Model):
    cleared: int


@router.get("/app/issues")
async def of_app(request: Request, who: Signed) -> list[IssueView]:
    """List the runtime issues of scope `app`, the latest first."""
    return await visible(foundry_of(request), who, APP)


@router.delete("/app/issues")
async def clear_app(request: Request, who: Signed) -> Cleared:
    """Clear every issue of scope `app`."""
    return await clear(foundry_of(request), who, APP, None)


@router.delete("/app/issues/{issue}")
async def clear_one_of_app(request: Request, who: Signed, issue: str) -> Cleared:
    """Clear one issue of scope `app`."""
    return await clear(foundry_of(request), who, APP, issue)


@router.post("/app/issues/{issue}/retry")
async def retry_of_app(request: Request, who: Signed, issue: str) -> Cleared:
    """Retry the message that was set aside."""
    return await settle(foundry_of(request), who, APP, issue, again=True)


@router.post("/app/issues/{issue}/drop")
async def drop_of_app(request: Request, who: Signed, issue: str) -> Cleared:
    """Drop the message that was set aside."""
    return await settle(foundry_of(request), who, APP, issue, again=False)


@router.get("/organizations/{organization}/issues")
async def of_organization(request: Request, who: Signed, organization: str) -> list[IssueView]:
    """List the organization's runtime issues, the latest first."""
    await access.organization(foundry_of(request), who, organization)
    return await visible(foundry_of(request), who, ScopeId(organization))


@router.delete("/organizations/{organization}/issues")
async def clear_all(request: Request, who: Signed, organization: str) -> Cleared:
    """Clear every issue that you may clear."""
    await access.organization(foundry_of(request), who, organization)
    return await clear(foundry_of(request), who, ScopeId(organization), None)


@router.delete("/organizations/{organization}/issues/{issue}")
async def clear_one(request: Request, who: Signed, organization: str, issue: str) -> Cleared:
    """Clear one issue."""
    await access.organization(foundry_of(request), who, organization)
    return await clear(foundry_of(request), who, ScopeId(organization), issue)


@router.post("/organizations/{organization}/issues/{issue}/retry")
async def retry(request: Request, who: Signed, organization: str, issue: str) -> Cleared:
    """Retry the message that was set aside."""
    await access.organization(foundry_of(request), who, organization)
    return await settle(foundry_of(request), who, ScopeId(organization), issue, again=True)


@router.post("/organizations/{organization}/issues/{issue}/drop")
async def drop(request: Request, who: Signed, organization: str, issue: str) -> Cleared:
    """Drop the message that was set aside."""
    await access.organization(foundry_of(request), who, organization)
    return await settle(foundry_of(request), who, ScopeId(organization), issue, again=False)


# also used by the pages and the stream


async def visible(foundry: Foundry, who: Me, scope: ScopeId) -> list[IssueView]:
    """Return the scope's issues that the person may see."""
    return [
        issue for issue, repository in await _recorded(foundry, scope) if await _sees(foundry, who, scope, repository)
    ]


async def clear(foundry: Foundry, who: Me, scope: ScopeId, issue: str | None) -> Cleared:
    """Clear one issue, or all issues that the person may clear.

    Raises:
        NotFound: the issue does not exist, or the person may not see it.
        Forbidden: the person may see the issue, but not clear it.
    """
    count = 0
    for one, repository in await _recorded(foundry, scope):
        if issue in (None, one.id) and await _sees(foundry, who, scope, repository):
            if await _clears(foundry, who, scope, repository):
                count += await foundry.runtime.ask(addresses.coordinator(scope), ClearIssues(issue=one.id))
            elif issue is not None:
                raise Forbidden(f"clearing issue {issue} needs write access to its repository", field="issue")
    if issue is not None and not count:
        raise NotFound(f"no runtime issue with id {issue}", field="issue")
    return Cleared(cleared=count)


async def settle(foundry: Foundry, who: Me, scope: ScopeId, issue: str, *, again: bool) -> Cleared:
    """Retry or drop the message that an issue is about. Both close the issue.

    Raises:
        NotFound: the issue does not exist, or no message was set aside for it.
    """
    for one, repository in await _recorded(foundry, scope):
        if one.id == issue and one.failure.mailbox_id is not None and await _sees(foundry, who, scope, repository):
            if not await _clears(foundry, who, scope, repository):
                action = "retrying" if again else "dropping"
                raise Forbidden(
                    f"{action} the message of issue {issue} needs write access to its repository", field="issue"
                )
            number = one.failure.mailbox_id
            await (foundry.runtime.retry_message(number) if again else foundry.runtime.drop_message(number))
            return Cleared(cleared=await foundry.runtime.ask(addresses.coordinator(scope), ClearIssues(issue=issue)))
    raise NotFound(f"no message was set aside for issue {issue}", field="issue")


async def _recorded(foundry: Foundry, scope: ScopeId) -> Sequence[tuple[IssueView, RepositoryRef | None]]:
    """Return every issue of the scope, with the repository of the work it is about."""

    def look(reader: Reader) -> list[tuple[IssueView, RepositoryRef | None]]:
        found = app_shell.issues(reader) if scope == APP else organizations.issues(reader, OrganizationId(scope))
        return [(issue, repository_behind(reader, issue.failure.actor)) for issue in found]

    return await foundry.runtime.read(look)


def repository_behind(reader: Reader, actor: str) -> RepositoryRef | None:
    """Return the repository that an actor works for, or None if it works for a whole organization or for none."""
    for _ in range(DEPTH):
        address = Address.parse(actor)
        try:
            if address.kind in ("Repository", "History"):
                return repository_view(reader, RepositoryId(address.key))
            if address.kind == "SandboxInstance":
                actor = str(addresses.task(sandbox_view(reader, SandboxId(address.key)).task))
                continue
        except NotFound:
            return None
        row = reader.first(select(actors.c.parent).where(actors.c.actor == actor))
        if row is None or row.parent is None:
            return None
        actor = row.parent
    return None


async def _sees(foundry: Foundry, who: Me, scope: ScopeId, repository: RepositoryRef | None) -> bool:
    if repository is not None:
        return await access.reads(foundry, who, repository)
    return await _inside(foundry, who, scope)


async def _clears(foundry: Foundry, who: Me, scope: ScopeId, repository: RepositoryRef | None) -> bool:
    if repository is not None:
        return await access.writes(foundry, who, repository)
    return await _inside(foundry, who, scope)


async def _inside(foundry: Foundry, who: Me, scope: ScopeId) -> bool:
    if scope != APP:
        return await access.is_insider(foundry, who, OrganizationId(scope))
    if who.admin:
        return True
    for one in await foundry.runtime.read(organizations.organizations):
        if await access.is_insider(foundry, who, one.id):
            return True
    return False
