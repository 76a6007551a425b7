"""Access checks: a person may see and change what GitHub lets them see and change (DESIGN section 6).

GitHubState stores GitHub's answers. When a read permission is older than 10 minutes or a write permission is older than
60 s, Foundry asks GitHub again and records the new answer. Every signed-in person may read a public repository.
Resources you may not see return 404, as if they did not exist.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from typing import TypeVar

import structlog
from fastapi import Request

from foundry.actors.github_state.views import members, permission
from foundry.actors.organization.views import organization_view, organizations, repository_list
from foundry.actors.repository.views import repository_view
from foundry.actors.sandbox_instance.views import sandbox_view
from foundry.actors.task.views import announces, task_view
from foundry.actors.task_session.views import session_view
from foundry.api.auth import Me
from foundry.api.context import Foundry, foundry_of
from foundry.contracts import addresses
from foundry.contracts.errors import Forbidden, FoundryError, NotFound
from foundry.contracts.github_state import NotInstalled, RecordPermission
from foundry.contracts.ids import OrganizationId, RepositoryId, SandboxId, SessionId, TaskId, is_id
from foundry.contracts.organization import OrganizationView
from foundry.contracts.people import Access
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.sandbox_instance import SandboxView
from foundry.contracts.task import TaskSummary, TaskView
from foundry.contracts.task_session import SessionView
from foundry.runtime.reader import Reader

READ_FRESH = timedelta(minutes=10)
WRITE_FRESH = timedelta(seconds=60)
READ_STALE = timedelta(hours=1)  # while GitHub does not answer, a permission this old still allows reading
BIRTH = 1.0  # seconds to wait until a session that a task has just announced exists
AT_ONCE = 8  # concurrent permission checks at GitHub for one list

T = TypeVar("T", bound=TaskSummary)
Thing = TypeVar("Thing")
Found = TypeVar("Found")

log = structlog.get_logger("foundry.api")


async def access_to(foundry: Foundry, who: Me, repository: RepositoryRef, *, fresh: timedelta = READ_FRESH) -> Access:
    """Return the person's access to a repository. Asks GitHub if the recorded answer is older than `fresh`.

    Raises:
        NotInstalled: the App is not installed for the organization, so Foundry cannot ask GitHub.
        GitHubUnavailable: GitHub does not answer, and the recorded answer is too old.
    """
    login = who.person.login
    known = await foundry.runtime.read(permission, repository.organization, repository.id, login)
    age = foundry.now() - known.checked_at if known is not None else READ_STALE
    if known is not None and age < fresh:
        return known.access
    try:
        return await _checked(foundry, repository, login)
    except FoundryError as error:
        if known is None or not error.transient or fresh < READ_FRESH or age >= READ_STALE:
            raise
        log.warning("GitHub did not answer a permission check", repository=repository.full_name, error=error.detail)
        return known.access


async def _checked(foundry: Foundry, repository: RepositoryRef, login: str) -> Access:
    """Ask GitHub now. Concurrent checks of the same person and repository share one request."""
    key = (repository.id, login.lower())
    running = foundry.checks.get(key)
    if running is None:
        running = foundry.checks[key] = asyncio.create_task(_check(foundry, repository, login))
        running.add_done_callback(lambda _: foundry.checks.pop(key, None))
    return await asyncio.shield(running)


async def _check(foundry: Foundry, repository: RepositoryRef, login: str) -> Access:
    foundry.metrics.permission_checks.inc()
    access = await foundry.doors.github.permission(repository.organization, repository, login)
    record = RecordPermission(repository=repository.id, login=login, access=access)
    await foundry.runtime.ask(addresses.github(repository.organization), record)
    return access


async def reads(foundry: Foundry, who: Me, repository: RepositoryRef) -> bool:
    """Return True if the person may read the repository."""
    if not repository.private:
        return True
    try:
        return (await access_to(foundry, who, repository)).may_read
    except NotInstalled:
        return False


async def writes(foundry: Foundry, who: Me, repository: RepositoryRef, *, fresh: timedelta = WRITE_FRESH) -> bool:
    """Return True if the person may push to the repository."""
    try:
        return (await access_to(foundry, who, repository, fresh=fresh)).may_write
    except NotInstalled:
        return False


async def may_read(foundry: Foundry, who: Me, repository: RepositoryRef, missing: str) -> None:
    """Require read access.

    Raises:
        NotFound: the person may not see the repository. `missing` is the message, as if it did not exist.
    """
    if not await reads(foundry, who, repository):
        raise NotFound(missing)


async def may_change(foundry: Foundry, who: Me, repository: RepositoryRef, missing: str) -> None:
    """Require push access.

    Raises:
        NotFound: the person may not see the repository.
        Forbidden: the person may read but not push.
        NotInstalled: the person may read, but nobody can push because the App is no longer installed.
    """
    await may_read(foundry, who, repository, missing)
    access = await access_to(foundry, who, repository, fresh=WRITE_FRESH)
    if repository.private and not access.may_read:
        raise NotFound(missing)
    if not access.may_write:
        raise Forbidden(
            f"{who.person.login} has {access} access to {repository.full_name}, but this needs write access"
        )


# organizations


async def readable(foundry: Foundry, who: Me, organization: OrganizationId) -> list[RepositoryRef]:
    """Return the organization's repositories that the person may read."""
    known = await foundry.runtime.read(repository_list, organization)
    allowed = await _each(known, lambda one: reads(foundry, who, one))
    return [one for one, may in zip(known, allowed, strict=True) if may]


async def organization_of(foundry: Foundry, who: Me, organization: str) -> tuple[OrganizationView, list[RepositoryRef]]:
    """Return the organization and its repositories that the person may read.

    Raises:
        NotFound: the organization does not exist, or the person may not see it.
    """
    id = OrganizationId(organization)
    missing = NotFound(f"no organization with id {organization}", field="organization")
    try:
        view = await foundry.runtime.read(organization_view, id)
    except NotFound:
        raise missing from None
    found = await readable(foundry, who, id)
    if not found and not await _belongs(foundry, who, id):
        raise missing
    return view, found


async def organization(foundry: Foundry, who: Me, organization: str) -> list[RepositoryRef]:
    """Return the organization's repositories that the person may read.

    Raises:
        NotFound: the organization does not exist, or the person may not see it.
    """
    return (await organization_of(foundry, who, organization))[1]


async def seen_organizations(foundry: Foundry, who: Me) -> list[OrganizationView]:
    """Return the organizations that the person belongs to or has readable repositories in."""
    known = await foundry.runtime.read(organizations)

    async def seen(one: OrganizationView) -> bool:
        return await _belongs(foundry, who, one.id) or bool(await readable(foundry, who, one.id))

    allowed = await _each(known, seen)
    return [one for one, may in zip(known, allowed, strict=True) if may]


async def is_insider(foundry: Foundry, who: Me, organization: OrganizationId) -> bool:
    """Return True if the person belongs to the organization: a member, its own account, or somebody who may push there.

    Only these people see what concerns the whole organization, such as its own runtime issues.
    """
    if await _belongs(foundry, who, organization):
        return True
    for repository in await foundry.runtime.read(repository_list, organization):
        if await writes(foundry, who, repository, fresh=READ_FRESH):
            return True
    return False


async def _belongs(foundry: Foundry, who: Me, organization: OrganizationId) -> bool:
    if organization == who.person.id:
        return True
    return any(one.id == who.person.id for one in await foundry.runtime.read(members, organization))


def only_in(tasks: Iterable[T], repositories: Iterable[RepositoryRef]) -> list[T]:
    """Return only the tasks of these repositories."""
    ids = {one.id for one in repositories}
    return [task for task in tasks if task.repository.id in ids]


# one thing


def present(reader: Reader, repository: RepositoryRef) -> RepositoryRef:
    """Return the repository's current data. Its name, owner and visibility may have changed."""
    try:
        return repository_view(reader, repository.id)
    except NotFound:
        return repository


def whole_task(reader: Reader, task: TaskId) -> TaskView:
    """Return the task with its repository's current name."""
    found = task_view(reader, task)
    return found.at(present(reader, found.repository))


async def repository_of(request: Request, who: Me, repository: str, *, change: bool = False) -> RepositoryRef:
    """Return the repository, if the person may see it (and change it, with `change`)."""
    foundry, missing = foundry_of(request), f"no repository with id {repository}"
    found = await foundry.runtime.read(repository_view, RepositoryId(repository))
    await (may_change if change else may_read)(foundry, who, found, missing)
    return found


async def task_of(request: Request, who: Me, task: str, *, change: bool = False) -> TaskView:
    """Return the task, if the person may see it (and change it, with `change`)."""
    foundry, missing = foundry_of(request), f"no task with id {task}"
    if not is_id(task, "tsk"):
        raise NotFound(missing, field="task")

    def look(reader: Reader) -> TaskView:
        return whole_task(reader, TaskId(task))

    found = await foundry.runtime.read(look)
    await (may_change if change else may_read)(foundry, who, found.repository, missing)
    return found


async def session_of(request: Request, who: Me, session: str, *, change: bool = False) -> SessionView:
    """Return the session, if the person may see it (and change it, with `change`)."""
    foundry, missing = foundry_of(request), f"no session with id {session}"
    if not is_id(session, "ses"):
        raise NotFound(missing, field="session")

    def look(reader: Reader) -> SessionView:
        found = session_view(reader, SessionId(session))
        return found.model_copy(update={"repository": present(reader, found.repository)})

    await _born(foundry, SessionId(session))
    found = await foundry.runtime.read(look)
    await (may_change if change else may_read)(foundry, who, found.repository, missing)
    return found


async def _born(foundry: Foundry, session: SessionId) -> None:
    """Wait briefly for a new session: its task publishes the id before the session itself exists."""
    address = addresses.session(session)
    if await foundry.runtime.read(lambda reader: reader.exists(address) or not announces(reader, session)):
        return
    subscription = foundry.runtime.hub.subscribe(address)
    try:
        async with asyncio.timeout(BIRTH):
            if not await foundry.runtime.read(lambda reader: reader.exists(address)):
                await anext(subscription.events(0))
    except TimeoutError:
        return
    finally:
        subscription.close()


async def sandbox_of(request: Request, who: Me, sandbox: str, *, change: bool = False) -> SandboxView:
    """Return the sandbox, if the person may see its task (and change it, with `change`)."""
    foundry, missing = foundry_of(request), f"no sandbox with id {sandbox}"
    if not is_id(sandbox, "sbx"):
        raise NotFound(missing, field="sandbox")

    def look(reader: Reader) -> tuple[SandboxView, RepositoryRef]:
        found = sandbox_view(reader, SandboxId(sandbox))
        return found, present(reader, task_view(reader, found.task).repository)

    found, repository = await foundry.runtime.read(look)
    await (may_change if change else may_read)(foundry, who, repository, missing)
    return found


async def _each(things: Sequence[Thing], ask: Callable[[Thing], Awaitable[Found]]) -> list[Found]:
    """Call `ask` for each thing, at most AT_ONCE at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(thing: Thing) -> Found:
        async with gate:
            return await ask(thing)

    return await asyncio.gather(*(one(thing) for thing in things))
