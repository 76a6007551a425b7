"""Starting the agent again after it or its sandbox-agent is gone. The old agent never runs beside the new one.

| step | owner | id chosen before | evidence on repeat | release |
|---|---|---|---|---|
| starting sandbox-agent | sandbox | the sandbox's | it already runs | |
| sandbox runs | SandboxInstance | | the turn's key | |
| ending the old agent | agents' door | the old server id | it is gone already | |
| reading the last of it | the recorder | the old server id | what the cursor has passed is ignored | |
| closing the old agent | agents' door | the old server id | it is gone already | |
| choosing server ... recording | as in open_session, with a new server id | | | close_server |
| looking for gaps | TaskSession's view | | recorded | |
| reading its history | the stream, the recorder | the new server id | reading changes nothing | |
| filling the gaps | TaskSession | | the turn's key | |
| opened | as in open_session | | | |

The three steps before the last run only if the agent has loaded its session: its replay may fill gaps (`replay.py`).
If a part of the replay was lost, the steps from "closing the old agent" on run once more, with a new server id.
"""

from __future__ import annotations

import structlog

from foundry.actors.ensure_running import tell_running
from foundry.actors.task_session.gaps import turns_with_gaps
from foundry.actors.task_session.jobs import Connect
from foundry.actors.task_session.replay import READ_DEADLINE, read_history
from foundry.actors.task_session.workflows.open_session import STEPS as OPENING
from foundry.actors.task_session.workflows.open_session import connect, how, tell_opened
from foundry.contracts import addresses
from foundry.contracts.doors import Doors
from foundry.contracts.errors import FoundryError
from foundry.contracts.ids import SandboxId, SessionId
from foundry.contracts.sandbox_provider import AcpServerGone
from foundry.contracts.session_stream import AgentSession, FillGaps, StreamItem, TakeLate
from foundry.runtime.workflow.flow import Flow, Scope, workflow

log = structlog.get_logger("foundry.session")

STEPS = (
    "starting sandbox-agent",
    "sandbox runs",
    "ending the old agent",
    "reading the last of it",
    "closing the old agent",
    *OPENING[:-1],
    "looking for gaps",
    "reading its history",
    "filling the gaps",
    OPENING[-1],
)
RELEASES = {"opening": "close_server"}

BATCH = 500  # events
LATE = 200  # batches: more than a recorder keeps
START_DEADLINE = 120.0  # seconds; a stopped sandbox of a remote provider


@workflow(owner="TaskSession", scope=Scope.ORGANIZATION, steps=STEPS, releases=RELEASES)
async def resume_session(flow: Flow, job: Connect) -> None:
    start = flow.doors.sandboxes.start
    endpoint = await flow.do("starting sandbox-agent", start, job.sandbox, deadline=START_DEADLINE)
    await tell_running(flow, "sandbox runs", job.sandbox, endpoint)
    if job.old_server:
        await flow.do("ending the old agent", end_agent, flow.doors, job.sandbox, job.old_server)
        await read_the_last(flow, job.session, job.sandbox, job.old_server)
        await flow.do("closing the old agent", close_agent, flow.doors, job.sandbox, job.old_server)
    opened = await connect(flow, job)
    if how(job.earlier, opened) == "load":
        found = await told(flow, job, opened)
        if found is None:
            await flow.do("closing the old agent", close_agent, flow.doors, job.sandbox, opened.server_id)
            opened = await connect(flow, job.model_copy(update={"fresh": True}))
            found = await told(flow, job, opened)
        await flow.ask("filling the gaps", addresses.session(job.session), found or FillGaps())
    await tell_opened(flow, job, opened)


async def told(flow: Flow, job: Connect, opened: AgentSession) -> FillGaps | None:
    """What the agent has for the transcript's gaps; None if it should replay its history once more."""
    if how(job.earlier, opened) != "load":
        return None
    turns = await flow.read("looking for gaps", turns_with_gaps, job.session)
    return await flow.do(
        "reading its history", read_history, flow.doors, job.sandbox, opened, turns, deadline=READ_DEADLINE
    )


async def read_the_last(flow: Flow, session: SessionId, sandbox: SandboxId, server: str) -> None:
    """Add to the transcript what the old agent said and nobody has read, at most `LATE` batches."""
    me = addresses.session(session)
    cursor = await flow.ask("reading the last of it", me, TakeLate(server_id=server, items=[]))
    for _ in range(LATE):
        if cursor < 0:
            return
        said = await flow.do("reading the last of it", late, flow.doors, sandbox, server, cursor)
        if not said:
            return
        cursor = await flow.ask("reading the last of it", me, TakeLate(server_id=server, items=said))


async def late(doors: Doors, sandbox: SandboxId, server: str, cursor: int) -> list[StreamItem]:
    """The next batch of the recording. If it cannot be read, the agent is started anyway."""
    said: list[StreamItem] = []
    try:
        async for item in doors.agents.recorded(sandbox, server, cursor):
            said.append(item)
            if len(said) == BATCH:
                break
    except FoundryError as error:
        log.warning("the last of a stream was not read", sandbox=sandbox, server=server, reason=error.detail)
        return []
    return said


async def end_agent(doors: Doors, sandbox: SandboxId, server: str) -> None:
    """End the old agent, if it is not gone already: it never runs beside the new one."""
    try:
        await doors.agents.end(sandbox, server)
    except AcpServerGone:
        return


async def close_agent(doors: Doors, sandbox: SandboxId, server_id: str) -> None:
    """End the agent's process, if it is not gone already."""
    try:
        await doors.agents.close(sandbox, server_id)
    except AcpServerGone:
        return
