"""Recovery of a lost sandbox: how often it is automatic, and what is said. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from foundry.contracts.task import PhaseFailure
from foundry.contracts.task_operations import OPERATIONS, Kind

RECOVERIES = 3  # automatic ones within `RECOVERIES_WITHIN`; then a person decides
RECOVERIES_WITHIN = timedelta(hours=1)


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
