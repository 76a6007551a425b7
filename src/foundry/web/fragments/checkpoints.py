"""A task's checkpoints."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from foundry.contracts.task import TaskState, TaskView
from foundry.contracts.task_checkpoints import CheckpointReason, CheckpointView
from foundry.web.templating import template

REASONS = {
    CheckpointReason.TURN: "after the agent's turn",
    CheckpointReason.ASKED: "saved by a person",
    CheckpointReason.RESTORE: "before a restore",
    CheckpointReason.RELEASE: "before the sandbox was released",
    CheckpointReason.IDLE: "before the idle stop",
}


def checkpoint_list(task: TaskView, listed: Sequence[CheckpointView], *, may_write: bool = True) -> Markup:
    """Render the task's checkpoints, and whether a save is running or has failed.

    Args:
        listed: the checkpoints, the latest first.
    """
    lines = [{"one": one, "words": REASONS[one.reason]} for one in listed]
    return template(
        "fragments/checkpoints.html",
        task=task,
        lines=lines,
        can_save=may_write and task.state is TaskState.READY,
        can_release=may_write and task.retained != "",
    )
