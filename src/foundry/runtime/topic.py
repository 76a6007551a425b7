"""Topic: what a client watches. A snapshot with its version, then events with higher versions.

Guarantee: snapshot + the events after it = a fresh snapshot. Events are rows before anybody is told of them. What is
fanned out after a commit is passed on at once if it follows directly on what the watcher has; else (another replica
published in between, or the watcher began at an older version) the rows after what it has are read instead. So the
order in which commits are heard of does not matter, nor whether all of them are. A subscriber that is too slow, or
whose events are no longer there, is told to take a fresh snapshot; it never misses something silently.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection, select

from foundry.contracts.messages import Address
from foundry.runtime.async_tools import Looks
from foundry.runtime.reader import Reader
from foundry.runtime.store.base import Store
from foundry.runtime.store.tables import actors

QUEUE = 4096  # events a slow subscriber may lag behind before it has to take a fresh snapshot
KEEP_EVENTS = 10_000  # a topic's catch-up: at most so many,
KEEP_HOURS = 1  # and at most so old
TOPICS_AT_ONCE = 200  # of which one read looks for news


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
        self.version: int | None = None  # all up to it was passed on or is queued; None: the watcher has yet to say
        self.lost = False  # it has to take a fresh snapshot
        self._queue: deque[Published] = deque()
        self._ahead: deque[Published] = deque(maxlen=QUEUE)  # came early: something before them is missing
        self._wake = asyncio.Event()

    def push(self, events: Iterable[Published]) -> bool:
        """Take what was just committed; False if something before it is missing, so that the rows must be read."""
        if self.lost:
            return True
        self._ahead.extend(events)
        return self._advance()

    def fill(self, events: Iterable[Published], upto: int, *, gaps: bool) -> None:
        """Take all rows that there are up to a version.

        Args:
            gaps: rows of this topic are replaced by later ones, so that some may rightly be absent.
        """
        for event in events:
            if self.lost or self.version is None:
                return
            if event.version == self.version + 1 or (gaps and event.version > self.version):
                self._queued(event)
            elif event.version > self.version:
                self.resync()  # some are no longer there
        if self.version is not None and upto > self.version:
            self.version = upto
            if not gaps:
                self.resync()
        self._advance()

    def _advance(self) -> bool:
        if self.version is None:
            return True
        while self._ahead and self._ahead[0].version <= self.version + 1:
            event = self._ahead.popleft()
            if event.version > self.version:
                self._queued(event)
        return not self._ahead

    def _queued(self, event: Published) -> None:
        if len(self._queue) == QUEUE:
            self.resync()
        else:
            self._queue.append(event)
            self._wake.set()
        self.version = event.version

    def resync(self) -> None:
        """Make the watcher take a fresh snapshot, for instance because what it may see has changed."""
        self.lost = True
        self._wake.set()

    async def events(self, after: int) -> AsyncIterator[Published]:
        """What comes after this version, in order, each once.

        Raises:
            Resync: events were missed; take a fresh snapshot and subscribe again.
        """
        self.version = after
        self._advance()
        self._hub.look([self.address])  # what other replicas have published since then
        while True:
            while self._queue and not self.lost:
                yield self._queue.popleft()
            if self.lost:
                raise Resync(f"the watcher of {self.address} has to take a fresh snapshot")
            self._wake.clear()
            await self._wake.wait()

    def close(self) -> None:
        self._hub.forget(self)


class Hub:
    """Who watches what in this process. Used on the loop only.

    Args:
        kept: actor kinds whose events are replaced and never purged.
        sweep: seconds between looks at all watched topics; None: no other process publishes.
    """

    def __init__(self, store: Store, kept: Collection[str], sweep: float | None) -> None:
        self._store = store
        self._kept = frozenset(kept)
        self._looks: Looks[Address] = Looks(sweep)
        self._watchers: dict[Address, set[Subscription]] = defaultdict(set)

    def subscribe(self, address: Address) -> Subscription:
        """Start to collect events. Read the snapshot afterwards, so that no event falls between the two."""
        subscription = Subscription(self, address)
        self._watchers[address].add(subscription)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        watchers = self._watchers.get(subscription.address)
        if watchers is not None:
            watchers.discard(subscription)
            if not watchers:
                del self._watchers[subscription.address]

    def publish(self, address: Address, events: Sequence[Published]) -> None:
        """Fan out what was committed here."""
        complete = [subscription.push(events) for subscription in self._watchers.get(address, ())]
        if not all(complete):
            self._looks.name([address])

    def look(self, addresses: Iterable[Address]) -> None:
        """Another replica may have published on these topics."""
        self._looks.name(address for address in addresses if address in self._watchers)

    def look_at_all(self) -> None:
        """Other replicas may have published on any topic."""
        self._looks.all()

    async def run(self) -> None:
        """Read the rows that no fan-out of this process brought."""
        self._looks.all()
        while True:
            named = await self._looks.next()
            addresses = list(self._watchers if named is None else named)
            for first in range(0, len(addresses), TOPICS_AT_ONCE):
                await self._catch_up(addresses[first : first + TOPICS_AT_ONCE])

    async def _catch_up(self, addresses: Iterable[Address]) -> None:
        while behind := {a: version for a in addresses if (version := self._least(a)) is not None}:
            found = await asyncio.to_thread(self._store.read, partial(_news, behind))
            for address, news in found.items():
                for subscription in list(self._watchers.get(address, ())):
                    subscription.fill(news.events, news.upto, gaps=address.kind in self._kept)
            addresses = [address for address, news in found.items() if not news.whole]

    def _least(self, address: Address) -> int | None:
        """The version that the watcher who is furthest behind has; None if nobody can be told anything."""
        watchers = self._watchers.get(address, ())
        return min((w.version for w in watchers if w.version is not None and not w.lost), default=None)


@dataclass(frozen=True, slots=True)
class _News:
    """The rows of one topic above a version."""

    events: list[Published]
    upto: int  # the version they reach
    whole: bool  # there are no later ones


def _news(behind: dict[Address, int], connection: Connection) -> dict[Address, _News]:
    """What the topics have above these versions, of those that have anything."""
    reader = Reader(connection)
    query = select(actors.c.actor, actors.c.version).where(actors.c.actor.in_([str(address) for address in behind]))
    found: dict[Address, _News] = {}
    for actor, version in reader.all(query):
        address = Address.parse(actor)
        if version > behind[address]:
            rows = reader.events(address, after=behind[address], limit=QUEUE + 1)
            events = [Published(r.version, r.word, r.entity, r.body, r.repository, r.person) for r in rows]
            whole = len(events) <= QUEUE
            found[address] = _News(events, version if whole else events[-1].version, whole)
    return found
