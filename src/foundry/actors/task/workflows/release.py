"""Release: the sandbox of an archived task goes, unless work would go with it."""

from __future__ import annotations

from foundry.actors.task.words import Release
from foundry.contracts import addresses
from foundry.contracts.doors import Doors
from foundry.contracts.ids import SandboxId
from foundry.contracts.sandbox_words import SandboxMoved, SandboxState
from foundry.contracts.tasks import SandboxReleased
from foundry.contracts.words import Address
from foundry.runtime.turn import Reader
from foundry.runtime.workflow import Flow, Scope, workflow

STEPS = ("looking at the work", "stopping sandbox", "deleting sandbox")


@workflow(owner="Task", scope=Scope.ORGANIZATION, steps=STEPS)
async def release(flow: Flow, job: Release) -> None:
    box = addresses.sandbox(job.sandbox)
    kept = "" if job.discard else await flow.do("looking at the work", unsaved, flow.doors, job.sandbox, job.base)
    await flow.do("stopping sandbox", flow.doors.sandboxes.stop, job.sandbox)
    if kept:
        await _moved(flow, "stopping sandbox", job.sandbox, SandboxState.KEPT)
        await flow.ask("stopping sandbox", flow.owner, SandboxReleased(kept=kept))
        return
    await flow.do("deleting sandbox", flow.doors.sandboxes.delete, job.sandbox)
    if await flow.read("deleting sandbox", known, box):
        await _moved(flow, "deleting sandbox", job.sandbox, SandboxState.DELETED)
    await flow.ask("deleting sandbox", flow.owner, SandboxReleased())


async def _moved(flow: Flow, step: str, sandbox: SandboxId, state: SandboxState) -> None:
    await flow.ask(step, addresses.sandbox(sandbox), SandboxMoved(state=state))


def known(reader: Reader, sandbox: Address) -> bool:
    """Whether the SandboxInstance was ever created; archiving may have come first."""
    return reader.exists(sandbox)


async def unsaved(doors: Doors, sandbox: SandboxId, base: str) -> str:
    """Why the sandbox has to be kept; empty if nothing would be lost with it."""
    if not await doors.sandboxes.exists(sandbox):
        return ""
    work = await doors.sandboxes.work_tree(sandbox, base)
    parts = [f"{work.unpushed} unpushed commits"] if work.unpushed else []
    parts += [f"{len(work.changed_files)} changed files"] if work.changed_files else []
    return f"The sandbox is kept: it holds {' and '.join(parts)}." if parts else ""
