"""Restore: bring the work of a sandbox back to a checkpoint, in place. What is there now is saved first."""

from __future__ import annotations

from foundry.actors.task.checkpoints import key
from foundry.actors.task.jobs import Restore
from foundry.actors.task.workflows.checkpoint import saving
from foundry.actors.task.workflows.ensure_running import ensure_running
from foundry.contracts.doors import Doors
from foundry.contracts.task import CheckpointRestored, WorkSeen
from foundry.contracts.task_checkpoints import CheckpointTooLarge
from foundry.runtime.workflow.flow import Flow, Scope, workflow

STEPS = ("saving the work", "forgetting old ones", "restoring", "looking at the work")

RESTORE_DEADLINE = 600.0  # seconds


@workflow(owner="Task", scope=Scope.ORGANIZATION, steps=STEPS)
async def restore(flow: Flow, job: Restore) -> None:
    await ensure_running(flow, "saving the work", job.before.sandbox)
    before = await saving(flow, job.before)
    if before.refusal is not None:
        await flow.do("saving the work", refuse, before.refusal.message)
    spared = before.saved.left_out if before.saved else []  # no checkpoint has these
    await flow.do("restoring", bring_back, flow.doors, job, spared, deadline=RESTORE_DEADLINE)
    await flow.ask("restoring", flow.owner, CheckpointRestored(checkpoint=job.checkpoint, spared=spared))
    work = await flow.do("looking at the work", flow.doors.sandboxes.work_tree, job.before.sandbox, job.before.base)
    await flow.ask("looking at the work", flow.owner, WorkSeen(work=work))


async def refuse(why: str) -> None:
    """What is there now would be lost: nothing is restored over it."""
    raise CheckpointTooLarge(f"what is there now cannot be saved first: {why}")


async def bring_back(doors: Doors, job: Restore, spared: list[str]) -> str:
    """The branch's head afterwards."""
    place = key(job.before.task, job.checkpoint)
    return await doors.sandboxes.restore(
        job.before.sandbox, place, job.saved, branch=job.branch, base=job.before.base, keep_newer=False, spare=spared
    )
