"""Looking at an agent that runs a prompt and has said nothing for long.

| step | owner | id chosen before | evidence on repeat | release |
|---|---|---|---|---|
| looking | agents' door | | it changes nothing | |
| seen | TaskSession | | the turn's key | |
"""

from __future__ import annotations

from foundry.actors.task_session.jobs import LookAtAgent
from foundry.contracts import addresses
from foundry.contracts.session_stream import AgentSeen
from foundry.runtime.workflow.flow import Flow, Scope, workflow

STEPS = ("looking", "seen")

LOOKS = 3  # tries; the next alarm looks again


@workflow(owner="TaskSession", scope=Scope.ORGANIZATION, steps=STEPS)
async def look_at_agent(flow: Flow, job: LookAtAgent) -> None:
    signs = await flow.do("looking", flow.doors.agents.signs, job.sandbox, job.server_id, tries=LOOKS)
    await flow.ask("seen", addresses.session(job.session), AgentSeen(message=job.message, signs=signs))
