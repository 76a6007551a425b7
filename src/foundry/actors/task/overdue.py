"""What every turn of a Task ends with: what stands and may last too long, and who hears of the change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta

from foundry.actors.task.tables import checkpoints, task_sessions_known, tasks
from foundry.actors.task.views import summary, view
from foundry.actors.watchdog import WATCHDOG, Watchdog, began, key
from foundry.contracts import addresses
from foundry.contracts.ids import OrganizationId, WorkflowId
from foundry.contracts.messages import millis
from foundry.contracts.task import Phase, TaskChanged, TaskSeen, TaskState, TaskView
from foundry.contracts.task_session import SessionStatus
from foundry.runtime.actor import due
from foundry.runtime.turn import AnyRow, Turn

# what a workflow is for, in the watchdog's table, by the column that names the one that runs
WORK = {
    "publish_workflow": "publishing",
    "rename_workflow": "renaming the branch",
    "save_workflow": "saving the work",
    "restore_workflow": "bringing work back",
    "fetch_workflow": "getting GitHub's commits",
    "rest_workflow": "stopping the sandbox",
    "release_workflow": "giving the sandbox back",
}

OUTLASTS = ("rename_workflow", "release_workflow")  # of these; the rest ends with the task's use of its sandbox


class Watching:
    """The part of a Task that says what lasts longer than it should, and begins it anew."""

    def __init__(
        self, watchdog: Watchdog = WATCHDOG, idle: timedelta | None = None, archived: timedelta | None = None
    ) -> None:
        self._watchdog = watchdog
        self._archived = archived  # how long an archived task's sandbox is there, stopped; None: not at all
        self._idle = idle  # how long nobody uses a sandbox until it is stopped; None: it never is

    def changed(self, turn: Turn) -> TaskView:
        """1. Set the alarm for what stands. 2. Tell who watches the task, and the two indexes that list it."""
        now = millis(turn.now)
        since = began(turn.one(tasks).began, standing(turn.one(tasks)), now)
        overdue, wait = self._watchdog.look(since, now)
        turn.update(
            tasks, began=json.dumps(since), overdue=overdue.model_dump_json() if overdue else None, changed_at=now
        )
        if wait is not None:
            turn.schedule("watchdog", wait)
        else:
            turn.unschedule("watchdog")
        row, sessions = turn.one(tasks), turn.all(task_sessions_known)
        if self._idle and not row.resting and quiet(row, sessions):
            turn.schedule("idle", self._idle)
        else:
            turn.unschedule("idle")
        full = view(row, sessions, turn.all(checkpoints))
        turn.publish(TaskChanged(entity=turn.key, repository=full.repository.id, task=full))
        line = TaskSeen(task=summary(full))
        turn.send(addresses.organization(OrganizationId(row.organization)), line)
        turn.send(addresses.repository(full.repository.id), line)
        return full

    @due("watchdog")
    def look(self, turn: Turn) -> None:
        self.changed(turn)

    def begin_anew(self, turn: Turn, row: AnyRow) -> bool:
        """Start what is overdue again, under another id: the old one stops at its next step. False: nothing is."""
        if row.overdue is None:
            return False
        overdue = json.loads(row.overdue)["what"]
        column = next((name for name, what in WORK.items() if what == overdue), "workflow")
        again = turn.again(WorkflowId(getattr(row, column))) if getattr(row, column) else None
        if again is None:
            return False
        turn.update(tasks, {}, **{column: again}, trouble=None)
        return True


def cut_short(turn: Turn) -> None:
    """End what the task does in its sandbox by itself, with the marks that this has set."""
    row = turn.one(tasks)
    columns = [column for column in WORK if column not in OUTLASTS]
    for workflow in filter(None, (getattr(row, column) for column in columns)):
        turn.cancel(WorkflowId(workflow))
    turn.update(tasks, **dict.fromkeys(columns), publishing="", fetch_writes=False, resting=False, trouble=None)


def at_work(row: AnyRow) -> set[str]:
    """The task's workflows that use its present sandbox."""
    return {getattr(row, column) for column in WORK if getattr(row, column)}


def quiet(row: AnyRow, sessions: Sequence[AnyRow]) -> bool:
    """Whether nobody uses the sandbox: no agent works or is about to, and no work of the task's own runs."""
    working = (SessionStatus.PENDING, SessionStatus.RUNNING)
    return (
        row.state == TaskState.READY
        and row.phase == Phase.RUNNING
        and not row.running_message
        and not any(getattr(row, column) for column in WORK)
        and not any(known.status in working and not known.resting for known in sessions)
    )


def standing(row: AnyRow) -> list[str]:
    """What of a task should pass; with each the mark that tells one from the next of its kind."""
    found = [key(what, getattr(row, column)) for column, what in WORK.items() if getattr(row, column)]
    if row.state == TaskState.PROVISIONING:
        found.append(key(row.phase, row.workflow))
    elif row.state == TaskState.READY and row.phase == Phase.CREATING_SESSION:
        found.append(key(row.phase, row.attempt))
    return found
