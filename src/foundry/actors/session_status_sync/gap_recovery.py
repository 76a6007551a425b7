"""Reads lost events of a stream from the recorder in the sandbox, and makes sure that there is a recorder."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

import structlog

from foundry.actors.session_status_sync.times import StreamTimes
from foundry.actors.session_status_sync.views import Stream
from foundry.contracts.doors import AgentDoor
from foundry.contracts.errors import FoundryError
from foundry.contracts.sandbox_provider import SandboxUnreachable
from foundry.contracts.session_stream import StreamItem

log = structlog.get_logger("foundry.session")


async def recorded(
    agents: AgentDoor, stream: Stream, after: int, before: int | None, times: StreamTimes
) -> AsyncGenerator[StreamItem]:
    """The recorded events after one id and before another, as far as they were recorded.

    Args:
        before: None: to the recording's end, as nothing more will come. Then a sandbox that does not answer is not
            waited for: the rest is read once the agent is started again (`resume_session`).
    """
    began = heard = time.monotonic()
    while True:
        try:
            async for item in agents.recorded(stream.sandbox, stream.server_id, after):
                if before is not None and item.event_id >= before:
                    return
                yield item
                after = item.event_id
            heard = time.monotonic()
        except SandboxUnreachable as error:
            if before is None:
                return
            if time.monotonic() - heard > times.away_limit:
                log.warning("a gap cannot be filled", server=stream.server_id, reason=error.detail)
                return
        except FoundryError as error:
            log.warning("a gap cannot be filled", server=stream.server_id, reason=error.detail)
            return
        else:
            if before is None or after == before - 1 or heard - began > times.behind:
                return
        await asyncio.sleep(times.again)


async def keep_recording(agents: AgentDoor, stream: Stream, times: StreamTimes) -> None:
    """Make sure, until cancelled, that the stream is recorded. Start a recorder that has ended again."""
    said = ""
    while True:
        reason = await _record(agents, stream)
        if reason and reason != said:
            log.warning("an agent's stream is not recorded", server=stream.server_id, reason=reason)
        said = reason
        await asyncio.sleep(times.make_sure)


async def _record(agents: AgentDoor, stream: Stream) -> str:
    """Start a recorder if none runs. Return why that failed, or nothing."""
    try:
        await agents.record(stream.sandbox, stream.server_id)
    except FoundryError as error:
        return error.detail
    except Exception as error:  # e.g. the client was closed as the sandbox was started again
        return f"{type(error).__name__}: {error}"
    return ""
