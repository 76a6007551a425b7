"""A coordinator's index of tasks: one line per task. Organization and Repository each have one (R1, R3)."""

from __future__ import annotations

from sqlalchemy import Table

from foundry.contracts.messages import millis
from foundry.contracts.task import TaskSummary
from foundry.runtime.turn import Turn


def put_line(turn: Turn, table: Table, task: TaskSummary, **columns: object) -> bool:
    """Store a task's line, unless the stored line is newer: messages about a task may arrive in any order.

    Args:
        columns: what this coordinator's table has beside the columns that every index has.

    Returns:
        True if the line was stored.
    """
    known = turn.find(table, task=task.id)
    if known is not None and known.changed_at > millis(task.changed_at):
        return False
    turn.put(
        table,
        {"task": task.id},
        archived=task.archived is not None,
        created_at=millis(task.created_at),
        changed_at=millis(task.changed_at),
        summary=task.model_dump_json(),
        **columns,
    )
    return True
