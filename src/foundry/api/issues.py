"""Runtime issues: the badges and settings pages show them (R19), and explicit actions clear them (R20).

Who may read a repository sees the issues of its work; who may push to it clears them. Who sees and clears the issues of
the organization itself, and those of scope `app`, is in `foundry.api.roles`.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request
from sqlalchemy import select

from foundry.actors.app_shell import views as app_shell
from foundry.actors.organization import views as organizations
from foundry.actors.repository.views import repository_view
from foundry.actors.sandbox_instance.views import sandbox_view
from foundry.api.access import see
from foundry.api.auth import Me, Signed
from foundry.api.context import Foundry, foundry_of
from foundry.api.roles import Deed, allowed
from foundry.api.sees import Sees
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
    return await see(foundry_of(request), who, lambda sees: visible(sees, APP))


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

    def look(sees: Sees) -> list[IssueView]:
        return visible(sees, ScopeId(sees.organization(organization).id))

    return await see(foundry_of(request), who, look)


@router.delete("/organizations/{organization}/issues")
async def clear_all(request: Request, who: Signed, organization: str) -> Cleared:
    """Clear every issue that you may clear."""
    return await clear(foundry_of(request), who, ScopeId(organization), None)


@router.delete("/organizations/{organization}/issues/{issue}")
async def clear_one(request: Request, who: Signed, organization: str, issue: str) -> Cleared:
    """Clear one issue."""
    return await clear(foundry_of(request), who, ScopeId(organization), issue)


@router.post("/organizations/{organization}/issues/{issue}/retry")
async def retry(request: Request, who: Signed, organization: str, issue: str) -> Cleared:
    """Retry the message that was set aside."""
    return await settle(foundry_of(request), who, ScopeId(organization), issue, again=True)


@router.post("/organizations/{organization}/issues/{issue}/drop")
async def drop(request: Request, who: Signed, organization: str, issue: str) -> Cleared:
    """Drop the message that was set aside."""
    return await settle(foundry_of(request), who, ScopeId(organization), issue, again=False)


# also used by the pages and the stream


def visible(sees: Sees, scope: ScopeId) -> list[IssueView]:
    """The scope's issues that the person may see."""
    return [issue for issue, repository in _recorded(sees, scope) if _sees(sees, scope, repository)]


async def clear(foundry: Foundry, who: Me, scope: ScopeId, issue: str | None) -> Cleared:
    """Clear one issue, or all issues that the person may clear.

    Raises:
        NotFound: the issue does not exist, or the person may not see it.
        Forbidden: the person may see the issue, but not clear it.
    """

    def look(sees: Sees) -> list[str]:
        if scope != APP:
            sees.organization(scope)
        found: list[str] = []
        for one, repository in _recorded(sees, scope):
            if issue in (None, one.id) and _sees(sees, scope, repository):
                if _clears(sees, scope, repository):
                    found.append(one.id)
                elif issue is not None:
                    raise Forbidden(_needs(f"clearing issue {issue}", repository), field="issue")
        if issue is not None and not found:
            raise NotFound(f"no runtime issue with id {issue}", field="issue")
        return found

    count = 0
    for one in await see(foundry, who, look):
        count += await foundry.runtime.ask(addresses.coordinator(scope), ClearIssues(issue=one))
    if issue is not None and not count:
        raise NotFound(f"no runtime issue with id {issue}", field="issue")
    return Cleared(cleared=count)


async def settle(foundry: Foundry, who: Me, scope: ScopeId, issue: str, *, again: bool) -> Cleared:
    """Retry or drop the message that an issue is about. Both close the issue.

    Raises:
        NotFound: the issue does not exist, or no message was set aside for it.
    """

    def look(sees: Sees) -> int:
        if scope != APP:
            sees.organization(scope)
        for one, repository in _recorded(sees, scope):
            if one.id == issue and one.failure.mailbox_id is not None and _sees(sees, scope, repository):
                if not _clears(sees, scope, repository):
                    action = "retrying" if again else "dropping"
                    raise Forbidden(_needs(f"{action} the message of issue {issue}", repository), field="issue")
                return one.failure.mailbox_id
        raise NotFound(f"no message was set aside for issue {issue}", field="issue")

    number = await see(foundry, who, look)
    await (foundry.runtime.retry_message(number) if again else foundry.runtime.drop_message(number))
    return Cleared(cleared=await foundry.runtime.ask(addresses.coordinator(scope), ClearIssues(issue=issue)))


def _recorded(sees: Sees, scope: ScopeId) -> Sequence[tuple[IssueView, RepositoryRef | None]]:
    """Every issue of the scope, with the repository of the work it is about."""
    reader = sees.reader
    found = app_shell.issues(reader) if scope == APP else organizations.issues(reader, OrganizationId(scope))
    return [(issue, repository_behind(reader, issue.failure.actor)) for issue in found]


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


def _sees(sees: Sees, scope: ScopeId, repository: RepositoryRef | None) -> bool:
    if repository is not None:
        return sees.reads(repository)
    return allowed(sees, Deed.SEE_SERVER_ISSUES) if scope == APP else allowed(sees, Deed.SEE_ISSUES, scope)


def _clears(sees: Sees, scope: ScopeId, repository: RepositoryRef | None) -> bool:
    if repository is not None:
        return sees.writes(repository, now=True)
    return allowed(sees, Deed.CLEAR_SERVER_ISSUES) if scope == APP else allowed(sees, Deed.CLEAR_ISSUES, scope)


def _needs(action: str, repository: RepositoryRef | None) -> str:
    return f"{action} needs " + ("write access to its repository" if repository else "another role on GitHub")
