"""Release: the sandbox of an archived task goes, once its work is saved; it is kept where that cannot be.

Where it is to go later, it is only stopped here, and its task starts this again when the time is over.
"""

from __future__ import annotations

from foundry.actors.task.jobs import Release, Save
from foundry.actors.task.workflows.checkpoints import save, saving
from foundry.contracts import addresses
from foundry.contracts.doors import Doors
from foundry.contracts.sandbox_instance import SandboxMoved, SandboxState
from foundry.contracts.sandbox_provider import SandboxGone
from foundry.contracts.task import CheckpointNotSaved, SandboxReleased, SaveOutcome
from foundry.runtime.turn import Reader
from foundry.runtime.workflow.flow import Flow, Scope, workflow

STEPS = ("saving the work", "forgetting old ones", "stopping sandbox", "deleting sandbox")


@workflow(owner="Task", scope=Scope.ORGANIZATION, steps=STEPS)
async def release(flow: Flow, job: Release) -> None:
    sandboxes, sandbox, box = flow.doors.sandboxes, job.save.sandbox, addresses.sandbox(job.save.sandbox)
    outcome = SaveOutcome() if job.discard else await saving(flow, job.save, save_last)
    await flow.do("stopping sandbox", sandboxes.stop, sandbox)
    if outcome.unsaved:
        await flow.ask("stopping sandbox", box, SandboxMoved(state=SandboxState.RETAINED))
        await flow.ask("stopping sandbox", flow.owner, SandboxReleased(retained=outcome.unsaved))
        return
    if job.remove_at is not None and not outcome.gone:
        await flow.ask("stopping sandbox", box, SandboxMoved(state=SandboxState.STOPPED, remove_at=job.remove_at))
        await flow.ask("stopping sandbox", flow.owner, SandboxReleased(waits=True))
        return
    await flow.do("deleting sandbox", sandboxes.delete, sandbox)
    if await flow.read("deleting sandbox", Reader.exists, box):  # the task may have been archived before it was
        await flow.ask("deleting sandbox", box, SandboxMoved(state=SandboxState.DELETED))
    await flow.ask("deleting sandbox", flow.owner, SandboxReleased())


async def save_last(doors: Doors, job: Save) -> SaveOutcome:
    """Nothing is lost with a sandbox that is gone, or whose work is all on GitHub; any other is woken and saved."""
    if not await doors.sandboxes.awake(job.sandbox):
        return SaveOutcome(gone=True)
    try:
        outcome = await save(doors, job)
    except SandboxGone as error:  # its repository is, or git cannot find it: somebody has to look
        remedy = "Look into the sandbox's directory; discard it if nothing in it is needed."
        return SaveOutcome(refusal=CheckpointNotSaved(code=error.code, message=error.detail, remedy=remedy))
    if outcome.refusal is not None:
        work = await doors.sandboxes.work_tree(job.sandbox, job.base)
        if not work.unpushed and not work.changed_files:
            return SaveOutcome()
    return outcome
