"""Ending an agent's process that is no longer wanted: the session was closed, or its opening failed.

| step | owner | id chosen before | evidence on repeat | release |
|---|---|---|---|---|
| closing the agent | agents' door | the server id | it is gone already | |
"""

from __future__ import annotations

from foundry.actors.task_session.jobs import CloseServer
from foundry.contracts.doors import Doors
from foundry.contracts.errors import FoundryError
from foundry.runtime.workflow.flow import Flow, Scope, workflow

STEPS = ("closing the agent",)


@workflow(owner="TaskSession", scope=Scope.ORGANIZATION, steps=STEPS)
async def close_server(flow: Flow, job: CloseServer) -> None:
    await flow.do("closing the agent", close_if_there, flow.doors, job)


async def close_if_there(doors: Doors, job: CloseServer) -> None:
    """Close it if the sandbox answers. If not, or if the sandbox is gone, its provider ends its processes."""
    try:
        await doors.agents.close(job.sandbox, job.server_id)
    except FoundryError:
        return
