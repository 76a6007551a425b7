"""The task's checkpoints: when one is made, which are listed, and what a save's end means.

One save runs at a time. A wish that comes meanwhile waits, and stands for those that waited before it: the work tree
that is saved then has theirs in it.
"""

from __future__ import annotations

from foundry.actors.task import operations
from foundry.actors.task.jobs import Restore, Save
from foundry.actors.task.tables import checkpoints, tasks, wanted_checkpoints
from foundry.actors.task.views import branch_for, checkpoint_in, saved_ones
from foundry.contracts.ids import CheckpointId
from foundry.contracts.task import (
    CheckpointNotSaved,
    CheckpointRestored,
    CheckpointSaved,
    PhaseFailure,
    RestoreCheckpoint,
    SaveCheckpoint,
)
from foundry.contracts.task_checkpoints import CheckpointReason, Saved
from foundry.contracts.task_operations import Kind
from foundry.runtime.actor import handles
from foundry.runtime.columns import from_row
from foundry.runtime.turn import Turn

LISTED = 20  # checkpoints of one task; older ones are forgotten


@handles(SaveCheckpoint)
def save(turn: Turn, command: SaveCheckpoint) -> None:
    operations.facts(turn).refuse_state()
    operations.use_sandbox(turn)
    want(turn, CheckpointReason.ASKED)


@handles(CheckpointSaved)
def checkpoint_saved(turn: Turn, command: CheckpointSaved) -> list[CheckpointId]:
    """List it, unless nothing is new since the one before; gives those whose content is to be kept."""
    if command.saved.work:
        turn.update(checkpoints, {"checkpoint": command.checkpoint}, saved=command.saved, at=turn.now)
    else:
        turn.delete(checkpoints, checkpoint=command.checkpoint)
    found = saved_ones(turn)
    for old in found[LISTED:]:
        turn.delete(checkpoints, checkpoint=old.checkpoint)
    operations.put(turn, Kind.CHECKPOINT, failure=None)
    return [CheckpointId(one.checkpoint) for one in found[:LISTED]]


@handles(CheckpointNotSaved)
def checkpoint_not_saved(turn: Turn, command: CheckpointNotSaved) -> None:
    """Shown with the work; the sandbox is retained until it can be saved, or is discarded."""
    failure = PhaseFailure(code=command.code, message=command.message, remedy=command.remedy, attempt=1)
    operations.put(turn, Kind.CHECKPOINT, failure=failure)


@handles(RestoreCheckpoint)
def restore(turn: Turn, command: RestoreCheckpoint) -> None:
    """1. Nobody else may write the work tree (R6). 2. What is there is saved, then the checkpoint comes back."""
    saved = checkpoint_in(turn, command.checkpoint).saved
    operations.refuse(turn, Kind.RESTORE)
    turn.delete(wanted_checkpoints)
    before = next_save(turn, CheckpointReason.RESTORE)
    job = Restore(before=before, checkpoint=command.checkpoint, saved=saved, branch=branch_for(turn, saved))
    operations.begin(turn, Kind.RESTORE, job)


@handles(CheckpointRestored)
def checkpoint_restored(turn: Turn, command: CheckpointRestored) -> None:
    number = turn.one(checkpoints, checkpoint=command.checkpoint).number
    left = f" These paths could not be saved, and were left as they are: {', '.join(command.spared)}."
    note = f"The work tree is as it was at checkpoint {number}.{left if command.spared else ''}"
    turn.update(tasks, note=note)


def want(turn: Turn, reason: CheckpointReason, session: str | None = None, message: str | None = None) -> None:
    """Save the work tree as soon as nothing is in the way.

    Args:
        session: whose prompt it follows, and which.
    """
    turn.delete(wanted_checkpoints)
    turn.insert(wanted_checkpoints, reason=reason, session=session, message=message)
    begin_wanted(turn)


def begin_wanted(turn: Turn) -> None:
    """Start the save that waits, if it may."""
    wanted = turn.find(wanted_checkpoints)
    if wanted is None or operations.facts(turn).in_the_way(Kind.CHECKPOINT):
        return
    turn.delete(wanted_checkpoints)
    save = next_save(turn, wanted.reason, wanted.session, wanted.message)
    operations.begin(turn, Kind.CHECKPOINT, save, keep_failure=True)


def next_save(turn: Turn, reason: str, session: str | None = None, message: str | None = None) -> Save:
    """The next checkpoint's id is chosen here, so that a repeated save finds what it made; listed once it is saved."""
    row, last = turn.one(tasks), next(iter(saved_ones(turn)), None)
    id = CheckpointId(turn.new_id("chk"))
    turn.delete(checkpoints, saved="")
    turn.insert(
        checkpoints,
        checkpoint=id,
        number=last.number + 1 if last else 1,
        reason=reason,
        session=session,
        message=message,
        saved="",
        at=turn.now,
    )
    before = Saved.model_validate_json(last.saved).fingerprint if last else ""
    return from_row(Save, row, checkpoint=id, known=before)
