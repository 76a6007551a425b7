"""Server-sent events, as sandbox-agent writes them: an id and data; comments keep the line alive."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import NamedTuple


class ServerSentEvent(NamedTuple):
    id: str
    data: str


async def events(lines: AsyncIterable[str]) -> AsyncIterator[ServerSentEvent]:
    """Whole events only: one that the connection's end cuts off is not given."""
    last, data = "", list[str]()
    async for line in lines:
        if not line:
            if data:
                yield ServerSentEvent(last, "\n".join(data))
            data = []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "id":
            last = value
        elif field == "data":
            data.append(value)
