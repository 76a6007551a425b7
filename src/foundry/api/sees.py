"""What one person may see and change (DESIGN section 6): pure functions of one read.

They answer from what GitHubState has recorded. Where that is missing or too old they raise `Outdated`, and
`foundry.api.access.see` asks GitHub. Resources you may not see return 404, as if they did not exist.
"""

from __future__ import annotations

import re
from dataclasses import replace

from foundry.actors.github_state.access_views import (
    NEVER,
    READABLE,
    WRITABLE,
    Asking,
    OrganizationAccess,
    installations_not_counted,
    memberships,
    organization_access,
    public_access,
    reach_of,
    right_to,
)
from foundry.actors.github_state.views import installation_of
from foundry.actors.organization import views as organizations
from foundry.actors.repository.views import repository_view
from foundry.actors.sandbox_instance.views import sandbox_view
from foundry.actors.task.views import task_view
from foundry.actors.task_session.views import session_view
from foundry.actors.user_github_data.views import connected_since
from foundry.api.auth import Me
from foundry.contracts.errors import Forbidden, NotFound
from foundry.contracts.github_access import AccessState, Question, Role, SingleSignOnNeeded
from foundry.contracts.ids import OrganizationId, RepositoryId, SandboxId, SessionId, TaskId, is_id
from foundry.contracts.organization import OrganizationView
from foundry.contracts.people import Access
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.sandbox_instance import SandboxView
from foundry.contracts.task import TaskSummary, TaskView
from foundry.contracts.task_session import SessionView
from foundry.runtime.reader import Reader

LOCAL_PORT = re.compile(r"\b(127\.0\.0\.1|0\.0\.0\.0|localhost):\d+")


class Sees:
    """What one person may see and change, in one snapshot. Reads only.

    Every method raises `Outdated` where GitHub has to be asked first.
    """

    def __init__(self, reader: Reader, me: Me, asking: Asking, *, without_token: bool = False) -> None:
        self.reader, self.me = reader, me
        connected = None if without_token else connected_since(reader, asking.person, asking.now)
        self._asking = replace(asking, connected=connected)
        self._known: dict[OrganizationId, OrganizationAccess | None] = {}
        self.to_renew: set[Question] = set()  # listings to read again in the background

    # organizations

    def organizations(self) -> list[OrganizationView]:
        """The organizations that have the App installed and that the person belongs to or may read something of."""
        reach, members = reach_of(self.reader, self._asking), memberships(self.reader, self._asking.person)
        found: list[OrganizationView] = []
        for id, installation, view in organizations.installed(self.reader):
            if installation in reach.installations or id == self._asking.person or view.public_work:
                found.append(view)
            elif id in members or id in reach.single_sign_on or self._asking.connected is None:
                known = self.access_in(id)
                if known is not None and (known.role is not Role.NONE or self._reads_something(known)):
                    found.append(view)
        return found

    def knows_all_installations(self) -> bool:
        """False while an installation that the person may use has not been read yet, as just after the first start."""
        known = {number for _, number, _ in organizations.installed(self.reader)}
        return known | installations_not_counted(self.reader) >= set(reach_of(self.reader, self._asking).installations)

    def organization(self, organization: str) -> OrganizationView:
        """The organization.

        Raises:
            NotFound: it does not exist, or the person may not see it.
            NotInstalled: the App was removed there, and the person belongs to it.
        """
        id = OrganizationId(organization)
        missing = NotFound(f"no organization with id {organization}", field="organization")
        known = self.access_in(id)
        if known is None:
            raise missing
        view = organizations.organization_view(self.reader, id)
        if known.role is Role.NONE and not view.public_work and not self._reads_something(known):
            raise missing
        return view

    def role(self, organization: OrganizationId) -> Role:
        """What the person is in the organization."""
        known = self.access_in(organization)
        if known is None:
            return Role.NONE
        if known.role is Role.NONE and self._has_right(known):
            return Role.COLLABORATOR
        return known.role

    def access_state(self, organization: OrganizationId) -> AccessState:
        """Why the person may not see all that GitHub lets them see there."""
        known = self.access_in(organization)
        if known is None:
            return AccessState.LISTED
        if known.single_sign_on:
            return AccessState.SINGLE_SIGN_ON
        if known.by_app:
            return AccessState.RECONNECT
        return AccessState.LISTED if known.complete else AccessState.LISTING

    def role_on_server(self) -> Role:
        """The highest role that the person has in any organization that has the App, as of the last sync."""
        members = memberships(self.reader, self._asking.person)
        here = [id for id, _, _ in organizations.installed(self.reader)]
        roles = {Role.OWNER if id == self._asking.person else members.get(id, Role.NONE) for id in here}
        return next((role for role in (Role.OWNER, Role.MEMBER) if role in roles), Role.NONE)

    def visible(self, organization: OrganizationId) -> frozenset[str]:
        """The ids of the organization's repositories that the person may read."""
        known = self.access_in(organization)
        if known is None:
            return frozenset()
        readable = None if known.all else READABLE
        return frozenset(organizations.repository_ids(self.reader, organization, readable, known.values))

    def repositories(self, organization: OrganizationId, *, writable: bool = False) -> list[RepositoryRef]:
        """The organization's repositories that the person may read, or those that they may push to, by name."""
        known = self.access_in(organization)
        if known is None:
            return []
        readable = None if known.all else WRITABLE if writable else READABLE
        return organizations.repository_list(self.reader, organization, readable, known.values)

    def repositories_json(self, organization: OrganizationId) -> str:
        """The repositories that the person may read, as the API sends them."""
        known = self.access_in(organization)
        if known is None:
            return "[]"
        readable = None if known.all else READABLE
        return organizations.repository_list_json(self.reader, organization, readable, known.values)

    def tasks(self, organization: OrganizationId, *, archived: bool = False) -> list[TaskSummary]:
        """The tasks of these repositories, the newest first."""
        known = self.access_in(organization)
        if known is None:
            return []
        readable = None if known.all else READABLE
        return organizations.task_list(self.reader, organization, readable, known.values, archived=archived)

    def access_in(self, organization: OrganizationId) -> OrganizationAccess | None:
        """What the person may see in the organization; None: they have nothing to do with it."""
        if organization not in self._known:
            known = self._known[organization] = self._access_in(organization)
            if known is not None and known.renew:
                self.to_renew.add(Question(known.person, known.number, organization))
        return self._known[organization]

    def _access_in(self, id: OrganizationId) -> OrganizationAccess | None:
        """A person who does not reach the installation costs no question about the organization."""
        try:
            public = organizations.organization_view(self.reader, id).public_work
        except NotFound:
            return None
        if self._asking.connected is not None and id != self._asking.person:
            reach, installation = reach_of(self.reader, self._asking), installation_of(self.reader, id)
            near = installation is None or installation in reach.installations or id in reach.single_sign_on
            if not near and id not in memberships(self.reader, self._asking.person):
                return public_access(self.reader, id, self._asking) if public else None
        found = organization_access(self.reader, id, self._asking, public=public)
        if found is not None and found.single_sign_on and not self.me.admin:
            return replace(found, since=NEVER)  # the App would answer what GitHub refuses the person
        return found

    def _reads_something(self, known: OrganizationAccess) -> bool:
        return self.reader.first(READABLE.limit(1), known.values) is not None

    def _has_right(self, known: OrganizationAccess) -> bool:
        return self.reader.first(READABLE.limit(1), {**known.values, "access_public_floor": NEVER}) is not None

    # one repository

    def right(self, repository: RepositoryRef, *, write: bool = False) -> Access:
        """What the person may do with it. Reading what the organization shows to everybody is a right too.

        Args:
            write: it is to be changed, so GitHub's answer must be younger.
        """
        known = self.access_in(repository.organization)
        if known is None:
            return Access.NONE
        if known.all and not write:
            return Access.ADMIN
        shown = not write and self._shows_to_everybody(known, repository)
        if shown and known.by_app:
            return Access.READ  # the App is not asked for what everybody may do
        asked = (known.by_app or known.floor != NEVER) and not self._needs_single_sign_on(repository)
        own = right_to(self.reader, known, self._asking, repository.id, write=write) if asked else Access.NONE
        return Access.READ if shown and not own.may_read else own

    def _needs_single_sign_on(self, repository: RepositoryRef) -> bool:
        """Return True if GitHub refuses the person there until a single sign-on. The admin acts without it."""
        known = self.access_in(repository.organization)
        return known is not None and known.single_sign_on and not self.me.admin

    def _shows_to_everybody(self, known: OrganizationAccess, repository: RepositoryRef) -> bool:
        if known.public_floor == NEVER:
            return False
        values = {**known.values, "access_floor": NEVER, "access_since": NEVER}
        return any(row.repository == repository.id for row in self.reader.all(READABLE, values))

    def reads(self, repository: RepositoryRef) -> bool:
        """Return True if the person may read the repository, and the App sees it."""
        return self.right(repository).may_read and organizations.has_repository(self.reader, repository)

    def writes(self, repository: RepositoryRef, *, now: bool = False) -> bool:
        """Return True if the person may push to the repository.

        Args:
            now: it is to be changed, so GitHub's answer must be younger.
        """
        return self.reads(repository) and self.right(repository, write=now).may_write

    def require(self, repository: RepositoryRef, missing: str, *, change: bool = False) -> None:
        """Require read access, and push access if it is to be changed.

        Raises:
            SingleSignOnNeeded: GitHub refuses the person until a single sign-on.
            NotFound: the person may not see the repository. `missing` is the message, as if it did not exist.
            Forbidden: the person may read but not push.
        """
        if not self.reads(repository):
            if self._needs_single_sign_on(repository):
                owner = repository.owner
                raise SingleSignOnNeeded(f"{owner} requires single sign-on, and your token has no session there")
            raise NotFound(missing)
        if change and not self.right(repository, write=True).may_write:
            login, right = self.me.person.login, self.right(repository)
            raise Forbidden(f"{login} has {right} access to {repository.full_name}, but this needs write access")

    # one thing

    def present(self, repository: RepositoryRef) -> RepositoryRef:
        """The repository's current data. Its name, owner and visibility may have changed."""
        return present(self.reader, repository)

    def repository(self, repository: str, *, change: bool = False) -> RepositoryRef:
        """The repository, if the person may see it (and change it, with `change`)."""
        missing = f"no repository with id {repository}"
        found = repository_view(self.reader, RepositoryId(repository))
        self.require(found, missing, change=change)
        return found

    def task(self, task: str, *, change: bool = False) -> TaskView:
        """The task, if the person may see it (and change it, with `change`)."""
        missing = f"no task with id {task}"
        if not is_id(task, "tsk"):
            raise NotFound(missing, field="task")
        found = whole_task(self.reader, TaskId(task))
        self.require(found.repository, missing, change=change)
        return found

    def session(self, session: str, *, change: bool = False) -> SessionView:
        """The session, if the person may see it (and change it, with `change`)."""
        missing = f"no session with id {session}"
        if not is_id(session, "ses"):
            raise NotFound(missing, field="session")
        found = session_view(self.reader, SessionId(session))
        here = self.present(found.repository)
        self.require(here, missing, change=change)
        return found.model_copy(update={"repository": here})

    def sandbox(self, sandbox: str, *, change: bool = False) -> SandboxView:
        """The sandbox, if the person may see its task (and change it, with `change`). See `shown_to`."""
        missing = f"no sandbox with id {sandbox}"
        if not is_id(sandbox, "sbx"):
            raise NotFound(missing, field="sandbox")
        found = sandbox_view(self.reader, SandboxId(sandbox))
        self.require(self.present(task_view(self.reader, found.task).repository), missing, change=change)
        return shown_to(self.me, found)


def shown_to(me: Me, sandbox: SandboxView) -> SandboxView:
    """Return the sandbox without its endpoint, which is the admin's. sandbox-agent's log names it too."""
    if me.admin:
        return sandbox
    return sandbox.model_copy(update={"endpoint": None, "log": LOCAL_PORT.sub(r"\1:(hidden)", sandbox.log)})


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
