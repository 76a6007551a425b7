"""An archived task's sandbox: released once its work is saved, at once or after the time that the setting names.

The turn that archives sets the alarm, before anything outside is asked; so it rings whatever becomes of the server. A
sandbox whose work cannot be saved is retained, and no alarm removes it.
"""

from __future__ import annotations

from foundry.actors.task import checkpoints, operations
from foundry.actors.task.config import config
from foundry.actors.task.jobs import Release, SaveWish
from foundry.actors.task.tables import releases, tasks
from foundry.contracts.errors import WrongState
from foundry.contracts.issues import Failure
from foundry.contracts.messages import millis
from foundry.contracts.task import ReleaseSandbox, SandboxReleased, TaskState
from foundry.contracts.task_checkpoints import CheckpointReason
from foundry.contracts.task_operations import Kind
from foundry.runtime.actor import due, handles
from foundry.runtime.turn import Turn


def release_sandbox(turn: Turn, *, discard: bool, now: bool = False) -> None:
    """Save the work, then delete the sandbox; or stop it and delete it later, where the setting says so.

    Args:
        discard: do not save the work; then there is nothing to wait for either.
        now: do not wait.
    """
    wait = None if discard or now else config(turn).archived
    remove_at = turn.now + wait if wait else None
    turn.schedule("remove", wait or None)
    save = checkpoints.next_save(turn, SaveWish(reason=CheckpointReason.RELEASE))
    turn.put(releases, retained="", remove_at=remove_at)
    operations.begin(turn, Kind.RELEASE, Release(save=save, discard=discard, remove_at=remove_at))


@handles(ReleaseSandbox)
def release(turn: Turn, command: ReleaseSandbox) -> None:
    """Only a sandbox that outlived its task is released again: one that was retained, hangs, or waits."""
    row, known = turn.one(tasks), turn.find(releases)
    if row.state != TaskState.ARCHIVED or known is None or not (known.retained or row.overdue or known.remove_at):
        raise WrongState("the task has no retained sandbox", remedy="Archive the task to release its sandbox.")
    runs = operations.running(turn, Kind.RELEASE)
    waits = bool(known.remove_at and runs is None)  # then all that is in it is saved
    if runs is not None:
        turn.cancel(runs.id)
    release_sandbox(turn, discard=command.discard or waits, now=True)


@due("remove")
def remove(turn: Turn) -> None:
    """The time is over; where its work is still being saved, the end of that removes it."""
    known = turn.find(releases)
    if known is not None and known.remove_at and operations.running(turn, Kind.RELEASE) is None:
        release_sandbox(turn, discard=True)


@handles(SandboxReleased)
def sandbox_released(turn: Turn, command: SandboxReleased) -> None:
    """It is gone, or retained, or waits for its time."""
    if command.retained or not command.waits:
        retain(turn, command.retained)


def release_ended(turn: Turn) -> None:
    """Where its time was over before it could wait, it is removed."""
    known = turn.find(releases)
    if known is not None and known.remove_at and known.remove_at <= millis(turn.now):
        release_sandbox(turn, discard=True)


def release_failed(turn: Turn, failure: Failure) -> None:
    retain(turn, f"{failure.message} {failure.remedy}".strip())


def retain(turn: Turn, reason: str) -> None:
    """Nothing removes it automatically any more: it is gone, or retained for this reason."""
    turn.unschedule("remove")
    turn.put(releases, retained=reason, remove_at=None)
