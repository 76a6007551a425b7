"""Restore: bring the work of a sandbox back to a checkpoint, in place. What is there now is saved first."""

from __future__ import annotations

from foundry.actors.task.checkpoints import key
from foundry.actors.task.jobs import Restore
from foundry.actors.task.workflows.checkpoint import saving
from foundry.actors.task.workflows.steps import ensure_running, look_at_work, refuse
from foundry.contracts.doors import Doors
from foundry.contracts.task import CheckpointRestored
from foundry.contracts.task_checkpoints import CheckpointTooLarge
from foundry.runtime.workflow.flow import Flow, Scope, workflow

STEPS = ("saving the work", "forgetting old ones", "restoring", "looking at the work")

RESTORE_DEADLINE = 600.0  # seconds


@workflow(owner="Task", scope=Scope.ORGANIZATION, steps=STEPS)
async def restore(flow: Flow, job: Restore) -> None:
    await ensure_running(flow, "saving the work", job.before.sandbox)
    before = await saving(flow, job.before)
    if before.refusal is not None:
        lost = CheckpointTooLarge(f"what is there now cannot be saved first: {before.refusal.message}")
        await flow.do("saving the work", refuse, lost)
    spared = before.saved.left_out if before.saved else []  # no checkpoint has these
    await flow.do("restoring", bring_back, flow.doors, job, spared, deadline=RESTORE_DEADLINE)
    await flow.ask("restoring", flow.owner, CheckpointRestored(checkpoint=job.checkpoint, spared=spared))
    await look_at_work(flow, job.before.sandbox, job.before.base)


async def bring_back(doors: Doors, job: Restore, spared: list[str]) -> str:
    """The branch's head afterwards."""
    place = key(job.before.task, job.checkpoint)
    return await doors.sandboxes.restore(
        job.before.sandbox, place, job.saved, branch=job.branch, base=job.before.base, keep_newer=False, spare=spared
    )
