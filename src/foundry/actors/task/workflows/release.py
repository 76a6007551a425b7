"""Release: the sandbox of an archived task goes, once its work is saved; it is kept where that cannot be.

Where it is to go later, it is only stopped here, and its task starts this again when the time is over.
"""

from __future__ import annotations

from datetime import datetime

from foundry.actors.task.jobs import Release, Save
from foundry.actors.task.workflows.checkpoint import Outcome, save, saving
from foundry.contracts import addresses
from foundry.contracts.doors import Doors
from foundry.contracts.ids import SandboxId
from foundry.contracts.messages import Address
from foundry.contracts.sandbox_instance import SandboxMoved, SandboxState
from foundry.contracts.sandbox_provider import SandboxGone
from foundry.contracts.task import CheckpointNotSaved, SandboxReleased
from foundry.runtime.turn import Reader
from foundry.runtime.workflow.flow import Flow, Scope, workflow

STEPS = ("saving the work", "forgetting old ones", "stopping sandbox", "deleting sandbox")


@workflow(owner="Task", scope=Scope.ORGANIZATION, steps=STEPS)
async def release(flow: Flow, job: Release) -> None:
    sandbox = job.save.sandbox
    kept, gone = ("", False) if job.discard else await _save(flow, job.save)
    await flow.do("stopping sandbox", flow.doors.sandboxes.stop, sandbox)
    if kept:
        await _moved(flow, "stopping sandbox", sandbox, SandboxState.RETAINED)
        await flow.ask("stopping sandbox", flow.owner, SandboxReleased(retained=kept))
        return
    if job.remove_at is not None and not gone:
        await _moved(flow, "stopping sandbox", sandbox, SandboxState.STOPPED, job.remove_at)
        await flow.ask("stopping sandbox", flow.owner, SandboxReleased(waits=True))
        return
    await flow.do("deleting sandbox", flow.doors.sandboxes.delete, sandbox)
    if await flow.read("deleting sandbox", known, addresses.sandbox(sandbox)):
        await _moved(flow, "deleting sandbox", sandbox, SandboxState.DELETED)
    await flow.ask("deleting sandbox", flow.owner, SandboxReleased())


async def _save(flow: Flow, job: Save) -> tuple[str, bool]:
    """Save what the sandbox holds; gives why it has to be kept, if it has to, and whether there was none."""
    outcome = await saving(flow, job, save_last)
    if outcome.refusal is not None:
        return f"{outcome.refusal.message}. {outcome.refusal.remedy}", False
    left = ", ".join(outcome.saved.left_out) if outcome.saved else ""
    kept = f"These could not be saved: {left}. Move them elsewhere, or discard them." if left else ""
    return kept, outcome.gone


async def save_last(doors: Doors, job: Save) -> Outcome:
    """Nothing is lost with a sandbox that is gone, or whose work is all on GitHub; any other is woken and saved."""
    if not await doors.sandboxes.awake(job.sandbox):
        return Outcome(gone=True)
    try:
        outcome = await save(doors, job)
    except SandboxGone as error:  # its repository is, or git cannot find it: somebody has to look
        remedy = "Look into the sandbox's directory; discard it if nothing in it is needed."
        return Outcome(refusal=CheckpointNotSaved(code=error.code, message=error.detail, remedy=remedy))
    if outcome.refusal is not None:
        work = await doors.sandboxes.work_tree(job.sandbox, job.base)
        if not work.unpushed and not work.changed_files:
            return Outcome()
    return outcome


async def _moved(
    flow: Flow, step: str, sandbox: SandboxId, state: SandboxState, remove_at: datetime | None = None
) -> None:
    await flow.ask(step, addresses.sandbox(sandbox), SandboxMoved(state=state, remove_at=remove_at))


def known(reader: Reader, sandbox: Address) -> bool:
    """Return True if the SandboxInstance was ever created. The task may have been archived before that."""
    return reader.exists(sandbox)
