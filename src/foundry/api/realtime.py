"""`/api/realtime`: one topic as server-sent events. First a snapshot with its version, then every later event.

`resync` means that the client missed events, or that the person's access has changed; a fresh snapshot follows.
`closed` gives the reason why the person may no longer see the topic, and ends the stream.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from foundry.api.access_table import TOPICS
from foundry.api.auth import Signed
from foundry.api.context import Foundry, foundry_of
from foundry.api.problems import problem
from foundry.api.subscription import POSITION, Subscriber, TopicEvent, TopicResync, TopicSnapshot
from foundry.contracts.errors import BadInput, FoundryError

RETRY = 1.0  # seconds before a browser reconnects

router = APIRouter(tags=["realtime"])


@router.get("/api/realtime", response_class=StreamingResponse)
async def realtime(
    request: Request,
    who: Signed,
    topic: Annotated[str, Query(description=f"one of: {', '.join(TOPICS)}")],
    id: Annotated[str, Query(max_length=100, description="id of the topic's owner; `app` has none")] = "",
    after: Annotated[
        str | None, Query(description="id of the last event received; the stream continues from there")
    ] = None,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID", description="the same, as a header")] = None,
) -> StreamingResponse:
    """Subscribe to a topic. The stream sends `snapshot` first, or the missed events, then each event by its name."""
    if topic not in TOPICS:
        raise BadInput(f"{topic!r} is not a topic", field="topic", remedy=f"Choose one of: {', '.join(TOPICS)}.")
    if after is not None and not POSITION.match(after):
        raise BadInput(f"{after!r} is not an event id", field="after", remedy="Omit it to get a fresh snapshot.")
    subscriber = Subscriber(request, who, topic, id)
    await subscriber.look()
    return event_stream(foundry_of(request), topic, _lines(subscriber, last_event_id or after))


async def _lines(subscriber: Subscriber, position: str | None) -> AsyncGenerator[str]:
    try:
        async with contextlib.aclosing(subscriber.items(position)) as telling:
            async for told in telling:
                match told:
                    case TopicSnapshot(snapshot, at):
                        yield event_lines("snapshot", snapshot.model_dump_json(), at)
                    case TopicEvent(word, body, at):
                        yield event_lines(word, body, at)
                    case TopicResync():
                        yield event_lines("resync", "{}")
                    case _:
                        yield STILL_HERE
    except FoundryError as error:
        yield event_lines("closed", problem(error).model_dump_json())


# also used by the pages' streams

STILL_HERE = ": still here\n\n"


def event_stream(foundry: Foundry, topic: str, lines: AsyncGenerator[str]) -> StreamingResponse:
    """Return a response that streams these lines and counts as an open stream of this topic."""

    async def counted() -> AsyncGenerator[str]:
        streams = foundry.metrics.streams.labels(topic)
        streams.inc()
        try:
            yield f"retry: {round(1000 * RETRY)}\n\n"
            async for line in lines:
                yield line
        finally:
            await lines.aclose()
            streams.dec()

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(counted(), media_type="text/event-stream", headers=headers)


def event_lines(name: str, data: str, id: str | None = None) -> str:
    """Format one server-sent event."""
    head = f"id: {id}\n" if id else ""
    body = data.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\ndata: ")
    return f"{head}event: {name}\ndata: {body}\n\n"
