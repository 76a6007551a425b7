"""Starting the agent again after it or its sandbox-agent is gone. The old agent never runs beside the new one.

| step | owner | id chosen before | evidence on repeat | release |
|---|---|---|---|---|
| starting sandbox-agent | sandbox | the sandbox's | it runs already | |
| sandbox runs | SandboxInstance | | the turn's key | |
| closing the old agent | agents' door | the old server id | it is gone already | |
| choosing server ... opened | as in open_session, with a new server id | | | close_server |
"""

from __future__ import annotations

from foundry.actors.task_session.words import Connect
from foundry.actors.task_session.workflows.open_session import STEPS as OPENING
from foundry.actors.task_session.workflows.open_session import connect
from foundry.contracts import addresses
from foundry.contracts.doors import Doors
from foundry.contracts.ids import SandboxId
from foundry.contracts.sandbox_words import SandboxMoved, SandboxState
from foundry.contracts.sandboxes import AcpServerGone
from foundry.runtime.workflow import Flow, Scope, workflow

STEPS = ("starting sandbox-agent", "sandbox runs", "closing the old agent", *OPENING)
RELEASES = {"opening": "close_server"}

START_DEADLINE = 120.0  # seconds; a stopped sandbox of a remote provider


@workflow(owner="TaskSession", scope=Scope.ORGANIZATION, steps=STEPS, releases=RELEASES)
async def resume_session(flow: Flow, job: Connect) -> None:
    start = flow.doors.sandboxes.start
    endpoint = await flow.do("starting sandbox-agent", start, job.sandbox, deadline=START_DEADLINE)
    runs = SandboxMoved(state=SandboxState.RUNNING, endpoint=endpoint)
    await flow.ask("sandbox runs", addresses.sandbox(job.sandbox), runs)
    if job.old_server:
        await flow.do("closing the old agent", close_agent, flow.doors, job.sandbox, job.old_server)
    await connect(flow, job)


async def close_agent(doors: Doors, sandbox: SandboxId, server_id: str) -> None:
    """End the agent's process; gone already is as good."""
    try:
        await doors.agents.close(sandbox, server_id)
    except AcpServerGone:
        return
