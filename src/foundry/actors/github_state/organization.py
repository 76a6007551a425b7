"""GitHubState(org): repositories, members and pull requests as GitHub last described them."""

from __future__ import annotations

from collections.abc import Iterable

from foundry.actors.github_state.access_events import EVENTS as ACCESS_EVENTS
from foundry.actors.github_state.access_events import access_event, repositories_chosen
from foundry.actors.github_state.branch_heads import EVENTS as BRANCH_EVENTS
from foundry.actors.github_state.branch_heads import branch_event
from foundry.actors.github_state.listings import SWEEP, access_changed
from foundry.actors.github_state.shapes import pull_request_view
from foundry.actors.github_state.sync import begin_sync, stop_sync
from foundry.actors.github_state.tables import (
    github_members,
    github_pull_requests,
    github_repositories,
    github_states,
)
from foundry.contracts import addresses
from foundry.contracts.github_state import (
    Delivered,
    DescribePullRequest,
    HookRepository,
    InstallationGranted,
    InstallationRevoked,
    PullRequestChanged,
    PullRequestState,
    PullRequestView,
    RecordMembers,
    RecordPullRequests,
    RecordRepositories,
)
from foundry.contracts.ids import OrganizationId, RepositoryId
from foundry.contracts.messages import millis
from foundry.contracts.organization import OrganizationSeen, RepositoriesSeen
from foundry.contracts.repository import RepositoryRef, RepositorySeen
from foundry.contracts.task import PullRequestSeen
from foundry.runtime.actor import creates, handles, receives
from foundry.runtime.columns import AnyRow
from foundry.runtime.turn import Turn

# its life


@creates(InstallationGranted)
def granted(turn: Turn, message: InstallationGranted) -> None:
    """1. Remember the installation. 2. The organization exists. 3. Another installation than before: people may reach
    other things. 4. Read everything."""
    seen, known = message.installation, turn.find(github_states)
    turn.put(
        github_states,
        installation=seen.id,
        login=seen.login,
        name=seen.name,
        avatar_url=seen.avatar_url,
        personal=seen.personal,
        active=True,
    )
    _tell_organization(turn)
    turn.schedule("old access", SWEEP)
    if known is not None and (known.installation, known.active) != (seen.id, True):
        access_changed(turn)
    begin_sync(turn)


@receives(InstallationRevoked)
def revoked(turn: Turn, message: InstallationRevoked) -> None:
    """The end of an older installation changes nothing; only the current one counts."""
    if turn.one(github_states).installation != message.installation:
        return
    turn.update(github_states, active=False)
    stop_sync(turn)
    access_changed(turn)
    _tell_organization(turn)


def _tell_organization(turn: Turn) -> None:
    row, organization = turn.one(github_states), OrganizationId(turn.key)
    seen = OrganizationSeen(
        parent=addresses.app_shell(),
        scope=turn.scope,
        id=organization,
        login=row.login,
        name=row.name,
        avatar_url=row.avatar_url,
        installation=row.installation,
        active=row.active,
    )
    turn.send(addresses.organization(organization), seen)


# webhooks


@receives(Delivered)
def delivered(turn: Turn, message: Delivered) -> None:
    """Handle one delivery for this organization. A report that is older than the stored state changes nothing."""
    payload, repository = message.payload, message.payload.repository
    if message.event == "pull_request" and repository and payload.pull_request:
        if turn.find(github_repositories, repository=str(repository.id)) is None:
            _repositories(turn, _described(turn, repository))
        if turn.find(github_repositories, repository=str(repository.id)) is None:
            return  # it belongs to somebody else by now
        view = pull_request_view(RepositoryId(str(repository.id)), payload.pull_request)
        _pull_request(turn, view, by_event=True, reopened=message.action == "reopened")
    elif message.event in BRANCH_EVENTS:
        branch_event(turn, message.event, payload)
    elif message.event == "installation_repositories":
        _gone(turn, [RepositoryId(str(removed.id)) for removed in payload.repositories_removed])
        repositories_chosen(turn, payload)
        begin_sync(turn)
    elif message.event in ACCESS_EVENTS:
        if message.event == "repository" and repository:
            _repository_event(turn, message.action, repository)
        access_event(turn, message)


def _repository_event(turn: Turn, action: str, repository: HookRepository) -> None:
    elsewhere = repository.owner is not None and str(repository.owner.id) != turn.key
    if action == "deleted" or (action == "transferred" and elsewhere):
        _gone(turn, [RepositoryId(str(repository.id))])
    else:
        _repositories(turn, _described(turn, repository))


def _described(turn: Turn, seen: HookRepository) -> list[RepositoryRef]:
    """Return the repository from an event. Empty if the event is older, or another owner has the repository now."""
    known = turn.find(github_repositories, repository=str(seen.id))
    at = None if seen.updated_at is None else millis(seen.updated_at)
    if known is not None and known.updated_at is not None and at is not None and at < known.updated_at:
        return []
    if seen.owner is None or str(seen.owner.id) != turn.key:
        return []
    ref = RepositoryRef(
        id=RepositoryId(str(seen.id)),
        organization=OrganizationId(turn.key),
        owner=seen.owner.login,
        name=seen.name,
        default_branch=seen.default_branch,
        private=seen.private,
        clone_url=seen.clone_url,
        html_url=seen.html_url,
    )
    if known is None:
        turn.insert(github_repositories, repository=ref.id, ref="", updated_at=at)
    else:
        turn.update(github_repositories, {"repository": ref.id}, updated_at=at)
    return [ref]


# repositories and members


@handles(RecordRepositories)
def record_repositories(turn: Turn, command: RecordRepositories) -> None:
    _repositories(turn, command.repositories)
    if command.all is not None:
        listed = set(command.all)
        _gone(turn, [r.repository for r in turn.all(github_repositories) if r.repository not in listed])


def _repositories(turn: Turn, repositories: Iterable[RepositoryRef]) -> None:
    """1. Keep what is new or changed. 2. Tell each Repository. 3. Tell the Organization of all together."""
    changed: list[RepositoryRef] = []
    for repository in repositories:
        known, ref = turn.find(github_repositories, repository=repository.id), repository.model_dump_json()
        if known is not None and known.ref == ref:
            continue
        turn.put(github_repositories, {"repository": repository.id}, ref=ref)
        parent = addresses.organization(repository.organization)
        seen = RepositorySeen(parent=parent, scope=turn.scope, repository=repository)
        turn.send(addresses.repository(repository.id), seen)
        changed.append(repository)
    if changed:
        turn.send(addresses.organization(OrganizationId(turn.key)), RepositoriesSeen(repositories=changed))


def _gone(turn: Turn, repositories: list[RepositoryId]) -> None:
    gone = [key for key in repositories if turn.delete(github_repositories, repository=key)]
    if gone:
        turn.send(addresses.organization(OrganizationId(turn.key)), RepositoriesSeen(gone=gone))


@handles(RecordMembers)
def record_members(turn: Turn, command: RecordMembers) -> None:
    turn.delete(github_members)
    rows = [{"user": member.id, "login": member.login, "role": member.role} for member in command.members]
    turn.insert_many(github_members, rows)


# pull requests


@handles(RecordPullRequests)
def record_pull_requests(turn: Turn, command: RecordPullRequests) -> list[int]:
    for pull_request in command.pull_requests:
        _pull_request(turn, pull_request)
    listed = {pull_request.number for pull_request in command.pull_requests}
    known = turn.all(github_pull_requests, repository=command.repository, state=PullRequestState.OPEN.value)
    return sorted(row.number for row in known if row.number not in listed)


@handles(DescribePullRequest)
def describe_pull_request(turn: Turn, command: DescribePullRequest) -> None:
    """A sender was not sure of its state, so report it to its Repository even if nothing changed here."""
    view = command.pull_request
    if not _pull_request(turn, view) and view.head_repository == view.repository:
        _tell_repository(turn, view, "")


def _pull_request(turn: Turn, new: PullRequestView, *, by_event: bool = False, reopened: bool = False) -> bool:
    """1. Never overwrite newer state. 2. Publish the change. 3. Report it to the Repository.

    Returns:
        True if something changed.
    """
    row = turn.find(github_pull_requests, repository=new.repository, number=new.number)
    old = None if row is None else PullRequestView.model_validate_json(row.view)
    at = 0 if new.updated_at is None else millis(new.updated_at)
    if row is not None and old is not None and (old == new or not _newer(row, new.state, at, reopened=reopened)):
        return False
    values = {"state": new.state.value, "head": new.head, "updated_at": at, "view": new.model_dump_json()}
    turn.put(github_pull_requests, {"repository": new.repository, "number": new.number}, **values)
    entity = f"{new.repository}#{new.number}"
    turn.publish(PullRequestChanged(entity=entity, repository=new.repository, pull_request=new))
    if new.head_repository == new.repository:  # a fork's branch does not belong to a task
        _tell_repository(turn, new, _became(old, new, by_event=by_event))
    return True


def _tell_repository(turn: Turn, new: PullRequestView, action: str) -> None:
    seen = PullRequestSeen(
        repository=new.repository,
        number=new.number,
        head=new.head,
        base=new.base,
        state=new.state.value,
        url=new.url,
        title=new.title,
        action=action,
        at=new.updated_at,
    )
    turn.send(addresses.repository(new.repository), seen)


def _newer(row: AnyRow, state: PullRequestState, at: int, *, reopened: bool) -> bool:
    """Return True if this description may replace the row. GitHub's times are whole seconds, so equal times decide
    little: merged is final, and only an event that says "reopened" undoes closed."""
    if row.state == PullRequestState.MERGED and state is not PullRequestState.MERGED:
        return False
    if at == row.updated_at and row.state == PullRequestState.CLOSED and state is PullRequestState.OPEN:
        return reopened
    return at >= row.updated_at


def _became(old: PullRequestView | None, new: PullRequestView, *, by_event: bool) -> str:
    """opened, reopened, closed or merged, once for each time it happened; empty for a mere change.

    For a pull request that a sync finds, nobody here saw what happened before, so nothing is reported.
    """
    if old is None:
        first = "opened" if new.state is PullRequestState.OPEN else new.state.value
        return first if by_event else ""
    if old.state is new.state:
        return ""
    return "reopened" if new.state is PullRequestState.OPEN else new.state.value
