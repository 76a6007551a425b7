"""`/api/realtime`: one topic as server-sent events: a snapshot with its version, then every later event.

Guarantee: snapshot + the events after it = a fresh snapshot, as far as this person may see. Access is checked when
the stream begins, at least every 60 s, and at once when GitHub says that it has changed; a change of what the person
may see gives `resync` and a fresh snapshot, losing all of it gives `closed` and the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from foundry.api import access, issues, snapshots
from foundry.api.auth import Me, Signed, find_me
from foundry.api.context import foundry_of
from foundry.api.problems import problem
from foundry.api.snapshots import Visible
from foundry.contracts import addresses
from foundry.contracts.errors import BadInput, FoundryError, NotFound, NotSignedIn
from foundry.contracts.github_state import AccessChanged
from foundry.contracts.ids import OrganizationId
from foundry.contracts.people import InstallationsChanged, IssuesChanged, RepositoriesChanged, RepositoryRef
from foundry.contracts.words import APP, Address, ScopeId, Word
from foundry.runtime.topic import Published, Resync, Subscription

KEEP_ALIVE = 15.0  # seconds
CHECK = 60.0  # seconds between checks that the person may still see it
RETRY = 1_000  # milliseconds before a browser connects again
TOPICS = ("app", "organization", "pull_requests", "repository", "task", "session", "sandbox")
POSITION = re.compile(r"^(\d{1,15})(?:-([0-9a-f]{8}))?$")

router = APIRouter(tags=["realtime"])


@router.get("/api/realtime", response_class=StreamingResponse)
async def realtime(
    request: Request,
    who: Signed,
    topic: Annotated[str, Query(description=f"one of: {', '.join(TOPICS)}")],
    id: Annotated[str, Query(max_length=100, description="whose topic it is; app has none")] = "",
    after: Annotated[str | None, Query(description="the id of the last event seen: catch up from there")] = None,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID", description="the same")] = None,
) -> StreamingResponse:
    """Watch a topic: `snapshot` first, unless catching up is possible; then each event under its own name."""
    if topic not in TOPICS:
        raise BadInput(f"{topic!r} is no topic", field="topic", remedy=f"Choose one of: {', '.join(TOPICS)}.")
    if after is not None and not POSITION.match(after):
        raise BadInput(f"{after!r} is the id of no event", field="after", remedy="Leave it out for a fresh snapshot.")
    stream = Stream(request, who, topic, id, last_event_id or after)
    await stream.look()
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream.lines(), media_type="text/event-stream", headers=headers)


@dataclass(frozen=True)
class Sight:
    """What of a topic a person may see."""

    address: Address
    organization: OrganizationId | None = None  # whose changes of access matter
    repository: RepositoryRef | None = None  # the one that all of the topic is about
    repositories: Visible | None = None  # the ones that may be seen, where the topic is about several

    @property
    def mark(self) -> str:
        """Goes into event ids where it decides what a person was sent: with another one nothing can be caught up."""
        if self.repositories is None:
            return ""
        return "-" + hashlib.sha256(",".join(sorted(self.repositories)).encode()).hexdigest()[:8]


class Stream:
    """One person's watch on one topic."""

    def __init__(self, request: Request, who: Me, topic: str, id: str, position: str | None) -> None:
        self._request, self._who, self._topic, self._id = request, who, topic, id
        self._foundry = foundry_of(request)
        self._runtime = self._foundry.runtime
        self._position = position

    async def look(self) -> Sight:
        """What the person may see now.

        Raises:
            FoundryError: nothing of it.
        """
        self._sight = await self._look()
        return self._sight

    async def _look(self) -> Sight:
        request, who, id = self._request, self._who, self._id
        match self._topic:
            case "app":
                seen = await access.seen_organizations(self._foundry, who)
                return Sight(addresses.app_shell(), repositories=frozenset(one.id for one in seen))
            case "organization" | "pull_requests":
                found = await access.organization(self._foundry, who, id)
                organization, visible = OrganizationId(id), frozenset(one.id for one in found)
                whole = self._topic == "organization"
                address = addresses.organization(organization) if whole else addresses.github(organization)
                return Sight(address, organization, repositories=visible)
            case "repository":
                one = await access.repository_of(request, who, id)
                return Sight(addresses.repository(one.id), one.organization, one)
            case "task":
                task = await access.task_of(request, who, id)
                return Sight(addresses.task(task.id), task.repository.organization, task.repository)
            case "session":
                session = await access.session_of(request, who, id)
                return Sight(addresses.session(session.id), session.repository.organization, session.repository)
            case _:
                sandbox = await access.sandbox_of(request, who, id)
                task = await access.task_of(request, who, sandbox.task)
                return Sight(addresses.sandbox(sandbox.id), task.repository.organization, task.repository)

    async def lines(self) -> AsyncGenerator[str]:
        """What goes over the wire."""
        yield f"retry: {RETRY}\n\n"
        open_streams = self._foundry.metrics.streams.labels(self._topic)
        open_streams.inc()
        position = self._position
        try:
            while not self._foundry.closing.is_set():
                subscription = self._runtime.hub.subscribe(self._sight.address)
                guard = asyncio.create_task(self._watch_access(subscription))
                try:
                    async with contextlib.aclosing(self._follow(subscription, position)) as following:
                        async for line in following:
                            yield line
                except Resync:
                    yield _line("resync", "{}")
                    position = None
                finally:
                    guard.cancel()
                    subscription.close()
        except FoundryError as error:
            yield _line("closed", problem(error).model_dump_json())
        finally:
            open_streams.dec()

    async def _follow(self, subscription: Subscription, position: str | None) -> AsyncGenerator[str]:
        """1. What was missed, or a snapshot. 2. What comes. 3. Now and then: may it still be seen?"""
        sight = await self.look()
        version, rows = await self._missed(sight, position)
        if rows is None:
            snapshot = await self._snapshot(sight)
            version = snapshot.version
            yield _line("snapshot", snapshot.model_dump_json(), f"{version}{sight.mark}")
        for row in rows or ():
            version = row.version
            event = Published(row.version, row.word, row.entity, row.body, row.repository, row.person)
            if (body := await self._shown(sight, event)) is not None:
                yield _line(event.word, body, f"{version}{sight.mark}")

        loop = asyncio.get_running_loop()
        checked = loop.time()
        events = subscription.events(version)
        coming = asyncio.ensure_future(anext(events))
        closing = asyncio.ensure_future(self._foundry.closing.wait())
        try:
            while True:
                timeout = min(KEEP_ALIVE, max(0.0, checked + CHECK - loop.time()))
                await asyncio.wait({coming, closing}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                if closing.done():
                    return
                if loop.time() - checked >= CHECK:
                    await self._still(sight)
                    checked = loop.time()
                if not coming.done():
                    yield ": still here\n\n"
                    continue
                event = coming.result()
                coming = asyncio.ensure_future(anext(events))
                if (body := await self._shown(sight, event)) is not None:
                    yield _line(event.word, body, f"{event.version}{sight.mark}")
        finally:
            for waiting in (coming, closing):
                waiting.cancel()
            await asyncio.gather(coming, closing, return_exceptions=True)

    async def _still(self, sight: Sight) -> None:
        """Check again who asks and what they may see.

        Raises:
            FoundryError: it is over.
            Resync: they may see something else than before.
        """
        if await find_me(self._request) is None:
            raise NotSignedIn("you are no longer signed in")
        if (await self.look()).mark != sight.mark:
            raise Resync("what may be seen has changed")

    async def _watch_access(self, subscription: Subscription) -> None:
        """Make the stream look again as soon as GitHub says that access has changed."""
        sight, login = self._sight, self._who.person.login.lower()
        if sight.organization is None:
            return
        watched = addresses.github(sight.organization)
        changes = self._runtime.hub.subscribe(watched)
        try:
            async for event in changes.events(await self._runtime.read(lambda reader: reader.version(watched))):
                if event.word == AccessChanged.__name__:
                    changed = AccessChanged.model_validate_json(event.body)
                    mine = changed.login is None or changed.login.lower() == login
                    there = sight.repository and sight.repository.id
                    here = None in (changed.repository, there) or changed.repository == there
                    if mine and here:
                        subscription.resync()
        except Resync:
            subscription.resync()
        except NotFound:
            return  # the App was never there: nobody's access changes
        finally:
            changes.close()

    async def _missed(self, sight: Sight, position: str | None) -> tuple[int, Sequence[snapshots.AnyRow] | None]:
        """The events since this position; None if they cannot all be had, or the person saw other things then."""
        found = POSITION.match(position or "")
        if found is None or (sight.mark and f"-{found[2]}" != sight.mark):
            return 0, None
        after = int(found[1])
        return after, await self._runtime.read(snapshots.missed, sight.address, after)

    async def _snapshot(self, sight: Sight) -> snapshots.Snapshot:
        """All of the topic that the person may see. Issues are read last: what changes them later is an event too."""
        read, key = self._runtime.read, sight.address.key
        match self._topic:
            case "app":
                seen = await access.seen_organizations(self._foundry, self._who)
                found = await read(snapshots.of_app, seen)
                return found.model_copy(update={"issues": await issues.visible(self._foundry, self._who, APP)})
            case "organization":
                found = await read(snapshots.of_organization, key, sight.repositories)
                troubles = await issues.visible(self._foundry, self._who, ScopeId(key))
                return found.model_copy(update={"issues": troubles})
            case "pull_requests":
                return await read(snapshots.of_pull_requests, key, sight.repositories)
            case "repository":
                return await read(snapshots.of_repository, key)
            case "task":
                return await read(snapshots.of_task, key)
            case "session":
                return await read(snapshots.of_session, key, self._who.person.id)
            case _:
                return await read(snapshots.of_sandbox, key)

    async def _shown(self, sight: Sight, event: Published) -> str | None:
        """The event as this person may see it; None: not at all.

        Raises:
            Resync: it changes what may be seen.
        """
        if event.person is not None and event.person != self._who.person.id:
            return None
        visible = sight.repositories
        match event.word:
            case "AccessChanged":
                return None
            case "IssuesChanged":
                scope = APP if self._topic == "app" else ScopeId(sight.address.key)
                troubles = await issues.visible(self._foundry, self._who, scope)
                return _again(event, IssuesChanged(entity=event.entity, issues=troubles))
            case "RepositoriesChanged" if visible is not None:
                await self._same(sight)
                known = RepositoriesChanged.model_validate_json(event.body)
                shown = [one for one in known.repositories if one.id in visible]
                return _again(event, known.model_copy(update={"repositories": shown}))
            case "InstallationsChanged" if visible is not None:
                await self._same(sight)
                installed = InstallationsChanged.model_validate_json(event.body)
                shown = [one for one in installed.installations if one.organization in visible]
                return _again(event, installed.model_copy(update={"installations": shown}))
            case _ if event.repository is not None and visible is not None and event.repository not in visible:
                return None
            case _:
                return event.body

    async def _same(self, sight: Sight) -> None:
        if (await self.look()).mark != sight.mark:
            raise Resync("what may be seen has changed")


def _again(event: Published, word: Word) -> str:
    """The event's body with another content."""
    return json.dumps({**json.loads(event.body), **word.model_dump(mode="json")})


def _line(name: str, data: str, id: str | None = None) -> str:
    head = f"id: {id}\n" if id else ""
    return f"{head}event: {name}\ndata: {data}\n\n"
