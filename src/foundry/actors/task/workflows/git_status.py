"""Look at the work tree: what is committed, pushed and changed in the sandbox."""

from __future__ import annotations

from foundry.actors.task.jobs import Inspect
from foundry.actors.task.workflows.ensure_running import wake
from foundry.contracts.task import WorkSeen
from foundry.runtime.workflow.flow import Flow, Scope, workflow

STEPS = ("looking at the work",)


@workflow(owner="Task", scope=Scope.ORGANIZATION, steps=STEPS)
async def inspect(flow: Flow, job: Inspect) -> None:
    await wake(flow, "looking at the work", job.sandbox)
    work = await flow.do("looking at the work", flow.doors.sandboxes.work_tree, job.sandbox, job.base)
    await flow.ask("looking at the work", flow.owner, WorkSeen(work=work))
