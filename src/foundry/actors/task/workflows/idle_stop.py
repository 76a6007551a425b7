"""Idle stop: the sandbox that nobody uses is stopped, once its work is saved. What is asked meanwhile cancels it.

A message starts the sandbox again and the agent with it (`resume_session`); what the task itself does in it begins
with `ensure_running`.
"""

from __future__ import annotations

from foundry.actors.ensure_running import ensure_running
from foundry.actors.task.jobs import IdleStop
from foundry.actors.task.workflows.checkpoints import saving
from foundry.contracts import addresses
from foundry.contracts.sandbox_instance import SandboxMoved, SandboxState
from foundry.contracts.task import BeginIdleStop
from foundry.contracts.task_session import StopWithSandbox
from foundry.runtime.workflow.flow import Flow, Scope, workflow

STEPS = ("saving the work", "forgetting old ones", "stopping the agents", "stopping sandbox")


@workflow(owner="Task", scope=Scope.ORGANIZATION, steps=STEPS)
async def idle_stop(flow: Flow, job: IdleStop) -> None:
    await ensure_running(flow, "saving the work", job.save.sandbox)
    outcome = await saving(flow, job.save)
    if not outcome.unsaved:  # otherwise it keeps running, and says why
        for session in await flow.ask("stopping the agents", flow.owner, BeginIdleStop()):
            await flow.ask("stopping the agents", addresses.session(session), StopWithSandbox())
        await flow.do("stopping sandbox", flow.doors.sandboxes.stop, job.save.sandbox)
        stopped = SandboxMoved(state=SandboxState.STOPPED)
        await flow.ask("stopping sandbox", addresses.sandbox(job.save.sandbox), stopped)
