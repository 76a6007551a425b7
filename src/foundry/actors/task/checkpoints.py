"""The task's checkpoints: when one is made, which are listed, and what a save's end means.

One save runs at a time. A wish that comes meanwhile waits for its end, and stands for those that waited before it:
the work tree that is saved then has theirs in it.
"""

from __future__ import annotations

import json

from foundry.actors.task.jobs import Restore, Save, SaveWish
from foundry.actors.task.overdue import Watching
from foundry.actors.task.tables import checkpoints, tasks
from foundry.actors.task.work_tree import grant, refuse_archived, refuse_fetching, refuse_unready, stir
from foundry.contracts.errors import WrongState
from foundry.contracts.ids import CheckpointId, SandboxId, TaskId
from foundry.contracts.messages import millis
from foundry.contracts.task import (
    CheckpointNotSaved,
    CheckpointRestored,
    CheckpointSaved,
    PhaseTrouble,
    RestoreCheckpoint,
    SaveCheckpoint,
    SaveEnded,
    TaskView,
)
from foundry.contracts.task_checkpoints import CheckpointMissing, CheckpointReason, Saved
from foundry.runtime.actor import handles
from foundry.runtime.turn import Turn

KEPT = 20  # checkpoints of one task; older ones are forgotten


class Keeping(Watching):
    """The part of a Task that keeps its work: saves, and what is brought back."""

    @handles(SaveCheckpoint)
    def save(self, turn: Turn, command: SaveCheckpoint) -> TaskView:
        row = turn.one(tasks)
        refuse_archived(row)
        refuse_unready(row)
        stir(turn)
        wish(turn, SaveWish(reason=CheckpointReason.ASKED))
        return self.changed(turn)

    @handles(CheckpointSaved)
    def checkpoint_saved(self, turn: Turn, command: CheckpointSaved) -> list[CheckpointId]:
        kept = saved(turn, command.checkpoint, command.saved)
        self.changed(turn)
        return kept

    @handles(CheckpointNotSaved)
    def checkpoint_not_saved(self, turn: Turn, command: CheckpointNotSaved) -> None:
        """Said where the work is shown; the sandbox is kept until it can be saved, or is discarded."""
        trouble = PhaseTrouble(code=command.code, message=command.message, remedy=command.remedy, attempt=1)
        turn.update(tasks, save_trouble=trouble.model_dump_json())
        self.changed(turn)

    @handles(SaveEnded)
    def save_ended(self, turn: Turn, command: SaveEnded) -> None:
        ended(turn)
        self.changed(turn)

    @handles(RestoreCheckpoint)
    def restore(self, turn: Turn, command: RestoreCheckpoint) -> TaskView:
        """1. Nobody else may write the work tree (R6). 2. What is there is saved, then the checkpoint comes back."""
        row, content = turn.one(tasks), found(turn, command.checkpoint)
        refuse_archived(row)
        refuse_unready(row)
        if row.running_message:
            raise WrongState("the agent is working in the work tree", remedy="Stop the agent first, or let it end.")
        if row.restore_workflow or row.publish_workflow or row.rename_workflow:
            doing = "restored" if row.restore_workflow else "published" if row.publish_workflow else "renamed"
            raise WrongState(f"the work is being {doing}", remedy="Wait until that has ended.")
        refuse_fetching(row)
        stir(turn)
        before = next_save(turn, SaveWish(reason=CheckpointReason.RESTORE))
        own = content.branch in ("", *json.loads(row.former_branches))  # else the agent had another checked out
        branch = row.branch if own else content.branch
        job = Restore(before=before, checkpoint=command.checkpoint, saved=content, branch=branch)
        turn.update(tasks, restore_workflow=turn.start("restore", job))
        return self.changed(turn)

    @handles(CheckpointRestored)
    def checkpoint_restored(self, turn: Turn, command: CheckpointRestored) -> None:
        number = turn.one(checkpoints, checkpoint=command.checkpoint).number
        spared = f" These could not be saved, and were left as they are: {', '.join(command.spared)}."
        note = f"The work is as it was at checkpoint {number}.{spared if command.spared else ''}"
        turn.update(tasks, restore_workflow=None, note=note)
        grant(turn)
        self.changed(turn)


def wish(turn: Turn, wanted: SaveWish) -> None:
    """Save the work tree: now, or when the save that runs has ended."""
    row = turn.one(tasks)
    if row.save_workflow:
        turn.update(tasks, save_wanted=wanted.model_dump_json())
        return
    job = next_save(turn, wanted)
    turn.update(tasks, save_workflow=turn.start("checkpoint", job), save_wanted=None)


def next_save(turn: Turn, wanted: SaveWish) -> Save:
    """The next checkpoint's id is chosen here, so that a repeated save finds what it made; listed once it is saved."""
    row, known = turn.one(tasks), turn.all(checkpoints)
    for unsaved in known:
        if not unsaved.saved:
            turn.delete(checkpoints, checkpoint=unsaved.checkpoint)
    kept = [one for one in known if one.saved]
    number = max((one.number for one in kept), default=0) + 1
    id = CheckpointId(turn.new_id("chk"))
    turn.insert(
        checkpoints,
        checkpoint=id,
        number=number,
        reason=wanted.reason.value,
        session=wanted.session,
        message=wanted.message,
        saved="",
        at=millis(turn.now),
    )
    last = max(kept, key=lambda one: one.number, default=None)
    return Save(
        task=TaskId(turn.key),
        sandbox=SandboxId(row.sandbox),
        base=row.base,
        checkpoint=id,
        known=Saved.model_validate_json(last.saved).fingerprint if last else "",
    )


def saved(turn: Turn, checkpoint: CheckpointId, found: Saved) -> list[CheckpointId]:
    """List it, unless nothing is new since the one before; gives those whose content is to be kept."""
    row = turn.find(checkpoints, checkpoint=checkpoint)
    if row is not None and found.work:
        turn.update(checkpoints, {"checkpoint": checkpoint}, saved=found.model_dump_json(), at=millis(turn.now))
    elif row is not None:
        turn.delete(checkpoints, checkpoint=checkpoint)
    listed = sorted((one for one in turn.all(checkpoints) if one.saved), key=lambda one: -one.number)
    for old in listed[KEPT:]:
        turn.delete(checkpoints, checkpoint=old.checkpoint)
    turn.update(tasks, save_trouble=None)
    return [CheckpointId(one.checkpoint) for one in listed[:KEPT]]


def ended(turn: Turn) -> None:
    """A save has ended, well or not: the next one that is wanted begins."""
    row = turn.one(tasks)
    turn.update(tasks, save_workflow=None)
    if row.save_wanted and row.state == "ready":
        wish(turn, SaveWish.model_validate_json(row.save_wanted))


def found(turn: Turn, checkpoint: CheckpointId) -> Saved:
    """What the listed checkpoint holds.

    Raises:
        CheckpointMissing: none is listed under this id.
    """
    row = turn.find(checkpoints, checkpoint=checkpoint)
    if row is None or not row.saved:
        raise CheckpointMissing(f"the task has no checkpoint with id {checkpoint}", field="checkpoint")
    return Saved.model_validate_json(row.saved)


def prefix(task: TaskId) -> str:
    """Where the content of the task's checkpoints is kept."""
    return f"checkpoint/{task}/"


def key(task: TaskId, checkpoint: CheckpointId) -> str:
    """Where the content of one is kept."""
    return prefix(task) + checkpoint
