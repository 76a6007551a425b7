"""Topic: what a client watches. A snapshot with its version, then events with higher versions.

Guarantee: snapshot + the events after it = a fresh snapshot. Events are rows before anybody is told of them; the
fan-out after a commit (and NOTIFY from other replicas) is only a faster way to the same rows. A subscriber that is
too slow, or whose version is too old, is told to take a fresh snapshot; it never misses something silently.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from foundry.contracts.words import Address

QUEUE = 4096  # events a slow subscriber may lag behind before it has to take a fresh snapshot
KEEP_EVENTS = 10_000  # a topic's catch-up: at most so many,
KEEP_HOURS = 1  # and at most so old


@dataclass(frozen=True, slots=True)
class Published:
    """One event as it goes to a watcher; `body` is its JSON."""

    version: int
    word: str
    entity: str
    body: str
    repository: str | None
    person: str | None


class Resync(Exception):
    """The watcher has to take a fresh snapshot."""


class Subscription:
    """The events of one topic after a version, for one watcher."""

    def __init__(self, hub: Hub, address: Address) -> None:
        self._hub = hub
        self.address = address
        self._queue: deque[Published] = deque()
        self._wake = asyncio.Event()
        self._lost = False
        self.version = 0

    def push(self, events: Sequence[Published]) -> None:
        if len(self._queue) + len(events) > QUEUE:
            self._lost = True
        else:
            self._queue.extend(events)
        self._wake.set()

    def resync(self) -> None:
        """Make the watcher take a fresh snapshot, for instance because what it may see has changed."""
        self._lost = True
        self._wake.set()

    async def events(self, after: int) -> AsyncIterator[Published]:
        """What comes after this version, in order, each once.

        Raises:
            Resync: events were missed; take a fresh snapshot and subscribe anew.
        """
        self.version = after
        while True:
            while self._queue and not self._lost:
                event = self._queue.popleft()
                if event.version > self.version:
                    self.version = event.version
                    yield event
            if self._lost:
                raise Resync(f"the watcher of {self.address} has to take a fresh snapshot")
            self._wake.clear()
            await self._wake.wait()

    def close(self) -> None:
        self._hub.forget(self)


class Hub:
    """Who watches what in this process. Used on the loop only."""

    def __init__(self) -> None:
        self._watchers: dict[Address, set[Subscription]] = defaultdict(set)
        self._seen: dict[Address, int] = {}
        self._listeners: list[Callable[[Address, Sequence[Published]], None]] = []

    def subscribe(self, address: Address) -> Subscription:
        """Begin to collect events; read the snapshot afterwards, so that none falls between the two."""
        subscription = Subscription(self, address)
        self._watchers[address].add(subscription)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        watchers = self._watchers.get(subscription.address)
        if watchers is not None:
            watchers.discard(subscription)
            if not watchers:
                del self._watchers[subscription.address]
                self._seen.pop(subscription.address, None)

    def listen(self, listener: Callable[[Address, Sequence[Published]], None]) -> None:
        """Be told of every event of every topic that is fanned out here."""
        self._listeners.append(listener)

    def publish(self, address: Address, events: Sequence[Published]) -> None:
        """Fan out what was committed. Repeats are harmless: a subscription passes each version once."""
        for listener in self._listeners:
            listener(address, events)
        watchers = self._watchers.get(address)
        if watchers:
            self._seen[address] = max(self._seen.get(address, 0), events[-1].version)
            for subscription in list(watchers):
                subscription.push(events)

    def watched(self) -> dict[Address, int]:
        """The topics somebody watches here, with the highest version fanned out so far."""
        return {address: self._seen.get(address, 0) for address in self._watchers}
