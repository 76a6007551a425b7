"""Read the work tree: what is committed, pushed and changed in the sandbox."""

from __future__ import annotations

from foundry.actors.ensure_running import ensure_running
from foundry.actors.task.jobs import Inspect
from foundry.actors.task.workflows.steps import look_at_work
from foundry.runtime.workflow.flow import Flow, Scope, workflow

STEPS = ("looking at the work",)


@workflow(owner="Task", scope=Scope.ORGANIZATION, steps=STEPS)
async def git_status(flow: Flow, job: Inspect) -> None:
    await ensure_running(flow, "looking at the work", job.sandbox)
    await look_at_work(flow, job.sandbox, job.base)
