"""Tasks: one branch of one repository, from the prompt to the merged pull request."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import StringConstraints

from foundry.contracts.branch_names import BranchName
from foundry.contracts.errors import FoundryError
from foundry.contracts.ids import CheckpointId, RepositoryId, SandboxId, SessionId, TaskId
from foundry.contracts.messages import Birth, Command, Event, Message, Model
from foundry.contracts.overdue import Overdue
from foundry.contracts.people import Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.task_branch import Upstream
from foundry.contracts.task_checkpoints import CheckpointRef, Saved

if TYPE_CHECKING:
    from foundry.contracts.issues import Failure
    from foundry.contracts.task_session import SessionFailure

PROMPT_LIMIT = 100_000  # characters


TITLE_LIMIT = 200  # characters


MADE_TITLE = 72  # characters of a title made from a prompt


class NothingToPublish(FoundryError, code="nothing_to_publish", status=409):
    """The branch has no commits for a pull request."""

    remedy = "Let the agent commit its changes, then publish again."


def title_of(text: str) -> str:
    """The first line of a prompt or message that says something, without its full stop, cut at a word; may be empty."""
    lines = [line.strip(" #*->\t") for line in text.splitlines()]
    first = next((line for line in lines if line and not line.startswith("```")), "")
    if first.endswith(".") and not first.endswith(".."):
        first = first[:-1]
    if len(first) <= MADE_TITLE:
        return first
    cut = first[: MADE_TITLE - 1]
    return (cut.rsplit(" ", 1)[0] if " " in cut[20:] else cut) + "…"


Prompt = Annotated[str, StringConstraints(min_length=1, max_length=PROMPT_LIMIT, strip_whitespace=True)]


Title = Annotated[str, StringConstraints(max_length=TITLE_LIMIT, strip_whitespace=True)]


AgentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


class Phase(StrEnum):
    """Where a task's provisioning stands, in order; each is a durable step (docs/states.md)."""

    NAMING = "naming"
    CREATING_SANDBOX = "creating sandbox"
    STARTING_AGENT_SERVER = "starting sandbox-agent"
    WAITING_FOR_HEALTH = "waiting for health"
    CLONING = "cloning"
    RESTORING = "restoring the work"  # where the task begins from a checkpoint
    INSTALLING_AGENT = "installing agent"
    CREATING_SESSION = "creating session"
    SENDING_PROMPT = "sending the prompt"
    RUNNING = "running"


class TaskState(StrEnum):
    PROVISIONING = "provisioning"
    FAILED = "failed"  # provisioning ended without success; `failure` says why; retry goes on
    READY = "ready"  # the sandbox lives and the branch is checked out
    ARCHIVED = "archived"


class ArchiveReason(StrEnum):
    ARCHIVED = "archived"  # by a person
    KILLED = "killed"  # by a person, without looking at unpushed work
    MERGED = "merged"


class PhaseFailure(Model):
    """What went wrong in the present phase and what to do about it (R25)."""

    code: str
    message: str
    remedy: str
    attempt: int
    retry_at: datetime | None = None  # absent: nothing happens by itself

    @classmethod
    def of(cls, failure: Failure | SessionFailure) -> Self:
        return cls(
            code=failure.code,
            message=failure.message,
            remedy=failure.remedy,
            attempt=failure.attempt,
            retry_at=failure.retry_at,
        )


class ChangedFile(Model):
    """One file's lines against the base, committed and not."""

    path: str
    added: int = 0
    removed: int = 0


class WorkTree(Model):
    """What the sandbox's work tree looks like, as last seen. Its diff is a read of its own: `TaskDiff`."""

    head: str = ""
    commits_ahead: int = 0  # of the base it was cut from
    unpushed: int = 0  # commits that are nowhere but here
    upstream: str = ""  # where the branch is on GitHub, as this clone knows; empty: not there
    behind: int = 0  # commits of that which are not in the branch here
    changed_files: list[str] = []  # not committed
    insertions: int = 0
    deletions: int = 0
    files: list[ChangedFile] = []  # the first 40 of the diff, in its order
    more_files: int = 0
    diff: str = ""  # against the base, committed and not; cut at 256 KiB. Empty where a task is shown
    diff_cut: bool = False
    seen_at: datetime | None = None


class PullRequestRef(Model):
    """A task stores the number and what it made of it; the rest is GitHubState's (R14)."""

    number: int
    state: str  # open, closed, merged
    url: str = ""


class BranchRename(Model):
    """A rename of the branch that runs, or has failed: `failure` says why."""

    old: str
    new: str
    step: str  # what it is about
    replaces: int | None = None  # the pull request that GitHub closes by it
    touched: bool = False  # the sandbox may have the new name
    asked: bool = False  # GitHub may have the new name
    giving_up: bool = False
    merged: bool = False  # the pull request was merged meanwhile: the task is archived at the end
    failure: PhaseFailure | None = None


class SessionSummary(Model):
    id: SessionId
    title: str = ""
    agent: str
    status: str
    stopped: bool = False  # with its sandbox, because nobody used it
    failure: PhaseFailure | None = None  # why it is in error, and what to do
    overdue: Overdue | None = None


class TaskSummary(Model):
    """A task as lists show it."""

    id: TaskId
    repository: RepositoryRef
    title: str
    branch: str | None = None
    state: TaskState
    phase: Phase
    phase_since: datetime
    activity: str = ""  # the active session's status
    failure: PhaseFailure | None = None
    overdue: Overdue | None = None  # what lasts longer than it should, of the task or of its active session
    pull_request: PullRequestRef | None = None
    created_by: Person
    created_at: datetime
    changed_at: datetime
    archived: ArchiveReason | None = None

    def at(self, repository: RepositoryRef) -> Self:
        """The same with its repository as it is called now; whoever shows it looks that up."""
        pull = self.pull_request
        if pull is not None and repository.html_url:
            pull = pull.model_copy(update={"url": f"{repository.html_url}/pull/{pull.number}"})
        return self.model_copy(update={"repository": repository, "pull_request": pull})


class TaskView(TaskSummary):
    """A task as its page shows it."""

    prompt: str
    base: str
    wanted_branch: str | None = None  # the person's own choice
    attempt: int = 1
    sandbox: SandboxId | None = None
    active_session: SessionId | None = None
    sessions: list[SessionSummary] = []
    work: WorkTree = WorkTree()
    publishing: str = ""  # the publish workflow's step, while it runs
    rename: BranchRename | None = None
    renaming: bool = False  # it runs: no prompt does meanwhile
    checkpoint: int = 0  # the latest checkpoint's number; the list is a read of its own
    begins_from: CheckpointRef | None = None  # what provisioning restores
    saving: bool = False  # a checkpoint is being made
    restoring: bool = False  # one is being restored: no prompt runs meanwhile
    upstream: Upstream | None = None  # the branch on GitHub; none: it was never there
    fetching: bool = False  # GitHub's commits are being fetched
    sandbox_stopped: bool = False  # nobody used the sandbox, so it is stopped; whatever needs it starts it again
    checkpoint_failure: PhaseFailure | None = None  # why the last checkpoint could not be made
    retained: str = ""  # why the sandbox of an archived task is still there
    remove_at: datetime | None = None  # when the sandbox of an archived task is removed; its work is saved before
    note: str = ""  # what a person should know, e.g. that the pull request was closed unmerged
    auto_publish: bool = False

    def line(self) -> TaskSummary:
        """The task as lists show it."""
        return TaskSummary(**{name: getattr(self, name) for name in TaskSummary.model_fields})


class TaskChanged(Event):
    """On `task`: the whole new task."""

    task: TaskView


class TaskListed(Event):
    """On `organization` and `repository`: the whole new line."""

    task: TaskSummary


class CreateTask(Command[TaskView], Birth):
    """To Task: its first word. Answered as soon as the row is committed."""

    id: TaskId
    session: SessionId
    sandbox: SandboxId
    repository: RepositoryRef
    prompt: Prompt
    title: Title | None = None
    branch: BranchName | None = None
    base: BranchName | None = None
    agent: AgentName
    person: Person
    auto_publish: bool = False
    checkpoint: CheckpointRef | None = None  # of a task on the same repository: begin from there


class OpenSession(Command[TaskView]):
    """To Task: one more conversation on its branch. Pending until the sandbox is there."""

    session: SessionId
    agent: AgentName
    prompt: Prompt | None = None
    person: Person


class RetryProvisioning(Command[TaskView]):
    """To Task: go on where provisioning failed; or begin anew what lasts longer than it should."""


class ArchiveTask(Command[TaskView]):
    """To Task: it is over. Commits at once; the sandbox is released in the background, once its work is saved."""

    person: Person
    discard: bool = False  # what was not pushed may be lost: it is not saved
    kill: bool = False  # end everything now, whatever the agent is doing


class ReleaseSandbox(Command[TaskView]):
    """To an archived Task: try again to give back a sandbox that was kept, or remove one that waits for its time."""

    discard: bool = False


class SaveCheckpoint(Command[TaskView]):
    """To Task: save the work now."""


class RestoreCheckpoint(Command[TaskView]):
    """To Task: bring the work back to this checkpoint, in its sandbox; what is there now is saved first."""

    checkpoint: CheckpointId


class PublishTask(Command[TaskView]):
    """To Task: push the branch and open the pull request."""

    person: Person
    title: Title | None = None
    body: str | None = None
    draft: bool = False


class FetchBranch(Command[TaskView]):
    """To Task: get GitHub's commits of its branch and its base; the work tree follows where nothing is in the way."""


class RefreshWork(Command[None]):
    """To Task: look at the sandbox's work tree again."""


class BeginPhase(Command[None]):
    phase: Phase


class Named(Command[None]):
    branch: BranchName
    title: Title
    base: BranchName


class Provisioned(Command[None]):
    """The sandbox lives, the branch is checked out, the first session is ready."""

    note: str = ""  # what a person should know of the work that was brought back


class WorkSeen(Command[bool]):
    """What the work tree looks like; answered with whether there is something to publish.

    Nobody reads the answer, but the workflows under way have recorded it.
    """

    work: WorkTree


class Publishing(Command[None]):
    step: str


class Pushed(Command[None]):
    head: str


class PullRequestOpened(Command[None]):
    pull_request: PullRequestRef


class CheckpointSaved(Command[list[CheckpointId]]):
    """Answered with the checkpoints whose content is to be kept."""

    checkpoint: CheckpointId
    saved: Saved


class CheckpointNotSaved(Command[None]):
    """It cannot be saved, and trying again would not help."""

    code: str
    message: str
    remedy: str


class SaveOutcome(Model):
    """What a save came to: something saved, or why it cannot be."""

    saved: Saved | None = None
    refusal: CheckpointNotSaved | None = None
    gone: bool = False  # there is no sandbox

    @property
    def unsaved(self) -> str:
        """Why the sandbox still has work that no checkpoint has; empty: it has none."""
        if self.refusal is not None:
            return f"{self.refusal.message}. {self.refusal.remedy}"
        left = ", ".join(self.saved.left_out) if self.saved else ""
        return f"These could not be saved: {left}. Move them elsewhere, or discard them." if left else ""


class StopSandbox(Command[TaskView]):
    """To Task: stop its sandbox now, the work saved first; whatever needs it starts it again."""


class BeginIdleStop(Command[list[SessionId]]):
    """The work is saved: the sessions whose agents go with the sandbox; none: it is needed after all."""


class CheckpointRestored(Command[None]):
    checkpoint: CheckpointId
    spared: list[str] = []  # paths that could not be saved before, and were left as they are


class SandboxReleased(Command[None]):
    retained: str = ""  # why the sandbox was kept, where it was
    waits: bool = False  # it is stopped, and removed when its time is over


class TaskSeen(Message):
    """To Organization and Repository: the task's line changed."""

    task: TaskSummary


class PullRequestSeen(Message):
    """GitHubState -> Repository -> Task: what GitHub says of a pull request whose head is a branch of ours."""

    repository: RepositoryId
    number: int
    head: str
    base: str
    state: str  # open, closed, merged
    url: str = ""
    title: str = ""
    action: str = ""  # opened, synchronize, closed, reopened, ...
    at: datetime | None = None


class SessionSeen(Message):
    """TaskSession -> Task: its status changed."""

    session: SessionSummary


class PromptWaiting(Message):
    """TaskSession -> Task: a prompt would like to run (R6)."""

    session: SessionId
    message: str
    said_at: datetime | None = None  # one that has to be sent again, as it surely was not, keeps its place


class PromptGranted(Message):
    """Task -> TaskSession: run this prompt now; the work tree is yours."""

    message: str


class PromptEnded(Message):
    """TaskSession -> Task: the prompt is over, however it ended."""

    session: SessionId
    message: str
    outcome: str  # end_turn, cancelled, failed, unknown, ...
