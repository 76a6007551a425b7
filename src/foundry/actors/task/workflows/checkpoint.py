"""Checkpoint: save the work of the sandbox, so that it outlives it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from foundry.actors.task.checkpoints import key, prefix
from foundry.actors.task.jobs import Save
from foundry.actors.task.workflows.steps import ensure_running, look_at_work
from foundry.contracts.doors import Doors
from foundry.contracts.messages import Model
from foundry.contracts.task import CheckpointNotSaved, CheckpointSaved
from foundry.contracts.task_checkpoints import CheckpointTooLarge, Saved
from foundry.runtime.workflow.flow import Flow, Scope, workflow

STEPS = ("looking at the work", "saving the work", "forgetting old ones")
RELEASES = {"saving the work": "what no checkpoint refers to is forgotten by the next save"}

SAVE_DEADLINE = 600.0  # seconds


class Outcome(Model):
    """What a save came to: something saved, or why it cannot be."""

    saved: Saved | None = None
    refusal: CheckpointNotSaved | None = None
    gone: bool = False  # there is no sandbox

    @property
    def unsaved(self) -> str:
        """Why the sandbox still has work that no checkpoint has; empty: it has none."""
        if self.refusal is not None:
            return f"{self.refusal.message}. {self.refusal.remedy}"
        left = ", ".join(self.saved.left_out) if self.saved else ""
        return f"These could not be saved: {left}. Move them elsewhere, or discard them." if left else ""


@workflow(owner="Task", scope=Scope.ORGANIZATION, steps=STEPS, releases=RELEASES)
async def checkpoint(flow: Flow, job: Save) -> None:
    await ensure_running(flow, "looking at the work", job.sandbox)
    await look_at_work(flow, job.sandbox, job.base)
    await saving(flow, job)


async def save(doors: Doors, job: Save) -> Outcome:
    """Save it, or say why it cannot be: an expected failure is an answer."""
    try:
        return Outcome(saved=await doors.sandboxes.save(job.sandbox, key(job.task, job.checkpoint), job.known))
    except CheckpointTooLarge as error:
        return Outcome(refusal=CheckpointNotSaved(code=error.code, message=error.detail, remedy=error.remedy))


async def saving(flow: Flow, job: Save, how: Callable[[Doors, Save], Awaitable[Outcome]] = save) -> Outcome:
    """The steps of a save, for every workflow that has one."""
    outcome = await flow.do("saving the work", how, flow.doors, job, deadline=SAVE_DEADLINE)
    if outcome.refusal is not None:
        await flow.ask("saving the work", flow.owner, outcome.refusal)
    elif outcome.saved is not None:
        told = CheckpointSaved(checkpoint=job.checkpoint, saved=outcome.saved)
        kept = await flow.ask("saving the work", flow.owner, told)
        keys = [key(job.task, one) for one in kept]
        await flow.do("forgetting old ones", flow.doors.sandboxes.forget, prefix(job.task), keys)
    return outcome
