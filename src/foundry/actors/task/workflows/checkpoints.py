"""Checkpoints: the work of the sandbox is saved, so that it outlives it, and brought back in place.

A restore saves what is there now first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from foundry.actors.ensure_running import ensure_running
from foundry.actors.task.jobs import Restore, Save
from foundry.actors.task.workflows.steps import LONG_DEADLINE, look_at_work, refuse
from foundry.contracts.doors import Doors
from foundry.contracts.task import CheckpointNotSaved, CheckpointRestored, CheckpointSaved, SaveOutcome
from foundry.contracts.task_checkpoints import CheckpointTooLarge, checkpoint_key, checkpoint_prefix
from foundry.runtime.workflow.flow import Flow, Scope, workflow

STEPS = ("looking at the work", "saving the work", "forgetting old ones")
RESTORE_STEPS = ("saving the work", "forgetting old ones", "restoring", "looking at the work")
RELEASES = {"saving the work": "what no checkpoint refers to is forgotten by the next save"}


@workflow(owner="Task", scope=Scope.ORGANIZATION, steps=STEPS, releases=RELEASES)
async def checkpoint(flow: Flow, job: Save) -> None:
    await ensure_running(flow, "looking at the work", job.sandbox)
    await look_at_work(flow, job.sandbox, job.base)
    await saving(flow, job)


@workflow(owner="Task", scope=Scope.ORGANIZATION, steps=RESTORE_STEPS)
async def restore(flow: Flow, job: Restore) -> None:
    await ensure_running(flow, "saving the work", job.before.sandbox)
    before = await saving(flow, job.before)
    if before.refusal is not None:
        lost = CheckpointTooLarge(f"what is there now cannot be saved first: {before.refusal.message}")
        await flow.do("saving the work", refuse, lost)
    spared = before.saved.left_out if before.saved else []  # no checkpoint has these
    await flow.do("restoring", bring_back, flow.doors, job, spared, deadline=LONG_DEADLINE)
    await flow.ask("restoring", flow.owner, CheckpointRestored(checkpoint=job.checkpoint, spared=spared))
    await look_at_work(flow, job.before.sandbox, job.before.base)


async def save(doors: Doors, job: Save) -> SaveOutcome:
    """Save it, or say why it cannot be: an expected failure is an answer."""
    try:
        place = checkpoint_key(job.task, job.checkpoint)
        return SaveOutcome(saved=await doors.sandboxes.save(job.sandbox, place, job.known))
    except CheckpointTooLarge as error:
        return SaveOutcome(refusal=CheckpointNotSaved(code=error.code, message=error.detail, remedy=error.remedy))


async def saving(flow: Flow, job: Save, how: Callable[[Doors, Save], Awaitable[SaveOutcome]] = save) -> SaveOutcome:
    """The steps of a save, for every workflow that has one."""
    outcome = await flow.do("saving the work", how, flow.doors, job, deadline=LONG_DEADLINE)
    if outcome.refusal is not None:
        await flow.ask("saving the work", flow.owner, outcome.refusal)
    elif outcome.saved is not None:
        told = CheckpointSaved(checkpoint=job.checkpoint, saved=outcome.saved)
        kept = await flow.ask("saving the work", flow.owner, told)
        keys = [checkpoint_key(job.task, one) for one in kept]
        await flow.do("forgetting old ones", flow.doors.sandboxes.forget, checkpoint_prefix(job.task), keys)
    return outcome


async def bring_back(doors: Doors, job: Restore, spared: list[str]) -> str:
    """The branch's head afterwards."""
    place = checkpoint_key(job.before.task, job.checkpoint)
    return await doors.sandboxes.restore(
        job.before.sandbox, place, job.saved, branch=job.branch, base=job.before.base, keep_newer=False, spare=spared
    )
