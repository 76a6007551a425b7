"""One person's subscription to one topic: a snapshot, then every later event that this person may see.

Guarantee: a snapshot plus the events after it equals a fresh snapshot. Access is checked when the subscription starts,
at least every 60 s, and at once when GitHub reports a change. If the person may now see other things, the subscription
sends `TopicResync` and then a fresh snapshot. If the person may see nothing, or their app session or token has ended
(`sign_outs.py`), it ends with the reason.

`/api/realtime` sends this to programs unchanged; the pages turn it into fragments.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from fastapi import Request

from foundry.api import access, issues, sign_outs, snapshots
from foundry.api.auth import Me
from foundry.api.context import foundry_of
from foundry.api.sees import Sees, shown_to
from foundry.api.snapshots import Snapshot, Visible
from foundry.contracts import addresses
from foundry.contracts.app_shell import InstallationsChanged
from foundry.contracts.errors import NotFound
from foundry.contracts.github_access import AccessChanged, AccessState
from foundry.contracts.ids import OrganizationId, RepositoryId, SandboxId, SessionId, TaskId
from foundry.contracts.messages import APP, Address, Model, ScopeId
from foundry.contracts.organization import IssuesChanged, OrganizationChanged, RepositoriesChanged
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.sandbox_instance import SandboxChanged
from foundry.contracts.task import TaskChanged
from foundry.contracts.task_session import SessionChanged
from foundry.runtime.topic import Published, Resync, Subscription

POSITION = re.compile(r"^(\d{1,15})(?:-([0-9a-f]{8}))?$")


@dataclass(frozen=True, slots=True)
class TopicSnapshot:
    """All of the topic that the person may see."""

    snapshot: Snapshot
    position: str


@dataclass(frozen=True, slots=True)
class TopicEvent:
    """One event; `body` is its JSON."""

    word: str
    body: str
    position: str


@dataclass(frozen=True, slots=True)
class TopicResync:
    """Events were missed, or the person's access has changed. A `TopicSnapshot` follows."""


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """A keep-alive: nothing has happened for a while."""


TopicItem = TopicSnapshot | TopicEvent | TopicResync | KeepAlive


@dataclass(frozen=True)
class Sight:
    """The part of a topic that a person may see."""

    address: Address
    organization: OrganizationId | None = None  # its access changes matter here
    repository: RepositoryRef | None = None  # the repository of the whole topic
    repositories: Visible | None = None  # the visible repositories, for a topic about several
    may_write: bool | None = None  # the person may change the repository; None: nobody asked
    state: AccessState = AccessState.LISTED  # how much of what the person may see is known

    @property
    def mark(self) -> str:
        """A short hash of the person's access, part of each position. After it changes, catching up is impossible."""
        if self.repositories is None and self.may_write is None:
            return ""
        partly = "" if self.state is AccessState.LISTED else self.state
        rights = f"{','.join(sorted(self.repositories or ()))} {self.may_write or ''}{partly}"
        return "-" + hashlib.sha256(rights.encode()).hexdigest()[:8]


class Subscriber:
    """One person's subscription to one topic.

    Args:
        topic: one of `foundry.api.access_table.TOPICS`.
        id: id of the topic's owner; `app` has none.
        writes: set if the display depends on write access. A change of write access then causes a resync.
    """

    def __init__(self, request: Request, who: Me, topic: str, id: str = "", *, writes: bool = False) -> None:
        self._request, self._who, self._topic, self._id, self._writes = request, who, topic, id, writes
        self._foundry = foundry_of(request)
        self._runtime = self._foundry.runtime

    @property
    def topic(self) -> str:
        return self._topic

    @property
    def may_write(self) -> bool:
        """True if the person may change what they see, as of the last check."""
        return self._sight.may_write is True

    async def look(self) -> Sight:
        """Check what the person may see now.

        Raises:
            FoundryError: the person may see nothing of the topic.
        """
        if self._topic == "session":
            await access.born(self._foundry, self._id)
        self._sight = await access.see(self._foundry, self._who, self._look)
        return self._sight

    def _look(self, sees: Sees) -> Sight:
        id = self._id
        match self._topic:
            case "app":
                return Sight(addresses.app_shell(), repositories=frozenset(one.id for one in sees.organizations()))
            case "organization" | "pull_requests":
                organization = sees.organization(id).id
                whole = self._topic == "organization"
                address = addresses.organization(organization) if whole else addresses.github(organization)
                state = sees.access_state(organization)
                return Sight(address, organization, repositories=sees.visible(organization), state=state)
            case "repository":
                one = sees.repository(id)
                return self._of(sees, addresses.repository(one.id), one)
            case "task":
                task = sees.task(id)
                return self._of(sees, addresses.task(task.id), task.repository)
            case "session":
                session = sees.session(id)
                return self._of(sees, addresses.session(session.id), session.repository)
            case _:
                sandbox = sees.sandbox(id)
                return self._of(sees, addresses.sandbox(sandbox.id), sees.task(sandbox.task).repository)

    def _of(self, sees: Sees, address: Address, repository: RepositoryRef) -> Sight:
        may_write = sees.writes(repository) if self._writes else None
        return Sight(address, repository.organization, repository, may_write=may_write)

    async def snapshot(self) -> TopicSnapshot:
        """Return the topic's current snapshot.

        Raises:
            FoundryError: the person may see nothing of the topic.
        """
        if self._topic == "session":
            await access.born(self._foundry, self._id)

        def begin(sees: Sees) -> tuple[Sight, Snapshot]:
            sight = self._look(sees)
            return sight, self._snapshot(sees, sight)

        self._sight, snapshot = await access.see(self._foundry, self._who, begin)
        return TopicSnapshot(snapshot, f"{snapshot.version}{self._sight.mark}")

    async def position(self) -> str:
        """Return the topic's current position. Anything read later includes at least every event up to it."""
        sight = await self.look()
        return f"{await self._runtime.read(lambda reader: reader.version(sight.address))}{sight.mark}"

    async def items(self, position: str | None = None) -> AsyncGenerator[TopicItem]:
        """Yield the events missed since this position, or a `TopicSnapshot`; then new events.

        Ends when the server stops.

        Raises:
            FoundryError: the person may no longer see the topic.
        """
        sight = await self.look()
        while not self._foundry.closing.is_set():
            subscription = self._runtime.hub.subscribe(sight.address)
            async with (
                self._access_watched(sight, subscription),
                sign_outs.watched(self._request, subscription.resync),
            ):
                try:
                    async with contextlib.aclosing(self._follow(subscription, position)) as following:
                        async for told in following:
                            yield told
                except Resync:
                    await sign_outs.still_signed_in(self._request)
                    yield TopicResync()
                    position = None
                finally:
                    subscription.close()

    async def _follow(self, subscription: Subscription, position: str | None) -> AsyncGenerator[TopicItem]:
        """1. Send the missed events, or a snapshot. 2. Send new events. 3. Check access again from time to time."""
        sight = await self.look()
        version, rows = await self._missed(sight, position)
        if rows is None:
            begun = await self.snapshot()
            if self._sight.mark != sight.mark:
                raise Resync("access has changed")
            version = begun.snapshot.version
            yield begun
        for row in rows or ():
            version = row.version
            event = Published(row.version, row.word, row.entity, row.body, row.repository, row.person)
            if (body := await self._shown(sight, event)) is not None:
                yield TopicEvent(event.word, body, f"{version}{sight.mark}")

        loop = asyncio.get_running_loop()
        checked = loop.time()
        events = subscription.events(version)
        coming = asyncio.ensure_future(anext(events))
        closing = asyncio.ensure_future(self._foundry.closing.wait())
        try:
            while True:
                every = self._foundry.access_every
                timeout = min(self._foundry.keep_alive, max(0.0, checked + every - loop.time()))
                await asyncio.wait({coming, closing}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                if closing.done():
                    return
                if loop.time() - checked >= every:
                    await self._still(sight)
                    checked = loop.time()
                if not coming.done():
                    yield KeepAlive()
                    continue
                event = coming.result()
                coming = asyncio.ensure_future(anext(events))
                if (body := await self._shown(sight, event)) is not None:
                    yield TopicEvent(event.word, body, f"{event.version}{sight.mark}")
        finally:
            for waiting in (coming, closing):
                waiting.cancel()
            await asyncio.gather(coming, closing, return_exceptions=True)

    async def _still(self, sight: Sight) -> None:
        """Check again that the person is signed in and what they may see.

        Raises:
            FoundryError: the person is signed out, or may see nothing of the topic.
            Resync: the person's access has changed.
        """
        await sign_outs.still_signed_in(self._request)
        if (await self.look()).mark != sight.mark:
            raise Resync("access has changed")

    @contextlib.asynccontextmanager
    async def _access_watched(self, sight: Sight, subscription: Subscription) -> AsyncGenerator[None]:
        """While this is open, check access again as soon as GitHub reports a change."""
        if sight.organization is None:
            yield
            return
        watched = [addresses.github(sight.organization), addresses.app_shell()]  # rights, and who reaches what
        if sight.repository is not None:  # its organization may stop to show its public work
            watched.append(addresses.organization(sight.organization))
        changes = [self._runtime.hub.subscribe(address) for address in watched]
        guards: list[asyncio.Task[None]] = []
        try:
            for address, changed in zip(watched, changes, strict=True):
                watching = self._watch_access(sight, changed, await self._version(address), subscription)
                guards.append(asyncio.create_task(watching))
            yield
        finally:
            for guard in guards:
                guard.cancel()
            for changed in changes:
                changed.close()

    async def _version(self, address: Address) -> int:
        try:
            return await self._runtime.read(lambda reader: reader.version(address))
        except NotFound:  # the App was never installed there, so nobody's access changes
            return 0

    async def _watch_access(
        self, sight: Sight, changes: Subscription, version: int, subscription: Subscription
    ) -> None:
        me, there = self._who.person.id, sight.repository and sight.repository.id
        try:
            async for event in changes.events(version):
                if event.word == OrganizationChanged.__name__ and event.entity == "organization":  # its own topic's
                    subscription.resync()
                elif event.word == AccessChanged.__name__:
                    here = None in (event.repository, there) or event.repository == there
                    if event.person in (None, me) and here:
                        subscription.resync()
        except Resync:
            subscription.resync()

    async def _missed(self, sight: Sight, position: str | None) -> tuple[int, Sequence[snapshots.AnyRow] | None]:
        """Return the events since this position, or None if some are gone or the person's access was different then."""
        found = POSITION.match(position or "")
        if found is None or (sight.mark and f"-{found[2]}" != sight.mark):
            return 0, None
        after = int(found[1])
        return after, await self._runtime.read(snapshots.missed, sight.address, after)

    def _snapshot(self, sees: Sees, sight: Sight) -> Snapshot:
        """All of the topic that the person may see."""
        reader, key = sees.reader, sight.address.key
        match self._topic:
            case "app":
                return snapshots.of_app(sees)
            case "organization":
                return snapshots.of_organization(sees, OrganizationId(key))
            case "pull_requests":
                return snapshots.of_pull_requests(sees, OrganizationId(key))
            case "repository":
                return snapshots.of_repository(reader, RepositoryId(key))
            case "task":
                return snapshots.of_task(reader, TaskId(key))
            case "session":
                return snapshots.of_session(reader, SessionId(key), self._who.person.id)
            case _:
                return snapshots.of_sandbox(sees, SandboxId(key))

    async def _shown(self, sight: Sight, event: Published) -> str | None:
        """Return the part of the event that this person may see, or None.

        Raises:
            Resync: the event changes what the person may see.
        """
        if event.person is not None and event.person != self._who.person.id:
            return None
        visible = sight.repositories
        match event.word:
            case "AccessChanged":
                if self._topic == "app":
                    await self._same(sight)
                return None
            case "CredentialsEnded":
                return None
            case "IssuesChanged":
                scope = APP if self._topic == "app" else ScopeId(sight.address.key)
                failures = await access.see(self._foundry, self._who, lambda sees: issues.visible(sees, scope))
                return _again(event, IssuesChanged(entity=event.entity, issues=failures))
            case "RepositoriesChanged" if visible is not None:
                await self._same(sight)
                known = RepositoriesChanged.model_validate_json(event.body)
                shown = [one for one in known.repositories if one.id in visible]
                return _again(event, known.model_copy(update={"repositories": shown}))
            case "InstallationsChanged" if visible is not None:
                await self._same(sight)
                installed = InstallationsChanged.model_validate_json(event.body)
                shown = [one for one in installed.installations if one.organization in visible]
                return _again(event, installed.model_copy(update={"installations": shown})) if shown else None
            case "OrganizationChanged" if visible is not None:
                await self._same(sight)  # it may show its public work, or no longer
                return event.body if self._topic != "app" or event.entity in visible else None
            case "SandboxChanged" if not self._who.admin:
                seen = SandboxChanged.model_validate_json(event.body)
                shown = shown_to(self._who, seen.sandbox)
                return _again(event, seen.model_copy(update={"sandbox": shown}))
            case "TaskChanged" if sight.repository is not None:
                changed = TaskChanged.model_validate_json(event.body)
                return _again(event, changed.model_copy(update={"task": changed.task.at(sight.repository)}))
            case "SessionChanged" if sight.repository is not None:
                moved = SessionChanged.model_validate_json(event.body)
                there = moved.session.model_copy(update={"repository": sight.repository})
                return _again(event, moved.model_copy(update={"session": there}))
            case _ if event.repository is not None and visible is not None and event.repository not in visible:
                return None
            case _:
                return event.body

    async def _same(self, sight: Sight) -> None:
        if (await self.look()).mark != sight.mark:
            raise Resync("access has changed")


def _again(event: Published, word: Model) -> str:
    """Return the JSON of the event with new content."""
    return json.dumps({**json.loads(event.body), **word.model_dump(mode="json")})
