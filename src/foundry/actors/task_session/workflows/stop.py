"""Stopping the running prompt.

| step | owner | id chosen before | evidence on repeat | release |
|---|---|---|---|---|
| stopping | agents' door | the agent's session | a second cancel changes nothing | |
| answering requests | agents' door | the request's JSON-RPC id | an answered request ignores a second answer | |
| told to stop | TaskSession | | the turn's key | |
"""

from __future__ import annotations

from foundry.actors.task_session.jobs import StopPrompt
from foundry.contracts import addresses
from foundry.contracts.doors import Doors
from foundry.contracts.sandbox_provider import AcpServerGone
from foundry.contracts.session_stream import Stopped
from foundry.runtime.workflow.flow import Flow, Scope, workflow

STEPS = ("stopping", "answering requests", "told to stop")


@workflow(owner="TaskSession", scope=Scope.ORGANIZATION, steps=STEPS)
async def stop(flow: Flow, job: StopPrompt) -> None:
    await flow.do("stopping", cancel, flow.doors, job)
    for request in job.requests:
        await flow.do("answering requests", cancel_request, flow.doors, job, request)
    await flow.ask("told to stop", addresses.session(job.session), Stopped(message=job.message))


async def cancel(doors: Doors, job: StopPrompt) -> None:
    try:
        await doors.agents.cancel(job.sandbox, job.agent_session)
    except AcpServerGone:
        return  # it has stopped; the stream says so


async def cancel_request(doors: Doors, job: StopPrompt, request: str) -> None:
    try:
        await doors.agents.answer(job.sandbox, job.agent_session, request, None)
    except AcpServerGone:
        return
