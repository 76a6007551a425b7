"""The worker that reads one agent's stream: it reads into memory at once, and stores in batches.

Guarantee: everything it has read is sent to TaskSession in order, under the lease. What was not stored when it stops
is read again after the stored cursor. A store that does not keep up costs memory, not events: sandbox-agent silently
drops events for a reader that stalls, and keeps only the last 1,024 for one that was away. The memory is bounded by
`ROOM`; beyond it the newest events are dropped. At a jump in ids the worker first asks the recorder in the sandbox
(`gap_recovery.py`). TaskSession shows what the recorder does not have either as a gap.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import aclosing
from typing import TypeVar

import structlog

from foundry.actors.session_status_sync.gap_recovery import keep_recording, recorded
from foundry.actors.session_status_sync.times import StreamTimes
from foundry.actors.session_status_sync.views import Stream, stream_of, wanted
from foundry.contracts import addresses
from foundry.contracts.errors import FoundryError, NotFound, Unavailable
from foundry.contracts.ids import SessionId
from foundry.contracts.messages import Command
from foundry.contracts.sandbox_provider import AcpServerGone
from foundry.contracts.session_stream import Ingest, StreamBack, StreamItem, StreamLost
from foundry.runtime.async_tools import woken
from foundry.runtime.worker.supervisor import Job, WorkerKind

R = TypeVar("R")

BATCH = 256  # items a turn
LATENCY = 0.05  # seconds an item waits for others to share its turn
ROOM = 20_000  # items in memory
BACKOFF = (0.2, 0.5, 1.0, 2.0, 5.0)  # seconds before the next connection
SETTLED = 2.0  # seconds a connection must last to count as one
LOOK = 10.0  # seconds between checks that this stream is still the one to read
AWAY = 1.0  # seconds between tries while our own database is away

log = structlog.get_logger("foundry.session")


def reader(times: StreamTimes) -> WorkerKind:
    """The worker that reads the streams of all sessions."""

    async def run(job: Job) -> None:
        await follow(job, times)

    return WorkerKind("SessionStatusSync", wanted, run)


async def follow(job: Job, times: StreamTimes) -> None:
    """Read this session's current stream, until none is wanted."""
    me = addresses.session(SessionId(job.key))
    misses = 0
    while True:
        target = await job.read(stream_of, job.key)
        if target is None:
            return
        try:
            cursor = await job.ask(me, Ingest(server_id=target.server_id, items=[]))
        except NotFound:
            return
        if cursor >= 0:
            misses = 0
            await Follower(job, target, cursor, times).run()
        else:  # the session has another server already; its message is on the way
            await asyncio.sleep(BACKOFF[min(misses, len(BACKOFF) - 1)])
            misses += 1


class Follower:
    """One server's stream, from the cursor on."""

    def __init__(self, job: Job, target: Stream, cursor: int, times: StreamTimes) -> None:
        self._job = job
        self._times = times
        self._target = target
        self._session = addresses.session(SessionId(job.key))
        self._read_up_to = cursor
        self._stored = cursor
        self._items: deque[StreamItem] = deque()
        self._given_up = 0
        self._wake = asyncio.Event()
        self._gone: str | None = None  # the server will not come back, and why
        self._away: str | None = None  # no answer for long, and why
        self._said_away = False
        self._down_since: float | None = None

    async def run(self) -> None:
        """Read until the server is gone or another stream is to be read."""
        reading = asyncio.create_task(self._read(), name=f"stream of {self._job.key}")
        reading.add_done_callback(lambda _: self._wake.set())
        recording = asyncio.create_task(keep_recording(self._job.doors.agents, self._target, self._times))
        try:
            await self._store(reading)
        finally:
            reading.cancel()
            recording.cancel()
            await asyncio.gather(reading, recording, return_exceptions=True)

    # reading

    async def _read(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            settled = asyncio.get_running_loop().call_later(SETTLED, self._up)
            try:
                stream = self._job.doors.agents.stream(
                    self._target.sandbox, self._target.server_id, after=self._read_up_to
                )
                async for item in stream:
                    self._take(item)
                reason = "the stream ended"
            except AcpServerGone as error:
                self._gone = error.detail
                self._wake.set()
                return
            except FoundryError as error:
                reason = error.detail
            except Exception as error:  # e.g. the client was closed as the sandbox was started again
                log.warning("an agent's stream broke", session=self._job.key, exc_info=True)
                reason = f"{type(error).__name__}: {error}"
            finally:
                settled.cancel()
            now = time.monotonic()
            failures = 0 if now - began > SETTLED else failures
            if self._down_since is None:
                self._down_since = now
            if now - self._down_since >= self._times.lost_after:
                self._away = reason
                self._wake.set()
            await asyncio.sleep(BACKOFF[min(failures, len(BACKOFF) - 1)])
            failures += 1

    def _take(self, item: StreamItem) -> None:
        self._up()
        self._read_up_to = max(self._read_up_to, item.event_id)
        if len(self._items) >= ROOM:
            self._given_up += 1
            if self._given_up == 1:
                log.warning("the store does not keep up with an agent's stream", session=self._job.key)
            return
        self._items.append(item)
        self._wake.set()

    def _up(self) -> None:
        self._down_since, self._away = None, None
        if self._said_away:
            self._wake.set()

    # storing

    async def _store(self, reading: asyncio.Task[None]) -> None:
        while True:
            if not await woken(self._wake, LOOK) and await self._job.read(stream_of, self._job.key) != self._target:
                return
            self._wake.clear()
            if reading.done() and not reading.cancelled() and (error := reading.exception()):
                raise error
            if self._items:
                if len(self._items) < BATCH:
                    await asyncio.sleep(LATENCY)
                if await self._ingest() < 0:
                    return
            elif self._gone is not None:
                if await self._fill(None) < 0:
                    return
                await self._tell(StreamLost(server_id=self._target.server_id, message=self._gone))
                return
            elif self._away is not None and not self._said_away:
                self._said_away = True
                await self._tell(StreamLost(server_id=self._target.server_id, message=self._away, gone=False))
            elif self._said_away and self._down_since is None:
                self._said_away = False
                await self._tell(StreamBack(server_id=self._target.server_id))
            if self._items or self._gone is not None:
                self._wake.set()

    async def _ingest(self) -> int:
        """1. Store what is missing before the next item. 2. Store a batch, up to the next jump. -1: this server's
        stream is no longer wanted."""
        if self._items[0].event_id > self._stored + 1 and await self._fill(self._items[0].event_id) < 0:
            return -1
        batch = [self._items.popleft()]
        while self._items and len(batch) < BATCH and self._items[0].event_id <= batch[-1].event_id + 1:
            batch.append(self._items.popleft())
        if not self._items:
            self._given_up = 0
        return await self._put(batch)

    async def _fill(self, before: int | None) -> int:
        """Store what the recorder has after the cursor and before this id; -1 as above."""
        batch: list[StreamItem] = []
        async with aclosing(recorded(self._job.doors.agents, self._target, self._stored, before, self._times)) as items:
            async for item in items:
                batch.append(item)
                if len(batch) == BATCH:
                    if await self._put(batch) < 0:
                        return -1
                    batch = []
        return await self._put(batch)

    async def _put(self, batch: list[StreamItem]) -> int:
        """Store a batch; return the cursor after it, or -1 as above."""
        if batch:
            self._said_away = False  # items say as much as `StreamBack`
            cursor = await self._ask(Ingest(server_id=self._target.server_id, items=batch))
            if cursor < 0:
                return -1
            self._stored = cursor
        return self._stored

    async def _tell(self, command: StreamLost | StreamBack) -> None:
        await self._ask(command)

    async def _ask(self, command: Command[R]) -> R:
        while True:
            try:
                return await self._job.ask(self._session, command)
            except Unavailable:  # the reader goes on meanwhile
                await asyncio.sleep(AWAY)
