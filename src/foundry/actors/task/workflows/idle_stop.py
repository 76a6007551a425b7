"""Idle stop: the sandbox that nobody uses is stopped, once its work is saved. What is asked meanwhile cancels it.

A message starts the sandbox again and the agent with it (`resume_session`); what the task itself does in it begins
with `ensure_running`.
"""

from __future__ import annotations

from foundry.actors.task.jobs import Rest
from foundry.actors.task.workflows.checkpoint import saving
from foundry.actors.task.workflows.ensure_running import ensure_running
from foundry.contracts import addresses
from foundry.contracts.sandbox_instance import SandboxMoved, SandboxState
from foundry.contracts.task import GoToRest
from foundry.contracts.task_session import RestSession
from foundry.runtime.workflow.flow import Flow, Scope, workflow

STEPS = ("saving the work", "forgetting old ones", "going to rest", "stopping sandbox")


@workflow(owner="Task", scope=Scope.ORGANIZATION, steps=STEPS)
async def idle_stop(flow: Flow, job: Rest) -> None:
    await ensure_running(flow, "saving the work", job.save.sandbox)
    outcome = await saving(flow, job.save)
    if outcome.saved is not None and not outcome.saved.left_out:  # otherwise it keeps running, and says why
        for session in await flow.ask("going to rest", flow.owner, GoToRest()):
            await flow.ask("going to rest", addresses.session(session), RestSession())
        await flow.do("stopping sandbox", flow.doors.sandboxes.stop, job.save.sandbox)
        stopped = SandboxMoved(state=SandboxState.STOPPED)
        await flow.ask("stopping sandbox", addresses.sandbox(job.save.sandbox), stopped)
