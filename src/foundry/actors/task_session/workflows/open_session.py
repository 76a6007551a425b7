"""Opening the agent's session.

| step | owner | id chosen before | evidence on repeat | release |
|---|---|---|---|---|
| choosing server | TaskSession | the server id, in its turn | the turn's key gives the same one | |
| installing agent | sandbox | | it is installed already | |
| opening | agents' door | the server id | the server is open already: its session is found | close_server |
| recording | agents' door | the server id | a recorder of this server id runs | with the server: close_server |
| opened | TaskSession | | the turn's key | |
"""

from __future__ import annotations

import asyncio
from typing import Literal

import structlog

from foundry.actors.task_session.jobs import Connect
from foundry.contracts import addresses
from foundry.contracts.doors import Doors
from foundry.contracts.errors import FoundryError
from foundry.contracts.session_stream import AgentSession, ChooseServer, SessionOpened
from foundry.runtime.workflow.flow import Flow, Scope, workflow

STEPS = ("choosing server", "installing agent", "opening", "recording", "opened")
RELEASES = {"opening": "close_server"}

INSTALL_DEADLINE = 600.0  # seconds
OPEN_DEADLINE = 120.0  # seconds; some agents sign in or start a sidecar first
RECORD_LIMIT = 20.0  # seconds

log = structlog.get_logger("foundry.session")


@workflow(owner="TaskSession", scope=Scope.ORGANIZATION, steps=STEPS, releases=RELEASES)
async def open_session(flow: Flow, job: Connect) -> None:
    await tell_opened(flow, job, await connect(flow, job))


async def connect(flow: Flow, job: Connect) -> AgentSession:
    """The first four steps, for a first opening and for a resume."""
    me = addresses.session(job.session)
    server = await flow.ask("choosing server", me, ChooseServer(fresh=job.fresh))
    if not job.installed:
        install = flow.doors.sandboxes.install_agent
        await flow.do("installing agent", install, job.sandbox, job.agent, deadline=INSTALL_DEADLINE)
    opened = await flow.do("opening", open_agent, flow.doors, job, server, deadline=OPEN_DEADLINE)
    await flow.do("recording", record, flow.doors, job, opened.server_id)
    return opened


async def tell_opened(flow: Flow, job: Connect, opened: AgentSession) -> None:
    me = addresses.session(job.session)
    await flow.ask("opened", me, SessionOpened(opened=opened, how=how(job.earlier, opened)))


async def open_agent(doors: Doors, job: Connect, server: str) -> AgentSession:
    return await doors.agents.open(job.sandbox, server, job.agent, earlier=job.earlier, load=job.load)


async def record(doors: Doors, job: Connect, server: str) -> bool:
    """True if the stream is recorded. If not, the session works anyway, and a long absence shows as a gap."""
    try:
        async with asyncio.timeout(RECORD_LIMIT):
            await doors.agents.record(job.sandbox, server)
    except (FoundryError, TimeoutError) as error:
        log.warning("an agent's stream is not recorded", session=job.session, reason=str(error))
        return False
    return True


def how(earlier: AgentSession | None, opened: AgentSession) -> Literal["new", "load", "resume"]:
    """How the session was opened. The agent knows the conversation only under the same session id."""
    if earlier is None or earlier.agent_session_id != opened.agent_session_id:
        return "new"
    return "load" if opened.replay_ends else "resume"
