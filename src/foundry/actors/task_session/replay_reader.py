"""A workflow's step: reading what an agent told of its own history while its session was loaded.

It is read when it is complete, from the stream or the recording by its ids; nothing of it is kept before. So a
Foundry that dies in the middle reads it once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

import structlog

from foundry.actors.task_session.jobs import GapTurn
from foundry.actors.task_session.replay_matcher import History, Holed, Unreadable, compare
from foundry.contracts.doors import Doors
from foundry.contracts.errors import FoundryError
from foundry.contracts.ids import SandboxId
from foundry.contracts.session_stream import AgentSession, FillGaps, StreamItem

LOOKS = 4  # at the recording, which may be behind the stream
AGAIN = 0.5  # seconds between them
LOOK_LIMIT = 20.0  # seconds for one; 64 MB take about 6
READ_LIMIT = 60.0  # seconds for a history
READ_DEADLINE = 90.0  # seconds for the step

log = structlog.get_logger("foundry.session")


async def read_history(doors: Doors, sandbox: SandboxId, opened: AgentSession, turns: list[GapTurn]) -> FillGaps | None:
    """What it has for these turns; None if some of it was lost on the way, so that it should be told once more.

    Nothing, where it cannot be read: the agent comes back all the same.
    """
    if not turns:
        return FillGaps()
    try:
        async with asyncio.timeout(READ_LIMIT):
            history = await _replayed(doors, sandbox, opened, [turn.prompt for turn in turns])
    except (Unreadable, FoundryError, TimeoutError) as error:
        log.warning("an agent's history was not read", sandbox=sandbox, server=opened.server_id, reason=str(error))
        return None if isinstance(error, Holed) else FillGaps()
    return compare(turns, history.turns)


async def _replayed(doors: Doors, sandbox: SandboxId, opened: AgentSession, prompts: list[str]) -> History:
    """From the stream, which keeps little, or else from the recording.

    Raises:
        Unreadable, FoundryError: neither has all of it.
    """
    agents, server = doors.agents, opened.server_id
    for look in range(LOOKS + 1):
        source = agents.recorded(sandbox, server, 0) if look else agents.stream(sandbox, server, 0)
        history = History(prompts, ends=opened.replay_ends, of=opened.agent_session_id)
        try:
            async with asyncio.timeout(LOOK_LIMIT), aclosing(cast("AsyncGenerator[StreamItem]", source)) as items:
                async for item in items:
                    if history.take(item):
                        return history
        except (Unreadable, FoundryError, TimeoutError):
            if look == LOOKS:
                raise
        if look:
            await asyncio.sleep(AGAIN)
    raise Unreadable("its end is not there")
