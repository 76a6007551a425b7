"""An archived task's sandbox: given back once its work is saved, at once or after the time that the setting names.

The turn that archives sets the alarm, before anything outside is asked; so it rings whatever becomes of the server. A
sandbox whose work cannot be saved is kept, and no alarm removes it.
"""

from __future__ import annotations

from foundry.actors.task import checkpoints as keeping
from foundry.actors.task.jobs import Release, SaveWish
from foundry.actors.task.recovery import Rebuilding
from foundry.actors.task.tables import tasks
from foundry.contracts.errors import WrongState
from foundry.contracts.ids import WorkflowId
from foundry.contracts.messages import millis
from foundry.contracts.task import ReleaseSandbox, SandboxReleased, TaskState, TaskView
from foundry.contracts.task_checkpoints import CheckpointReason
from foundry.runtime.actor import due, handles
from foundry.runtime.turn import Turn


class Releasing(Rebuilding):
    """The part of a Task that gives its sandbox back."""

    def give_back(self, turn: Turn, *, discard: bool, now: bool = False) -> None:
        """Save the work, then delete the sandbox; or stop it and delete it later, where the setting says so.

        Args:
            discard: do not save the work; then there is nothing to wait for either.
            now: do not wait.
        """
        wait = None if discard or now else self._archived
        remove_at = turn.now + wait if wait else None
        if wait:
            turn.schedule("remove", wait)
        else:
            turn.unschedule("remove")
        save = keeping.next_save(turn, SaveWish(reason=CheckpointReason.RELEASE))
        job = Release(save=save, discard=discard, remove_at=remove_at)
        turn.update(
            tasks,
            kept="",
            remove_at=millis(remove_at) if remove_at else None,
            release_workflow=turn.start("release", job),
        )

    @handles(ReleaseSandbox)
    def release(self, turn: Turn, command: ReleaseSandbox) -> TaskView:
        """Only a sandbox that outlived its task is released once more: one that was kept, hangs, or waits."""
        row = turn.one(tasks)
        if row.state != TaskState.ARCHIVED or not (row.kept or row.overdue or row.remove_at):
            raise WrongState(
                "the task has no sandbox that was kept", remedy="Archive the task to give its sandbox back."
            )
        waits = bool(row.remove_at and not row.release_workflow)  # then all that is in it is saved
        if row.release_workflow:
            turn.cancel(WorkflowId(row.release_workflow))
        self.give_back(turn, discard=command.discard or waits, now=True)
        return self.changed(turn)

    @due("remove")
    def remove(self, turn: Turn) -> None:
        """The time is over; where its work is still being saved, the end of that removes it."""
        row = turn.one(tasks)
        if row.remove_at and not row.release_workflow:
            self.give_back(turn, discard=True)
        self.changed(turn)

    @handles(SandboxReleased)
    def sandbox_released(self, turn: Turn, command: SandboxReleased) -> None:
        """1. It is gone, or kept, or waits. 2. Where its time was over before it could wait, it is removed."""
        row = turn.one(tasks)
        turn.update(tasks, release_workflow=None)
        if command.kept or not command.waits:
            self.is_kept(turn, command.kept)
        elif row.remove_at and row.remove_at <= millis(turn.now):
            self.give_back(turn, discard=True)
        self.changed(turn)

    def is_kept(self, turn: Turn, kept: str) -> None:
        """Nothing removes it by itself any more: it is gone, or kept for this reason."""
        turn.unschedule("remove")
        turn.update(tasks, kept=kept, release_workflow=None, remove_at=None)
