"""Delivering the answer to a permission request.

| step | owner | id chosen before | evidence on repeat | release |
|---|---|---|---|---|
| answering | agents' door | the request's JSON-RPC id | an answered request ignores a second answer | |
| answered | TaskSession | | the turn's key | |
"""

from __future__ import annotations

from foundry.actors.task_session.jobs import Answer
from foundry.contracts import addresses
from foundry.contracts.doors import Doors
from foundry.contracts.session_stream import PermissionDelivered
from foundry.runtime.workflow.flow import Flow, Scope, workflow

STEPS = ("answering", "answered")


@workflow(owner="TaskSession", scope=Scope.ORGANIZATION, steps=STEPS)
async def answer_permission(flow: Flow, job: Answer) -> None:
    await flow.do("answering", answer, flow.doors, job)
    await flow.ask("answered", addresses.session(job.session), PermissionDelivered(permission=job.permission))


async def answer(doors: Doors, job: Answer) -> None:
    await doors.agents.answer(job.sandbox, job.agent_session, job.rpc_id, job.option)
