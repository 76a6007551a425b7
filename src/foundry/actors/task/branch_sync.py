"""The task's branch on GitHub: what is known about it, and when its commits are fetched.

A fetch writes refs only, so it may run beside an agent. To bring the work tree forward it asks for it first: it gets it
where no prompt runs, and then no prompt is granted until its end (R6).
"""

from __future__ import annotations

from foundry.actors.task import operations
from foundry.actors.task.jobs import Fetch
from foundry.actors.task.tables import remote_branches, renames, task_sessions_known, tasks, waiting_prompts
from foundry.actors.task.views import remote_head, repository_of, work_of
from foundry.contracts.messages import millis
from foundry.contracts.remote_branch import after_news, after_push, after_rejection, shown
from foundry.contracts.task import FetchBranch, TaskState
from foundry.contracts.task_branch import BranchMoved, Fetched, FetchEnded, MayForward, UpstreamState
from foundry.contracts.task_operations import Kind
from foundry.contracts.task_session import SessionStatus
from foundry.runtime.actor import handles, receives
from foundry.runtime.columns import from_row
from foundry.runtime.turn import Turn

NOT_FETCHED = "GitHub's commits were not fetched:"


@receives(BranchMoved)
def branch_moved(turn: Turn, message: BranchMoved) -> None:
    """During a rename both names come and go; the poller finds afterwards what is left."""
    row = turn.one(tasks)
    if row.state == TaskState.ARCHIVED or turn.find(renames) is not None or message.branch != row.branch:
        return
    head = after_news(remote_head(turn), message, millis(turn.now))
    if head is not None:
        turn.put(remote_branches, **dict(head))


@handles(FetchBranch)
def fetch_branch(turn: Turn, command: FetchBranch) -> None:
    """Asked again while it runs, it goes on running."""
    operations.refuse(turn, Kind.FETCH)
    if operations.running(turn, Kind.FETCH) is None:
        _fetch(turn, automatic=False, forward=True)


def fetch_what_is_new(turn: Turn) -> None:
    """Every turn ends with this: what GitHub has more of is fetched as soon as nothing is in the way."""
    head = remote_head(turn)
    if head is None or not (head.later or head.tried != head.head) or not _free(turn):
        return
    row, work = turn.one(tasks), work_of(turn)
    seen = shown(head, work, row.branch)
    if head.later:
        if not row.running_message and not turn.all(waiting_prompts):
            _fetch(turn, automatic=True, forward=True)
    elif seen is not None and seen.state is UpstreamState.AHEAD:
        _fetch(turn, automatic=True, forward=not work.behind)  # else it was set back on purpose


def _free(turn: Turn) -> bool:
    """Return True if the sandbox runs and the task itself does nothing in it."""
    row = turn.one(tasks)
    return (
        row.state == TaskState.READY
        and not row.sandbox_stopped
        and turn.find(renames) is None
        and not operations.sandbox_in_use(turn)
        and not any(one.status == SessionStatus.PENDING for one in turn.all(task_sessions_known))
    )


def _fetch(turn: Turn, *, automatic: bool, forward: bool) -> None:
    row, head = turn.one(tasks), remote_head(turn)
    at = head.head if head else None
    job = from_row(Fetch, row, repository=repository_of(row), known=at, by_itself=automatic, forward=forward)
    operations.begin(turn, Kind.FETCH, job)
    turn.update(remote_branches, tried=at, later=False)


# by the workflow


@handles(Fetched)
def fetched(turn: Turn, command: Fetched) -> None:
    """Use it like any other look at GitHub. If the branch never existed there, its absence is not news."""
    row, before = turn.one(tasks), remote_head(turn)
    seen = BranchMoved(branch=row.branch, head=command.head, before=command.known, compared=True)
    head = after_news(before, seen, millis(turn.now))
    if head is not None and (before is not None or head.head is not None):
        turn.put(remote_branches, **dict(head.model_copy(update={"tried": head.head})))


@handles(MayForward)
def may_forward(turn: Turn, command: MayForward) -> bool:
    """Not while a prompt has the work tree; it is tried once more when that has ended."""
    if turn.one(tasks).running_message:
        turn.update(remote_branches, later=True)
        return False
    operations.put(turn, Kind.FETCH, holds=True)
    return True


@handles(FetchEnded)
def brought_forward(turn: Turn, command: FetchEnded) -> None:
    if command.commits:
        commits = "1 commit" if command.commits == 1 else f"{command.commits} commits"
        turn.update(tasks, note=f"The work tree has been brought forward by {commits} from GitHub.")


def well_again(turn: Turn) -> None:
    """A fetch has succeeded: what was said of one that failed is over."""
    if turn.one(tasks).note.startswith(NOT_FETCHED):
        turn.update(tasks, note="")


def own_push(turn: Turn, head: str) -> None:
    turn.put(remote_branches, **dict(after_push(remote_head(turn), head, millis(turn.now))))


def push_rejected(turn: Turn) -> None:
    """GitHub has commits that no webhook reported. Fetch them automatically."""
    turn.put(remote_branches, **dict(after_rejection(remote_head(turn), work_of(turn))))
