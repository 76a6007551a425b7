"""The task's branch gets another name: what is refused, where a rename stands, and how it ends.

From its start to its end the rename is a record on the task. While it runs no prompt has the work tree, and nothing
else may push, restore or archive; one that failed keeps its record until somebody retries it or gives it up.
"""

from __future__ import annotations

import json

from foundry.actors.task.checkpoints import Keeping
from foundry.actors.task.jobs import Rename
from foundry.actors.task.tables import tasks
from foundry.actors.task.work_tree import grant, refuse_archived, refuse_fetching, refuse_unready, stir
from foundry.contracts.branch_names import BranchTaken
from foundry.contracts.errors import WrongState
from foundry.contracts.ids import TaskId
from foundry.contracts.issues import Trouble
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.task import BranchRename, PhaseTrouble, PullRequestRef, PullRequestSeen, TaskView
from foundry.contracts.task_rename import BranchRenamed, GiveUpRename, RenameBranch, RenameEnded, RenameStep
from foundry.runtime.actor import handles
from foundry.runtime.turn import AnyRow, Turn

WAIT = "Wait until that has ended."
DECIDE = "Retry the rename or give it up first."


class Renaming(Keeping):
    """The part of a Task that renames its branch (R8)."""

    @handles(RenameBranch)
    def rename_branch(self, turn: Turn, command: RenameBranch) -> TaskView:
        """1. A rename to this name goes on. 2. Nobody else is at work on branch or work tree. 3. Start it."""
        row, name = turn.one(tasks), command.name
        refuse_archived(row)
        refuse_unready(row)
        known = rename_of(row)
        if known is not None:
            if name != known.new or known.giving_up:
                refuse_renaming(row)
            return self.changed(turn) if row.rename_workflow else self.retry_rename(turn)
        if name == row.branch:
            raise WrongState(f"the branch is called {name!r} already", remedy="Choose another name.")
        if name == row.base:
            raise BranchTaken(f"{name!r} is the branch that the task's begins from", field="name")
        _refuse_busy(row)
        _put(turn, BranchRename(old=row.branch, new=name, step="looking at GitHub"))
        self._start(turn)
        return self.changed(turn)

    @handles(GiveUpRename)
    def give_up_rename(self, turn: Turn, command: GiveUpRename) -> TaskView:
        """Only one that failed: what runs ends by itself, one way or the other."""
        row = turn.one(tasks)
        known = rename_of(row)
        if known is None or row.rename_workflow:
            raise WrongState(
                "the branch is being renamed" if known else "the branch is not being renamed",
                remedy=WAIT if known else "Nothing needs to be given up.",
            )
        refuse_archived(row)
        _refuse_busy(row)
        _put(turn, known.model_copy(update={"giving_up": True, "trouble": None}))
        self._start(turn)
        return self.changed(turn)

    def retry_rename(self, turn: Turn) -> TaskView:
        """Begin again one that failed: each step finds what was done before."""
        row = turn.one(tasks)
        refuse_unready(row)
        _refuse_busy(row)
        known = rename_of(row)
        assert known is not None
        _put(turn, known.model_copy(update={"trouble": None}))
        self._start(turn)
        return self.changed(turn)

    def _start(self, turn: Turn) -> None:
        stir(turn)
        turn.update(tasks, rename_workflow=turn.start("rename", Rename(task=TaskId(turn.key))), note="")

    # by the workflow

    @handles(RenameStep)
    def rename_step(self, turn: Turn, command: RenameStep) -> None:
        known = rename_of(turn.one(tasks))
        assert known is not None
        seen = {
            "step": command.step,
            "replaces": command.replaces or known.replaces,
            "touched": command.touches or known.touched,
            "asked": command.asks or known.asked,
            "trouble": None,
        }
        _put(turn, known.model_copy(update=seen))
        self.changed(turn)

    @handles(BranchRenamed)
    def branch_renamed(self, turn: Turn, command: BranchRenamed) -> None:
        """The task follows; checkpoints of before are brought back onto the new name."""
        row = turn.one(tasks)
        known = rename_of(row)
        assert known is not None
        former: list[str] = json.loads(row.former_branches)
        turn.update(tasks, branch=known.new, former_branches=json.dumps(sorted({*former, known.old})))
        self.changed(turn)

    @handles(RenameEnded)
    def rename_ended(self, turn: Turn, command: RenameEnded) -> None:
        row = turn.one(tasks)
        known = rename_of(row)
        assert known is not None
        if command.pull_request is not None and command.pull_request.number >= _number(row):
            turn.update(tasks, pull_request=command.pull_request.model_dump_json())
        note = _outcome(known, turn.one(tasks))
        turn.update(tasks, rename=None, rename_workflow=None, note=f"{note} {command.note}".strip())
        if command.pull_request is not None and command.pull_request.state == "merged":
            known = known.model_copy(update={"merged": True})
        _merged(turn, known)
        grant(turn)
        self.changed(turn)

    def rename_trouble(self, turn: Turn, trouble: Trouble, shown: PhaseTrouble) -> None:
        """Where nothing has been touched yet, a last failure is the end; else somebody decides."""
        row = turn.one(tasks)
        known = rename_of(row)
        if known is None or row.rename_workflow != trouble.workflow_id:
            return
        _put(turn, known.model_copy(update={"trouble": shown}))
        if trouble.retry_at is not None:
            return
        turn.update(tasks, rename_workflow=None)
        if not known.touched:
            turn.update(tasks, rename=None, note=f"The branch was not renamed: {shown.message}. {shown.remedy}")
        _merged(turn, known)
        grant(turn)

    def rename_recovered(self, turn: Turn) -> None:
        known = rename_of(turn.one(tasks))
        if known is not None:
            _put(turn, known.model_copy(update={"trouble": None}))


def rename_of(row: AnyRow) -> BranchRename | None:
    """The rename that runs or has failed."""
    return BranchRename.model_validate_json(row.rename) if row.rename else None


def refuse_renaming(row: AnyRow) -> None:
    """For what must not meet a branch between two names."""
    known = rename_of(row)
    if known is not None and row.rename_workflow:
        raise WrongState(f"the branch is being renamed to {known.new!r}", remedy=WAIT)
    if known is not None:
        raise WrongState(f"the branch's rename to {known.new!r} has failed half-way", remedy=DECIDE)


def unfinished(row: AnyRow) -> str:
    """What an archived task says of a rename that failed half-way; empty if there is none."""
    known = rename_of(row)
    return f"The rename of {known.old} to {known.new} was not finished." if known else ""


def closed_by_rename(row: AnyRow, message: PullRequestSeen) -> bool:
    """Whether it is the rename that closed this pull request."""
    known = rename_of(row)
    return known is not None and known.asked and (message.number, message.state) == (known.replaces, "closed")


def names_of(row: AnyRow) -> set[str]:
    """What the task's branch may be called at present."""
    known = rename_of(row)
    return {row.branch} if known is None else {row.branch, known.old, known.new}


def wait_for_rename(turn: Turn, row: AnyRow) -> bool:
    """The pull request was merged while the branch is being renamed: the task is archived when that has ended."""
    known = rename_of(row)
    if known is None or not row.rename_workflow:
        return False
    _put(turn, known.model_copy(update={"merged": True}))
    return True


def _merged(turn: Turn, known: BranchRename) -> None:
    """Say again what could not be acted on while the rename ran."""
    row = turn.one(tasks)
    if not known.merged or not row.pull_request:
        return
    ref = RepositoryRef.model_validate_json(row.repository)
    merged = PullRequestRef.model_validate_json(row.pull_request)
    seen = PullRequestSeen(
        repository=ref.id, number=merged.number, head=row.branch, base=row.base, state="merged", url=merged.url
    )
    turn.send(turn.address, seen)


def _number(row: AnyRow) -> int:
    return PullRequestRef.model_validate_json(row.pull_request).number if row.pull_request else 0


def _refuse_busy(row: AnyRow) -> None:
    if row.running_message:
        raise WrongState("the agent is working on the branch", remedy="Stop the agent first, or let it end.")
    if row.restore_workflow or row.publish_workflow:
        doing = "restored" if row.restore_workflow else "published"
        raise WrongState(f"the work is being {doing}", remedy=WAIT)
    refuse_fetching(row)


def _put(turn: Turn, rename: BranchRename) -> None:
    turn.update(tasks, rename=rename.model_dump_json())


def _outcome(known: BranchRename, row: AnyRow) -> str:
    """What is said at the end."""
    if row.branch != known.new:
        return f"The branch is called {known.old} as before: the rename to {known.new} was given up."
    said = f"The branch was renamed from {known.old} to {known.new}."
    pull = PullRequestRef.model_validate_json(row.pull_request) if row.pull_request else None
    if known.replaces is None or pull is None:
        return said
    if pull.number != known.replaces:
        return f"{said} Pull request #{pull.number} replaces #{known.replaces}."
    if pull.state == "closed":
        return f"{said} That closed pull request #{pull.number}. Publish opens a new one."
    return said
