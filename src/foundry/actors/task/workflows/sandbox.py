"""The task's sandbox: stopped while nobody uses it, released once the task is archived. Its work is saved before."""

from __future__ import annotations

from foundry.actors.ensure_running import ensure_running
from foundry.actors.task.jobs import IdleStop, Release, Save
from foundry.actors.task.workflows.checkpoints import save, saving
from foundry.contracts import addresses
from foundry.contracts.doors import Doors
from foundry.contracts.sandbox_instance import SandboxMoved, SandboxState
from foundry.contracts.sandbox_provider import SandboxGone
from foundry.contracts.task import BeginIdleStop, CheckpointNotSaved, SandboxReleased, SaveOutcome
from foundry.contracts.task_session import StopWithSandbox
from foundry.runtime.reader import Reader
from foundry.runtime.workflow.flow import Flow, Scope, workflow

IDLE_STEPS = ("saving the work", "forgetting old ones", "stopping the agents", "stopping sandbox")
RELEASE_STEPS = ("saving the work", "forgetting old ones", "stopping sandbox", "deleting sandbox")


@workflow(owner="Task", scope=Scope.ORGANIZATION, steps=IDLE_STEPS)
async def idle_stop(flow: Flow, job: IdleStop) -> None:
    """The sandbox that nobody uses is stopped, once its work is saved. What is asked meanwhile cancels it.

    A message starts the sandbox again and the agent with it (`resume_session`); what the task itself does in it begins
    with `ensure_running`.
    """
    await ensure_running(flow, "saving the work", job.save.sandbox)
    outcome = await saving(flow, job.save)
    if not outcome.unsaved:  # otherwise it keeps running, and says why
        for session in await flow.ask("stopping the agents", flow.owner, BeginIdleStop()):
            await flow.ask("stopping the agents", addresses.session(session), StopWithSandbox())
        await flow.do("stopping sandbox", flow.doors.sandboxes.stop, job.save.sandbox)
        stopped = SandboxMoved(state=SandboxState.STOPPED)
        await flow.ask("stopping sandbox", addresses.sandbox(job.save.sandbox), stopped)


@workflow(owner="Task", scope=Scope.ORGANIZATION, steps=RELEASE_STEPS)
async def release(flow: Flow, job: Release) -> None:
    """The sandbox of an archived task goes, once its work is saved; it is kept where that cannot be.

    Where it is to go later, it is only stopped here, and its task starts this again when the time is over.
    """
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
