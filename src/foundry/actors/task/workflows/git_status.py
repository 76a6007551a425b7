"""Read the work tree: what is committed, pushed and changed in the sandbox."""

from __future__ import annotations

from foundry.actors.task.jobs import Inspect
from foundry.actors.task.workflows.ensure_running import ensure_running
from foundry.contracts.task import WorkSeen
from foundry.runtime.workflow.flow import Flow, Scope, workflow

STEPS = ("looking at the work",)


@workflow(owner="Task", scope=Scope.ORGANIZATION, steps=STEPS)
async def git_status(flow: Flow, job: Inspect) -> None:
    await ensure_running(flow, "looking at the work", job.sandbox)
    work = await flow.do("looking at the work", flow.doors.sandboxes.work_tree, job.sandbox, job.base)
    await flow.ask("looking at the work", flow.owner, WorkSeen(work=work))
