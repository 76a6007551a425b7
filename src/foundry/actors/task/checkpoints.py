"""The task's checkpoints: when one is made, which are listed, and what a save's end means.

One save runs at a time. A wish that comes meanwhile waits, and stands for those that waited before it: the work tree
that is saved then has theirs in it.
"""

from __future__ import annotations

from foundry.actors.task import operations
from foundry.actors.task.jobs import Restore, Save, SaveWish
from foundry.actors.task.tables import checkpoints, former_branches, tasks, wanted_checkpoints
from foundry.contracts.ids import CheckpointId, SandboxId, TaskId
from foundry.contracts.messages import millis
from foundry.contracts.task import (
    CheckpointNotSaved,
    CheckpointRestored,
    CheckpointSaved,
    PhaseFailure,
    RestoreCheckpoint,
    SaveCheckpoint,
)
from foundry.contracts.task_checkpoints import CheckpointMissing, CheckpointReason, Saved
from foundry.contracts.task_operations import Kind
from foundry.runtime.actor import handles
from foundry.runtime.turn import Turn

LISTED = 20  # checkpoints of one task; older ones are forgotten


@handles(SaveCheckpoint)
def save(turn: Turn, command: SaveCheckpoint) -> None:
    operations.refuse_state(turn.one(tasks))
    operations.use_sandbox(turn)
    want(turn, SaveWish(reason=CheckpointReason.ASKED))


@handles(CheckpointSaved)
def checkpoint_saved(turn: Turn, command: CheckpointSaved) -> list[CheckpointId]:
    """List it, unless nothing is new since the one before; gives those whose content is to be kept."""
    row = turn.find(checkpoints, checkpoint=command.checkpoint)
    where = {"checkpoint": command.checkpoint}
    if row is not None and command.saved.work:
        turn.update(checkpoints, where, saved=command.saved.model_dump_json(), at=millis(turn.now))
    elif row is not None:
        turn.delete(checkpoints, checkpoint=command.checkpoint)
    listed = sorted((one for one in turn.all(checkpoints) if one.saved), key=lambda one: -one.number)
    for old in listed[LISTED:]:
        turn.delete(checkpoints, checkpoint=old.checkpoint)
    operations.put(turn, Kind.CHECKPOINT, failure=None)
    return [CheckpointId(one.checkpoint) for one in listed[:LISTED]]


@handles(CheckpointNotSaved)
def checkpoint_not_saved(turn: Turn, command: CheckpointNotSaved) -> None:
    """Shown with the work; the sandbox is retained until it can be saved, or is discarded."""
    failure = PhaseFailure(code=command.code, message=command.message, remedy=command.remedy, attempt=1)
    operations.put(turn, Kind.CHECKPOINT, failure=failure.model_dump_json())


@handles(RestoreCheckpoint)
def restore(turn: Turn, command: RestoreCheckpoint) -> None:
    """1. Nobody else may write the work tree (R6). 2. What is there is saved, then the checkpoint comes back."""
    content = found(turn, command.checkpoint)
    operations.refuse(turn, Kind.RESTORE)
    turn.delete(wanted_checkpoints)
    before = next_save(turn, SaveWish(reason=CheckpointReason.RESTORE))
    former = {row.branch for row in turn.all(former_branches)}
    own = content.branch == "" or content.branch in former  # else the agent had another checked out
    branch = turn.one(tasks).branch if own else content.branch
    job = Restore(before=before, checkpoint=command.checkpoint, saved=content, branch=branch)
    operations.begin(turn, Kind.RESTORE, job)


@handles(CheckpointRestored)
def checkpoint_restored(turn: Turn, command: CheckpointRestored) -> None:
    number = turn.one(checkpoints, checkpoint=command.checkpoint).number
    left = f" These paths could not be saved, and were left as they are: {', '.join(command.spared)}."
    note = f"The work tree is as it was at checkpoint {number}.{left if command.spared else ''}"
    turn.update(tasks, note=note)


def want(turn: Turn, wish: SaveWish) -> None:
    """Save the work tree as soon as nothing is in the way."""
    turn.delete(wanted_checkpoints)
    turn.insert(wanted_checkpoints, reason=wish.reason.value, session=wish.session, message=wish.message)
    begin_wanted(turn)


def begin_wanted(turn: Turn) -> None:
    """Start the save that waits, if it may."""
    wanted = turn.find(wanted_checkpoints)
    if wanted is None or operations.in_the_way(turn, Kind.CHECKPOINT):
        return
    turn.delete(wanted_checkpoints)
    operations.begin(turn, Kind.CHECKPOINT, next_save(turn, SaveWish.of(wanted)), keep_failure=True)


def next_save(turn: Turn, wish: SaveWish) -> Save:
    """The next checkpoint's id is chosen here, so that a repeated save finds what it made; listed once it is saved."""
    row, known = turn.one(tasks), turn.all(checkpoints)
    for unsaved in known:
        if not unsaved.saved:
            turn.delete(checkpoints, checkpoint=unsaved.checkpoint)
    listed = [one for one in known if one.saved]
    id = CheckpointId(turn.new_id("chk"))
    turn.insert(
        checkpoints,
        checkpoint=id,
        number=max((one.number for one in listed), default=0) + 1,
        reason=wish.reason.value,
        session=wish.session,
        message=wish.message,
        saved="",
        at=millis(turn.now),
    )
    last = max(listed, key=lambda one: one.number, default=None)
    return Save(
        task=TaskId(turn.key),
        sandbox=SandboxId(row.sandbox),
        base=row.base,
        checkpoint=id,
        known=Saved.model_validate_json(last.saved).fingerprint if last else "",
    )


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
