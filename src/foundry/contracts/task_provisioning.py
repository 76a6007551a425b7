"""Task, its sandbox's provisioning: what it begins from; how often a lost one is replaced, and what is said of that."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from foundry.contracts.ids import SandboxId
from foundry.contracts.messages import Model
from foundry.contracts.task import PhaseFailure, TaskView
from foundry.contracts.task_checkpoints import CheckpointRef, Saved
from foundry.contracts.task_operations import OPERATIONS, Kind

RECOVERIES = 3  # automatic ones within `RECOVERIES_WITHIN`; then a person decides
RECOVERIES_WITHIN = timedelta(hours=1)


class Beginning(Model):
    """What a sandbox is made from besides GitHub, read when that is due."""

    lost: SandboxId | None = None  # the sandbox before, which the provider no longer has
    source: CheckpointRef | None = None
    saved: Saved | None = None
    branch: str = ""  # to check out; "" before the task has its own
    own: bool = False  # the task's own checkpoint: commits that GitHub has beyond it are kept

    def note(self, head: str) -> str:
        """What is said once the checkpoint is restored, where GitHub has more; empty: nothing.

        Args:
            head: the commit that the branch is at.
        """
        if not self.own or (self.saved is not None and head == self.saved.head):
            return ""
        return (
            "The sandbox was lost; this is a new one, with the branch as it is on GitHub, which has newer commits than "
            "the last checkpoint. Restore that one to get what was not committed."
        )


class Provisioning(Model):
    """What provisioning needs of its task when it begins."""

    task: TaskView
    lost: SandboxId | None = None  # the sandbox before, which the provider no longer has


def note_of_loss(checkpoint: int | None, cut: Sequence[Kind]) -> str:
    """What is said when a new sandbox is about to be made.

    Args:
        checkpoint: the number of the last one; None: there is none.
        cut: the operations that the loss ended.
    """
    source = "the branch on GitHub; there is no checkpoint"
    if checkpoint is not None:
        source = f"the branch and checkpoint {checkpoint}"
    asked = [OPERATIONS[kind].asked_again for kind in cut if OPERATIONS[kind].asked_again]
    lines = [f"{name} was interrupted; ask for it again." for name in asked]
    return " ".join([f"The sandbox was lost. A new one is made from {source}.", *lines])


def note_of_recovery(*, checkpoint: bool) -> str:
    """What is said when the new sandbox is there."""
    source = "the work of the last checkpoint" if checkpoint else "the branch as GitHub has it"
    return f"The sandbox was lost; this is a new one, with {source}."


def lost_often(times: int) -> PhaseFailure:
    """Why no further sandbox is made automatically."""
    return PhaseFailure(
        code="sandbox_lost_often",
        message=f"The sandbox was lost {times} times within an hour, so no further one was made.",
        remedy="Find out who removes sandboxes, then retry: the work comes back from the last checkpoint.",
        attempt=1,
    )
