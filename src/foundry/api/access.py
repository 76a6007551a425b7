"""What a person may see and change: what GitHub lets them (DESIGN 6).

GitHubState keeps what GitHub said; a read permission older than 10 minutes and a write one older than 60 s is asked
for again. What may not be known is answered as if it did not exist.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeVar

from fastapi import Request

from foundry.actors.github_state.views import permission
from foundry.actors.organization.views import organizations, repository_list
from foundry.actors.task.views import task_view
from foundry.actors.task_session.views import session_view
from foundry.api.auth import Me
from foundry.api.context import Foundry, foundry_of
from foundry.contracts import addresses
from foundry.contracts.errors import Forbidden, NotFound
from foundry.contracts.github_state import RecordPermission
from foundry.contracts.ids import OrganizationId, SessionId, TaskId, is_id
from foundry.contracts.people import Access, OrganizationView, RepositoryRef
from foundry.contracts.sessions import SessionView
from foundry.contracts.tasks import TaskSummary, TaskView

READ_FRESH = 600.0  # seconds
WRITE_FRESH = 60.0  # seconds

T = TypeVar("T", bound=TaskSummary)


async def access_to(foundry: Foundry, who: Me, repository: RepositoryRef, *, fresh: float = READ_FRESH) -> Access:
    """The person's access, asked of GitHub where what is known is older than `fresh` seconds."""
    known = await foundry.runtime.read(permission, repository.organization, repository.id, who.person.login)
    if known is not None:
        access, checked = _known(known)
        if (datetime.now(UTC) - checked).total_seconds() < fresh:
            return access if access.may_read or repository.private else Access.READ
    access = await foundry.doors.github.permission(repository.organization, repository, who.person.login)
    record = RecordPermission(repository=repository.id, login=who.person.login, access=access)
    await foundry.runtime.ask(addresses.github(repository.organization), record)
    return access if access.may_read or repository.private else Access.READ


def _known(known: object) -> tuple[Access, datetime]:
    return known.access, known.checked_at  # pyright: ignore[reportAttributeAccessIssue]


async def may_read(foundry: Foundry, who: Me, repository: RepositoryRef, what: str) -> None:
    """Raises:
    NotFound: the person may not know that it exists.
    """
    if not (await access_to(foundry, who, repository)).may_read:
        raise NotFound(what)


async def may_change(foundry: Foundry, who: Me, repository: RepositoryRef, what: str) -> None:
    """Raises:
    NotFound: the person may not know that it exists.
    Forbidden: they may read but not push.
    """
    access = await access_to(foundry, who, repository, fresh=WRITE_FRESH)
    if not access.may_read:
        raise NotFound(what)
    if not access.may_write:
        raise Forbidden(f"{who.person.login} has {access.value} access to {repository.full_name}; this needs write")


async def readable(foundry: Foundry, who: Me, organization: OrganizationId) -> list[RepositoryRef]:
    """The organization's repositories that the person may read."""
    found = await foundry.runtime.read(repository_list, organization)
    return [one for one in found if (await access_to(foundry, who, one)).may_read]


async def seen_organizations(foundry: Foundry, who: Me) -> list[OrganizationView]:
    """The organizations in which the person may read something."""
    known = await foundry.runtime.read(organizations)
    return [one for one in known if await readable(foundry, who, one.id)]


async def organization(foundry: Foundry, who: Me, organization: str) -> list[RepositoryRef]:
    """What the person may read there.

    Raises:
        NotFound: nothing, or there is no such organization.
    """
    found = await readable(foundry, who, OrganizationId(organization))
    if not found:
        raise NotFound(f"no organization with id {organization}", field="organization")
    return found


def only_in(tasks: Iterable[T], repositories: list[RepositoryRef]) -> list[T]:
    """The tasks of these repositories."""
    ids = {one.id for one in repositories}
    return [task for task in tasks if task.repository.id in ids]


async def task_of(request: Request, who: Me, task: str, *, change: bool = False) -> TaskView:
    """The task, if the person may see (and change) it."""
    foundry = foundry_of(request)
    missing = f"no task with id {task}"
    if not is_id(task, "tsk"):
        raise NotFound(missing, field="task")
    found = await foundry.runtime.read(task_view, TaskId(task))
    await (may_change if change else may_read)(foundry, who, found.repository, missing)
    return found


async def session_of(request: Request, who: Me, session: str, *, change: bool = False) -> SessionView:
    """The session, if the person may see (and change) it."""
    foundry = foundry_of(request)
    missing = f"no session with id {session}"
    if not is_id(session, "ses"):
        raise NotFound(missing, field="session")
    found = await foundry.runtime.read(session_view, SessionId(session))
    await (may_change if change else may_read)(foundry, who, found.repository, missing)
    return found
