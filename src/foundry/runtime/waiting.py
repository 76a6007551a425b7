"""Waiting that can be ended: asyncio's own `wait_for` loses a cancel that comes with the event (Python 3.11)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import structlog

AGAIN = 1.0  # seconds after which a task that has not ended is cancelled once more
LIMIT = 10  # times; then it is left behind, with a line in the log

log = structlog.get_logger("foundry.runtime")


async def woken(event: asyncio.Event, limit: float) -> bool:
    """Wait for the event, at most `limit` seconds; whether it came."""
    try:
        async with asyncio.timeout(limit):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def ended(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel the tasks and wait until they have ended, in bounded time."""
    pending = set(tasks)
    for _ in range(LIMIT):
        if not pending:
            return
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN)
    log.error("tasks do not end", tasks=[task.get_name() for task in pending])
