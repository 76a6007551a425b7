"""Wait for a state, bounded, instead of sleeping."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(
    look: Callable[[], Awaitable[T] | T], until: Callable[[T], bool] = bool, *, limit: float = 10.0
) -> T:
    """What `look` gives once `until` holds of it; fails after `limit` seconds, showing the last one."""
    end = time.monotonic() + limit
    while True:
        value = look()
        if inspect.isawaitable(value):
            value = await value
        if until(value):  # type: ignore[arg-type]
            return value  # type: ignore[return-value]
        assert time.monotonic() < end, f"still {value!r} after {limit} s"
        await asyncio.sleep(0.01)
