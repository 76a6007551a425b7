"""The rename of the task's branch (R8): what is refused, where it stands, and how it ends.

From its start to its end the rename is a row of the task's. While it runs no prompt has the work tree, and nothing
else may push, restore or archive; one that failed keeps its row until somebody retries it or gives it up.
"""

from __future__ import annotations

from foundry.actors.task import operations
from foundry.actors.task.jobs import OfTask
from foundry.actors.task.tables import former_branches, renames, tasks
from foundry.contracts.branch_names import BranchTaken
from foundry.contracts.errors import WrongState
from foundry.contracts.ids import TaskId
from foundry.contracts.issues import Failure
from foundry.contracts.task import PullRequestSeen, TaskState
from foundry.contracts.task_operations import Kind
from foundry.contracts.task_refusals import WAIT
from foundry.contracts.task_rename import BranchRenamed, CancelRename, RenameBranch, RenameEnded, RenameStep, outcome
from foundry.runtime.actor import handles
from foundry.runtime.turn import Turn

FIRST = "looking at GitHub"


@handles(RenameBranch)
def rename_branch(turn: Turn, command: RenameBranch) -> None:
    """1. A rename to this name goes on. 2. Nobody else is at work on branch or work tree. 3. Start it."""
    row, name, known = turn.one(tasks), command.name, turn.find(renames)
    facts = operations.facts(turn)
    facts.refuse_state()
    if known is None:
        if name == row.branch:
            raise WrongState(f"the branch is called {name!r} already", remedy="Choose another name.")
        if name == row.base:
            raise BranchTaken(f"{name!r} is the task's base branch", field="name")
        turn.insert(renames, old=row.branch, new=name)
    elif name != known.new or known.giving_up:
        facts.refuse_half_renamed()
        raise WrongState(facts.doing(Kind.RENAME), remedy=WAIT)
    elif operations.running(turn, Kind.RENAME) is not None:
        return
    begin_rename(turn)


@handles(CancelRename)
def cancel_rename(turn: Turn, command: CancelRename) -> None:
    """Only one that failed: what runs ends on its own, one way or the other."""
    if turn.find(renames) is None:
        raise WrongState("the branch is not being renamed", remedy="Nothing needs to be given up.")
    operations.facts(turn).refuse_renaming()
    turn.update(renames, giving_up=True)
    begin_rename(turn)


def begin_rename(turn: Turn) -> None:
    """Start it, or retry one that failed: each step finds what was done before."""
    operations.refuse(turn, Kind.RENAME)
    before = operations.kept(turn).get(Kind.RENAME)
    turn.update(tasks, note="")
    step = before.step if before is not None and before.step else FIRST
    operations.begin(turn, Kind.RENAME, OfTask(task=TaskId(turn.key)), step=step)


def may_retry(turn: Turn) -> bool:
    """Return True if a rename failed half-way."""
    ready = turn.one(tasks).state == TaskState.READY
    return ready and turn.find(renames) is not None and operations.running(turn, Kind.RENAME) is None


# by the workflow


@handles(RenameStep)
def rename_step(turn: Turn, command: RenameStep) -> None:
    known = turn.one(renames)
    turn.update(
        renames,
        replaces=command.replaces or known.replaces,
        touched=command.touches or known.touched,
        asked=command.asks or known.asked,
    )
    operations.put(turn, Kind.RENAME, step=command.step, failure=None)


@handles(BranchRenamed)
def branch_renamed(turn: Turn, command: BranchRenamed) -> None:
    """The task follows; checkpoints of before are restored onto the new name."""
    known = turn.one(renames)
    turn.update(tasks, branch=known.new)
    if turn.find(former_branches, branch=known.old) is None:
        turn.insert(former_branches, branch=known.old)


@handles(RenameEnded)
def rename_ended(turn: Turn, command: RenameEnded) -> None:
    """1. Write a note about the result. 2. Act on a merge that happened meanwhile."""
    row, known, pull = turn.one(tasks), turn.one(renames), command.pull_request
    if pull is not None and pull.number >= (row.pull_request_number or 0):
        ended = "" if pull.state == "open" else pull.state
        turn.update(tasks, pull_request_number=pull.number, pull_request_ended=ended)
    row, closed = turn.one(tasks), pull is not None and pull.state == "closed"
    said = outcome(known.old, known.new, row.branch, known.replaces, row.pull_request_number, closed=closed)
    _forget(turn)
    turn.update(tasks, note=f"{said} {command.note}".strip())
    if known.merged or (pull is not None and pull.state == "merged"):
        _tell_of_merge(turn)


def rename_failed(turn: Turn, failure: Failure) -> None:
    """If nothing was changed yet, the rename is over. Otherwise a person decides: retry or give up."""
    known = turn.find(renames)
    if known is None:
        return
    operations.failed(turn, Kind.RENAME, failure)
    if not known.touched:
        _forget(turn)
        turn.update(tasks, note=f"The branch was not renamed: {failure.message}. {failure.remedy}")
    if known.merged:
        _tell_of_merge(turn)


def _forget(turn: Turn) -> None:
    turn.delete(renames)
    operations.put(turn, Kind.RENAME, step="", failure=None)


def forget_unfinished(turn: Turn) -> str:
    """The task is archived. Return its note about a rename that failed half-way; empty if none did."""
    known = turn.find(renames)
    if known is None:
        return ""
    _forget(turn)
    return f"The rename of {known.old} to {known.new} was not finished."


# what GitHub says of the pull request meanwhile


def concerns(turn: Turn, seen: PullRequestSeen) -> bool:
    """Return True if it is the branch's, under whichever name; not if the rename itself has closed it."""
    row, known = turn.one(tasks), turn.find(renames)
    if known is None:
        return seen.head == row.branch
    closed = known.asked and (seen.number, seen.state) == (known.replaces, "closed")
    return seen.head in (row.branch, known.old, known.new) and not closed


def wait_for_rename(turn: Turn) -> bool:
    """The pull request was merged while the branch is being renamed: the task is archived when that has ended."""
    return bool(turn.running(Kind.RENAME.value)) and bool(turn.update(renames, merged=True))


def _tell_of_merge(turn: Turn) -> None:
    """Say again what could not be acted on while the rename ran."""
    row = turn.one(tasks)
    where, number = row.repository_id, row.pull_request_number
    seen = PullRequestSeen(repository=where, number=number, head=row.branch, base=row.base, state="merged")
    turn.send(turn.address, seen)
