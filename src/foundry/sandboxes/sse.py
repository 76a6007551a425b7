"""Parses server-sent events as sandbox-agent writes them: an id and data. Comments are keep-alives."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import NamedTuple


class ServerSentEvent(NamedTuple):
    id: str
    data: str


async def events(lines: AsyncIterable[str]) -> AsyncIterator[ServerSentEvent]:
    """Yield complete events only. An event cut off by the connection's end is dropped."""
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
