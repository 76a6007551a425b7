"""A page's only stream. It sends the events of the page's topics as the same fragments that the page is made of.

Guarantee: a page that has applied the fragments up to a position shows the same as a fresh page. Events within GATHER
seconds are sent together, and of each fragment only the last version: a busy task is not sent ten times in a row.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from fastapi import Request
from fastapi.responses import StreamingResponse
from markupsafe import Markup

from foundry.api.context import foundry_of
from foundry.api.realtime import STILL_HERE, event_lines, event_stream
from foundry.api.subscription import POSITION, Subscriber, TopicEvent, TopicItem, TopicResync, TopicSnapshot
from foundry.contracts.errors import BadInput, Forbidden, FoundryError, NotFound
from foundry.contracts.github_access import SingleSignOnNeeded
from foundry.contracts.github_state import NotInstalled

GATHER = 0.03  # seconds; events within this time are sent together
QUEUED = 512  # items queued for a slow browser; beyond that its topics wait, and may need a fresh snapshot

Fragments = Iterable[tuple[str, Markup]]
"""Fragments with their names. A later fragment replaces earlier ones of the same name."""


class Leave(Exception):
    """The page must be reloaded because its subject has changed too much."""


class Part(Protocol):
    """The part of a page that shows one topic."""

    @property
    def subscriber(self) -> Subscriber: ...

    async def begun(self, beginning: TopicSnapshot) -> Fragments:
        """Return all fragments of this part, from a fresh snapshot."""
        ...

    async def happened(self, event: TopicEvent) -> Fragments:
        """Return the fragments that one event changes."""
        ...


class Show(Protocol):
    """A live page."""

    def parts(self) -> AsyncIterator[Part]:
        """Yield the page's current parts. Called again after each event, because a new part may appear."""
        ...


@dataclass(frozen=True, slots=True)
class _Said:
    part: Part
    told: TopicItem


@dataclass(frozen=True, slots=True)
class _Over:
    """A part has ended. The reason is None if the server stops."""

    part: Part
    reason: BaseException | None


class Live:
    """The live stream of one page for one person."""

    def __init__(self, show: Show, have: Mapping[str, str]) -> None:
        self._show = show
        self._have = dict(have)
        self._queue: asyncio.Queue[_Said | _Over] = asyncio.Queue(QUEUED)
        self._followed: dict[str, tuple[Part, asyncio.Task[None]]] = {}

    async def lines(self) -> AsyncGenerator[str]:
        """Yield the lines of the event stream."""
        yield event_lines("clock", str(int(time.time() * 1000)))
        try:
            await self._open()
            while True:
                said = [await self._queue.get()]
                if isinstance(said[0], _Said) and isinstance(said[0].told, TopicEvent | TopicSnapshot):
                    await asyncio.sleep(GATHER)
                while not self._queue.empty():
                    said.append(self._queue.get_nowait())
                fragments = await self._fragments(said)
                if fragments is None:
                    return
                if fragments:
                    yield event_lines("fragments", "".join(fragments), versions(self._have))
                else:
                    yield STILL_HERE
        except Leave:
            yield event_lines("leave", "")
        except (NotFound, Forbidden, NotInstalled, SingleSignOnNeeded):
            yield event_lines("leave", "access")
        except FoundryError as error:
            if not error.transient:  # after a transient error the browser reconnects automatically
                yield event_lines("leave", "")
        finally:
            pumps = [pump for _, pump in self._followed.values()]
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _fragments(self, said: Iterable[_Said | _Over]) -> list[Markup] | None:
        """Return the fragments for these items, or None if the server stops."""
        found: dict[str, Markup] = {}
        for one in said:
            topic = one.part.subscriber.topic
            if self._followed[topic][0] is not one.part:
                continue  # another part has replaced it
            if isinstance(one, _Over):
                if one.reason is not None:
                    raise one.reason
                return None
            match one.told:
                case TopicSnapshot(_, position):
                    new = await one.part.begun(one.told)
                case TopicEvent(_, _, position):
                    new = await one.part.happened(one.told)
                case _:
                    continue
            for name, fragment in new:
                found.pop(name, None)
                found[name] = fragment
            self._have[topic] = position
        if found:
            await self._open()
        return list(found.values())

    async def _open(self) -> None:
        """Subscribe to each new part's topic. A part that replaced another one starts with a snapshot."""
        async for part in self._show.parts():
            topic = part.subscriber.topic
            known = self._followed.get(topic)
            if known is not None and known[0] is part:
                continue
            if known is not None:
                known[1].cancel()
                self._have.pop(topic, None)
            self._followed[topic] = part, asyncio.create_task(self._pump(part))

    async def _pump(self, part: Part) -> None:
        reason: BaseException | None = None
        try:
            async with contextlib.aclosing(part.subscriber.items(self._have.get(part.subscriber.topic))) as telling:
                async for told in telling:
                    if not isinstance(told, TopicResync):
                        await self._queue.put(_Said(part, told))
        except Exception as error:
            reason = error
        await self._queue.put(_Over(part, reason))


def stream(request: Request, name: str, show: Show, have: str) -> StreamingResponse:
    """Return the response that streams a page's changes.

    Args:
        name: the kind of page, for the metrics.
        have: the positions that the page shows, in the format of `versions`.

    Raises:
        BadInput: `have` has another format.
    """
    return event_stream(foundry_of(request), name, Live(show, positions(have)).lines())


def versions(positions: Mapping[str, str]) -> str:
    """Format each topic's position for the page and for the stream's event ids."""
    return ",".join(f"{topic}:{position}" for topic, position in sorted(positions.items()))


def positions(have: str) -> dict[str, str]:
    """Parse the format of `versions`.

    Raises:
        BadInput: the text has another format.
    """
    found: dict[str, str] = {}
    for one in have.split(",") if have else ():
        topic, _, position = one.partition(":")
        if not topic or not POSITION.match(position):
            raise BadInput(f"{one!r} is not a topic position", field="have", remedy="Reload the page.")
        found[topic] = position
    return found
