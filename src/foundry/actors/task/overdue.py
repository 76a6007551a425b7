"""What of a task lasts longer than it should, and starting it again."""

from __future__ import annotations

from foundry.actors.task import operations
from foundry.actors.task.config import config
from foundry.actors.task.tables import tasks
from foundry.contracts.messages import millis
from foundry.contracts.overdue import Overdue
from foundry.contracts.task import Phase, TaskState
from foundry.contracts.task_operations import OPERATIONS, Kind
from foundry.runtime.actor import due
from foundry.runtime.turn import Turn


@due("watchdog")
def look(turn: Turn) -> None:
    """Do nothing here: `after_turn` looks for what is overdue."""


def set_alarm(turn: Turn) -> None:
    """Every turn ends with this: the alarm for what should pass, and what has not passed in time."""
    overdue, wait = config(turn).watchdog.look(standing(turn), millis(turn.now))
    turn.schedule("watchdog", wait)
    if (overdue and overdue.model_dump_json()) != turn.one(tasks).overdue:
        turn.update(tasks, overdue=overdue)


def start_again(turn: Turn) -> bool:
    """Start what is overdue again, as another workflow: the old one stops at its next step. False: nothing is."""
    row = turn.one(tasks)
    if row.overdue is None:
        return False
    what = Overdue.model_validate_json(row.overdue).what
    kinds = [kind for kind, one in OPERATIONS.items() if one.title == what] or [Kind.PROVISION, Kind.RECOVERY]
    for kind in kinds:
        one = operations.running(turn, kind)
        if one is not None and turn.again(one.id) is not None:
            operations.put(turn, kind, failure=None)
            return True
    return False


def standing(turn: Turn) -> dict[str, int]:
    """What of a task should pass, and since when, in milliseconds."""
    row = turn.one(tasks)
    found = {
        f"{OPERATIONS[kind].title}|{one.id}": one.since
        for kind, one in operations.under_way(turn)
        if OPERATIONS[kind].may_last and not one.cancelling
    }
    creating_session = row.state == TaskState.READY and row.phase == Phase.CREATING_SESSION
    if row.state == TaskState.PROVISIONING or creating_session:
        found[row.phase] = row.phase_since
    return found
