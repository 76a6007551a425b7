"""Tasks: create, view, publish, rename, retry, archive."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import Field

from foundry.actors.github_state.views import pull_request
from foundry.actors.organization.views import find_repository
from foundry.actors.repository.views import refuse_held
from foundry.actors.task.views import checkpoint_of, task_diff, task_view
from foundry.api import access
from foundry.api.auth import Me, Signed
from foundry.api.bodies import Body
from foundry.api.context import Foundry, foundry_of
from foundry.api.errors import UnknownAgent, UnknownRepository
from foundry.api.keys import IdempotencyKey, id_from_key
from foundry.api.sees import Sees
from foundry.contracts import addresses
from foundry.contracts.branch_names import BranchName
from foundry.contracts.errors import Forbidden, NotFound
from foundry.contracts.github_access import AccessState
from foundry.contracts.github_state import PullRequestView
from foundry.contracts.ids import OrganizationId, SandboxId, SessionId, TaskId
from foundry.contracts.messages import Command, ScopeId
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.task import (
    AgentName,
    ArchiveTask,
    CreateTask,
    FetchBranch,
    OpenSession,
    Prompt,
    PublishTask,
    RefreshWork,
    RetryProvisioning,
    StopSandbox,
    TaskSummary,
    TaskView,
    Title,
    WorkTree,
)
from foundry.contracts.task_checkpoints import CheckpointMissing, CheckpointRef
from foundry.contracts.task_rename import CancelRename, RenameBranch
from foundry.runtime.reader import Reader

router = APIRouter(prefix="/api", tags=["tasks"])


class TaskDetail(TaskView):
    """A task, with the current state of its pull request on GitHub (R14)."""

    github_pull_request: PullRequestView | None = None


class NewTask(Body):
    repository: Annotated[str, Field(min_length=1, max_length=200, description="the repository's id, or owner/name")]
    prompt: Prompt
    title: Title | None = None
    branch: BranchName | None = None
    base: BranchName | None = None
    agent: AgentName | None = None
    auto_publish: bool | None = None
    checkpoint: CheckpointRef | None = None  # start from this work; its task must be on the same repository


class NewSession(Body):
    agent: AgentName | None = None
    prompt: Prompt | None = None


class Publish(Body):
    title: Title | None = None
    body: Annotated[str, Field(max_length=60_000)] | None = None
    draft: bool = False


class Branch(Body):
    name: BranchName


class Archive(Body):
    discard: bool = False
    kill: bool = False


def agent_of(foundry: Foundry, wish: str | None) -> str:
    """Return the agent to use.

    Raises:
        UnknownAgent: this server does not offer the agent.
    """
    name = wish or foundry.default_agent
    if name not in foundry.agents:
        raise UnknownAgent(f"{name!r} is not one of: {', '.join(foundry.agents)}", field="agent")
    return name


async def open_task(
    foundry: Foundry, who: Me, organization: OrganizationId, wish: NewTask, key: str | None
) -> TaskView:
    """Create a task with one ask. The ids are derived here from the idempotency key, if there is one."""
    agent = agent_of(foundry, wish.agent)
    repository = await access.see(foundry, who, lambda sees: _wanted(sees, organization, wish))
    task = TaskId(id_from_key("tsk", who.caller, key))
    command = CreateTask(
        parent=addresses.repository(repository.id),
        scope=ScopeId(organization),
        id=task,
        session=SessionId(id_from_key("ses", who.caller, key)),
        sandbox=SandboxId(id_from_key("sbx", who.caller, key)),
        repository=repository,
        prompt=wish.prompt,
        title=wish.title or None,
        branch=wish.branch,
        base=wish.base,
        agent=agent,
        person=who.person,
        auto_publish=foundry.auto_publish if wish.auto_publish is None else wish.auto_publish,
        checkpoint=wish.checkpoint,
    )
    opened = await foundry.runtime.ask(addresses.task(task), command, key=key, caller=who.caller)
    return opened.at(repository)


async def ask_task(request: Request, who: Me, found: TaskView, command: Command[TaskView], key: str | None) -> TaskView:
    """Ask a task that the person may change. The answer has its repository's current name."""
    answer = await foundry_of(request).runtime.ask(addresses.task(found.id), command, key=key, caller=who.caller)
    return answer.at(found.repository)


def _wanted(sees: Sees, organization: OrganizationId, wish: NewTask) -> RepositoryRef:
    """The repository that a new task is wanted on.

    Raises:
        UnknownRepository: the person may not see it there.
        Forbidden: they may not push to it.
        CheckpointMissing: the repository has no such checkpoint.
    """
    wanted = wish.repository.lower()  # GitHub ignores case in names
    repository = find_repository(sees.reader, organization, wanted)
    if repository is None or not sees.reads(repository):
        sees.organization(organization)
        if repository is not None and sees.access_state(organization) is AccessState.SINGLE_SIGN_ON:
            sees.require(repository, f"no repository {wish.repository}")
        raise UnknownRepository(f"the organization has no repository {wish.repository!r}", field="repository")
    try:
        sees.require(repository, f"no repository {wish.repository}", change=True)
    except Forbidden as error:
        raise Forbidden(error.detail, field="repository") from None
    if wish.checkpoint is not None and not _belongs(sees.reader, wish.checkpoint, repository):
        raise CheckpointMissing(
            f"{repository.full_name} has no task with the checkpoint {wish.checkpoint.id}", field="checkpoint"
        )
    return repository


def _belongs(reader: Reader, checkpoint: CheckpointRef, repository: RepositoryRef) -> bool:
    """Return True if the checkpoint exists and is of this repository. The person may not see that of another one."""
    try:
        checkpoint_of(reader, checkpoint)
        return task_view(reader, checkpoint.task).repository.id == repository.id
    except (CheckpointMissing, NotFound):
        return False


@router.get("/organizations/{organization}/tasks")
async def listed(request: Request, organization: str, archived: bool = False) -> list[TaskSummary]:
    """List the organization's tasks, the newest first."""

    def look(sees: Sees) -> list[TaskSummary]:
        return sees.tasks(sees.organization(organization).id, archived=archived)

    return await access.answer(request, look)


@router.post("/organizations/{organization}/tasks", status_code=201)
async def create(
    request: Request, response: Response, who: Signed, organization: str, wish: NewTask, key: IdempotencyKey = None
) -> TaskView:
    """Create a task. Responds as soon as the task's row is committed; provisioning follows in the background."""
    task = await open_task(foundry_of(request), who, OrganizationId(organization), wish, key)
    response.headers["Location"] = f"/api/tasks/{task.id}"
    return task


@router.get("/tasks/{task}")
async def shown(request: Request, who: Signed, task: str) -> TaskDetail:
    """Get one task: its phase, sessions, work tree and pull request."""
    found, known = await access.task_of(request, who, task), None
    if found.pull_request is not None:
        repository, number = found.repository, found.pull_request.number
        known = await foundry_of(request).runtime.read(pull_request, repository.organization, repository.id, number)
    return TaskDetail(**{name: getattr(found, name) for name in TaskView.model_fields}, github_pull_request=known)


@router.get("/tasks/{task}/diff")
async def diff(request: Request, who: Signed, task: str) -> WorkTree:
    """Get the branch's diff against its base, including uncommitted changes, as last seen. Truncated at 256 KiB."""
    found = await access.task_of(request, who, task)
    return await foundry_of(request).runtime.read(task_diff, found.id)


@router.post("/tasks/{task}/work", status_code=202)
async def refresh(request: Request, who: Signed, task: str, key: IdempotencyKey = None) -> TaskView:
    """Inspect the sandbox's work tree again, in the background. The task's topic delivers the result."""
    found = await access.task_of(request, who, task, change=True)
    await foundry_of(request).runtime.ask(addresses.task(found.id), RefreshWork(), key=key, caller=who.caller)
    return found


@router.put("/tasks/{task}/upstream", status_code=202)
async def fetch_branch(request: Request, who: Signed, task: str, key: IdempotencyKey = None) -> TaskView:
    """Fetch the branch and its base from GitHub, in the background, and fast-forward the work tree if possible."""
    found = await access.task_of(request, who, task, change=True)
    return await ask_task(request, who, found, FetchBranch(), key)


@router.post("/tasks/{task}/idle-stop", status_code=202)
async def idle_stop(request: Request, who: Signed, task: str, key: IdempotencyKey = None) -> TaskView:
    """Save the work, then stop the idle sandbox. The next message starts it again."""
    found = await access.task_of(request, who, task, change=True)
    return await ask_task(request, who, found, StopSandbox(), key)


@router.post("/tasks/{task}/sessions", status_code=201)
async def open_session(
    request: Request, response: Response, who: Signed, task: str, wish: NewSession, key: IdempotencyKey = None
) -> TaskView:
    """Open another session. It is pending until its agent is ready. `Location` has its address."""
    found, foundry = await access.task_of(request, who, task, change=True), foundry_of(request)
    session = SessionId(id_from_key("ses", f"{who.caller}/{task}", key))
    command = OpenSession(session=session, agent=agent_of(foundry, wish.agent), prompt=wish.prompt, person=who.person)
    view = await ask_task(request, who, found, command, key)
    response.headers["Location"] = f"/api/sessions/{session}"
    return view


@router.post("/tasks/{task}/pull-request", status_code=202)
async def publish(
    request: Request, who: Signed, task: str, wish: Publish | None = None, key: IdempotencyKey = None
) -> TaskView:
    """Push the branch and open the pull request, in the background."""
    found, given = await access.task_of(request, who, task, change=True), wish or Publish()
    command = PublishTask(person=who.person, title=given.title or None, body=given.body, draft=given.draft)
    return await ask_task(request, who, found, command, key)


@router.put("/tasks/{task}/branch", status_code=202)
async def rename_branch(request: Request, who: Signed, task: str, wish: Branch, key: IdempotencyKey = None) -> TaskView:
    """Rename the branch in the sandbox and on GitHub, in the background.

    GitHub closes the renamed branch's open pull request; Foundry opens a replacement.
    """
    found, foundry = await access.task_of(request, who, task, change=True), foundry_of(request)
    await foundry.runtime.read(refuse_held, found.repository.id, found.id, wish.name)
    command = RenameBranch(name=wish.name)
    return await ask_task(request, who, found, command, key)


@router.delete("/tasks/{task}/branch/rename", status_code=202)
async def cancel_rename(request: Request, who: Signed, task: str, key: IdempotencyKey = None) -> TaskView:
    """Cancel a rename that failed. The old name is restored, unless GitHub already has the new one."""
    found = await access.task_of(request, who, task, change=True)
    return await ask_task(request, who, found, CancelRename(), key)


@router.post("/tasks/{task}/retry", status_code=202)
async def retry(request: Request, who: Signed, task: str, key: IdempotencyKey = None) -> TaskView:
    """Retry what failed or is overdue, in the background."""
    found = await access.task_of(request, who, task, change=True)
    return await ask_task(request, who, found, RetryProvisioning(), key)


@router.post("/tasks/{task}/archive")
async def archive(
    request: Request, who: Signed, task: str, wish: Archive | None = None, key: IdempotencyKey = None
) -> TaskView:
    """Archive the task at once. Its sandbox is released in the background."""
    found, given = await access.task_of(request, who, task, change=True), wish or Archive()
    command = ArchiveTask(person=who.person, discard=given.discard, kill=given.kill)
    return await ask_task(request, who, found, command, key)
