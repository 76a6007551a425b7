"""Ends agents that run in a sandbox but that no session knows. It looks at the start, and every minute.

| recorded | in sandbox-agent | what is done |
|---|---|---|
| there | not there | the stream's worker notices it: the agent is started again |
| not there | there, at two looks in a row | it is ended: it could write to the work tree of the session (R6) |

A server's id is recorded before the server is created; while it is being opened, the part that all tries have in
common (`EACH_TRY`). So an unknown server is left over from a session that has ended or uses another id by now, and
could not close it, or from a try of its opening that another one overtook.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from foundry.actors.task_session.views import known_servers
from foundry.contracts import addresses
from foundry.contracts.errors import FoundryError
from foundry.contracts.ids import SandboxId
from foundry.contracts.session_stream import chosen_for
from foundry.runtime.reader import Reader
from foundry.runtime.worker.supervisor import Job, WorkerKind, once

LIMIT = 20.0  # seconds for one sandbox
AT_ONCE = 8  # sandboxes

Running = Callable[[Reader], Sequence[SandboxId]]
"""The sandboxes that run now."""

log = structlog.get_logger("foundry.session")


def reconciler(running: Running, every: float) -> WorkerKind:
    """One worker for all of Foundry, so it belongs to the root actor."""

    async def run(job: Job) -> None:
        strange: set[tuple[SandboxId, str]] = set()
        while True:
            strange = await reconcile(job, running, strange)
            await asyncio.sleep(every)

    return WorkerKind("AppShell", once(addresses.app_shell()), run, name="agents")


async def reconcile(job: Job, running: Running, before: set[tuple[SandboxId, str]]) -> set[tuple[SandboxId, str]]:
    """Look once; return the agents that no session knows, for the next look.

    Args:
        before: what the last look returned; these are ended if they are still there and still unknown.
    """
    at_once = asyncio.Semaphore(AT_ONCE)

    async def look(sandbox: SandboxId) -> list[str]:
        try:
            async with at_once, asyncio.timeout(LIMIT):
                return await job.doors.agents.servers(sandbox)
        except (FoundryError, TimeoutError):  # the worker that reads its stream reports this
            return []

    sandboxes = await job.read(running)
    found = await asyncio.gather(*(look(sandbox) for sandbox in sandboxes))
    known = await job.read(known_servers)  # after the look, so that every server it found is recorded
    strange = {
        (box, one)
        for box, servers in zip(sandboxes, found, strict=True)
        for one in servers
        if known.isdisjoint((one, chosen_for(one)))
    }
    for sandbox, server in strange & before:
        try:
            async with asyncio.timeout(LIMIT):
                await job.doors.agents.close(sandbox, server)
        except (FoundryError, TimeoutError) as error:
            log.warning("could not end an unknown agent", sandbox=sandbox, server=server, reason=str(error))
        else:
            log.info("ended an unknown agent", sandbox=sandbox, server=server)
    return strange
