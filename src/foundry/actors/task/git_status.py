"""What the work tree looks like, as last seen."""

from __future__ import annotations

from foundry.actors.task import operations
from foundry.actors.task.jobs import Inspect
from foundry.actors.task.tables import diffs, tasks
from foundry.contracts.ids import SandboxId
from foundry.contracts.task import RefreshWork, WorkSeen
from foundry.contracts.task_operations import Kind
from foundry.runtime.actor import handles
from foundry.runtime.turn import Turn


@handles(RefreshWork)
def refresh_work(turn: Turn, command: RefreshWork) -> None:
    operations.refuse(turn, Kind.GIT_STATUS)
    row = turn.one(tasks)
    operations.begin(turn, Kind.GIT_STATUS, Inspect(sandbox=SandboxId(row.sandbox), base=row.base))


@handles(WorkSeen)
def work_seen(turn: Turn, command: WorkSeen) -> bool:
    """Answered with whether there is something to publish."""
    work = command.work
    turn.update(tasks, work=work.model_copy(update={"diff": ""}).model_dump_json())
    turn.put(diffs, diff=work.diff)
    return work.unpushed > 0
