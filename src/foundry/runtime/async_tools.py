"""Waiting that can be ended: asyncio's own `wait_for` loses a cancel that comes with the event (Python 3.11)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import structlog

AGAIN = 1.0  # seconds after which a task that has not ended is cancelled once more
CANCELS = 10  # times that a task is cancelled; then it is left behind, with a line in the log

log = structlog.get_logger("foundry.runtime")

N = TypeVar("N")


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
    for _ in range(CANCELS):
        if not pending:
            return
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN)
    log.error("tasks do not end", tasks=[task.get_name() for task in pending])


class Looks(Generic[N]):
    """What to look at next: what was named, as soon as it is named; everything, at first and then now and then.

    Args:
        every: seconds between two looks at everything; None: only when asked to.
    """

    def __init__(self, every: float | None) -> None:
        self._every = every
        self._named: set[N] = set()
        self._all_at: float | None = 0.0  # when to look at everything, on the monotonic clock
        self._wake = asyncio.Event()

    def name(self, names: Iterable[N]) -> None:
        """There is something about these."""
        self._named.update(names)
        self._wake.set()

    def all(self) -> None:
        """There may be something about anything."""
        self._all_at = 0.0
        self._wake.set()

    async def next(self) -> set[N] | None:
        """Wait; then what was named since the last look, or None: look at everything."""
        while True:
            self._wake.clear()
            wait = None if self._all_at is None else self._all_at - time.monotonic()
            if wait is not None and wait <= 0:
                self._all_at = None if self._every is None else time.monotonic() + self._every
                self._named = set()
                return None
            if self._named:
                names, self._named = self._named, set()
                return names
            if wait is None:
                await self._wake.wait()
            else:
                await woken(self._wake, wait)
