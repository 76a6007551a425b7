"""Asks GitHub what people may do, and records its answers: the edge's only questions to GitHub (DESIGN section 6).

Each question is asked once at a time in this process, whoever waits for it. A listing can be used after its first page;
the other pages are read in the background.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

import structlog

from foundry.api.metrics import Metrics
from foundry.contracts import addresses
from foundry.contracts.doors import AccessDoor
from foundry.contracts.errors import FoundryError, Unavailable
from foundry.contracts.github_access import (
    EVERYBODY,
    BeginListing,
    LeaveListing,
    Place,
    Question,
    RecordAnswer,
    RecordListingPage,
    RecordReach,
    RefuseListing,
    Right,
    Role,
    SingleSignOnNeeded,
)
from foundry.contracts.github_payloads import GitHubBudget
from foundry.contracts.ids import OrganizationId, UserId
from foundry.runtime.async_tools import ended
from foundry.runtime.runtime import Runtime

WHOLE = 2.0  # seconds that a request waits for the other pages of a listing
PATIENCE = 5.0  # seconds that a request waits for GitHub; the question goes on in the background
REMEMBERED = 5.0  # seconds after a failure in which GitHub is not asked the same again
REMEMBERED_AT_MOST = 10_000  # questions
RENEW_AFTER = 60.0  # seconds after a failure in which a listing is not read again in the background

Key = tuple[UserId, str, str]

log = structlog.get_logger("foundry.api")


class AccessAsker:
    """Questions of one server to GitHub about people's access.

    Args:
        now: the edge's clock.
        patience: seconds that a request waits.
        remembered: seconds in which a failure answers the same question again.
    """

    def __init__(
        self,
        runtime: Runtime,
        door: AccessDoor,
        now: Callable[[], datetime],
        metrics: Metrics,
        *,
        patience: float = PATIENCE,
        remembered: float = REMEMBERED,
    ) -> None:
        self._runtime, self._door, self._now, self._metrics = runtime, door, now, metrics
        self._patience, self._remembered = patience, remembered
        self._running: dict[Key, asyncio.Task[bool]] = {}
        self._usable: dict[Key, asyncio.Event] = {}
        self._slow: set[Key] = set()  # questions that run, and for which somebody has waited long enough
        self._answered: dict[Key, float] = {}  # when, by the loop's clock
        self._failed: dict[Key, tuple[float, FoundryError]] = {}

    async def answer(self, question: Question, since: float = 0.0) -> bool:
        """Ask, and record the answer. Return False if another server is asking.

        Args:
            since: when the read began that needs the answer, by the loop's clock. If the question was answered after
                that, it is not asked again.

        Raises:
            FoundryError: GitHub does not answer, or refuses. So it did a moment ago.
            Unavailable: GitHub takes long. The question goes on in the background.
        """
        key = _key(question)
        if self._answered.get(key, 0.0) > since > 0.0:
            return True
        if failure := self._failure(key, self._remembered):
            raise failure
        if key in self._slow:
            raise self.too_slow()
        task = self._start(key, question)
        usable = self._usable[key]
        waiting = asyncio.ensure_future(usable.wait())
        try:
            await asyncio.wait({task, waiting}, timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and not usable.is_set():
                self._slow.add(key)
                raise self.too_slow()
            await asyncio.wait({task}, timeout=WHOLE)
        finally:
            waiting.cancel()
        return task.result() if task.done() else True

    def renew(self, question: Question) -> None:
        """Read a listing again in the background."""
        key = _key(question)
        if not self._failure(key, RENEW_AFTER):
            self._start(key, question)

    async def budget(self, organization: OrganizationId) -> GitHubBudget | None:
        """Return the App's request budget there, as GitHub last reported it to this server."""
        return await self._door.budget(organization)

    async def stop(self) -> None:
        await ended(set(self._running.values()))

    @staticmethod
    def too_slow() -> FoundryError:
        """The error for a request whose questions took too long."""
        return Unavailable("GitHub takes too long to say what you may see", remedy="Try again in a moment.")

    def _start(self, key: Key, question: Question) -> asyncio.Task[bool]:
        running = self._running.get(key)
        if running is None:
            self._usable[key] = asyncio.Event()
            running = self._running[key] = asyncio.create_task(self._ask(key, question))
            running.add_done_callback(lambda task: self._over(key, task))
        return running

    def _over(self, key: Key, task: asyncio.Task[bool]) -> None:
        self._running.pop(key, None)
        self._slow.discard(key)
        self._usable.pop(key).set()
        self._failed.pop(key, None)
        if len(self._answered) + len(self._failed) > REMEMBERED_AT_MOST:
            self._answered.clear()
            self._failed.clear()
        if not task.cancelled() and task.exception() is None and task.result():
            self._answered[key] = asyncio.get_running_loop().time()
        elif not task.cancelled() and (error := task.exception()) is not None:
            log.info("a question about access was not answered", reason=str(error))
            if isinstance(error, FoundryError) and error.transient:
                self._failed[key] = asyncio.get_running_loop().time(), error

    def _failure(self, key: Key, within: float) -> FoundryError | None:
        at, error = self._failed.get(key, (0.0, None))
        return error if error is not None and asyncio.get_running_loop().time() - at < within else None

    def _ask(self, key: Key, question: Question) -> Coroutine[Any, Any, bool]:
        self._metrics.permission_checks.inc()
        if question.organization is None:
            return self._reach(question)
        if question.repository is None:
            return self._listing(question.person, question.organization, self._usable[key])
        return self._right(question)

    async def _reach(self, question: Question) -> bool:
        asked_at = self._now()
        reached = await self._door.reached(question.person)
        record = RecordReach(person=question.person, number=question.number, reached=reached, asked_at=asked_at)
        await self._runtime.ask(addresses.github_app(), record)
        return True

    async def _listing(self, person: UserId, organization: OrganizationId, usable: asyncio.Event) -> bool:
        github = addresses.github(organization)
        place = await self._runtime.ask(github, BeginListing(person=person, asked_at=self._now()))
        if place is None:
            return False
        role: Role | None = None
        try:
            if person != EVERYBODY and place.page == 1:
                role = await self._door.role(person, organization)
            while place is not None:
                place = await self._page(person, organization, place, role)
                role = None
                usable.set()
        except SingleSignOnNeeded:
            await self._runtime.ask(github, self._refused(person, place.round if place else None))
        except FoundryError:
            if place is not None:
                await self._runtime.ask(github, LeaveListing(person=person, round=place.round))
            raise
        return True

    def _refused(self, person: UserId, round: int | None = None) -> RefuseListing:
        return RefuseListing(person=person, round=round, single_sign_on=True, asked_at=self._now())

    async def _page(
        self, person: UserId, organization: OrganizationId, place: Place, role: Role | None
    ) -> Place | None:
        asked_at = self._now()
        page = await self._door.listed(person, organization, place.page, place.etag)
        record = RecordListingPage(
            person=person, round=place.round, number=place.page, page=page, role=role, asked_at=asked_at
        )
        return await self._runtime.ask(addresses.github(organization), record)

    async def _right(self, question: Question) -> bool:
        organization, repository = question.organization, question.repository
        assert organization is not None
        assert repository is not None
        asked_at = self._now()
        try:
            if question.by_app:
                found = await self._door.right_by_app(question.person, organization, repository)
            else:
                found = await self._door.right(question.person, repository)
        except SingleSignOnNeeded:
            await self._runtime.ask(addresses.github(organization), self._refused(question.person))
            return True
        record = RecordAnswer(
            person=question.person,
            number=question.number,
            right=Right(repository=repository, access=found.access),
            public=found.public,
            by_app=question.by_app,
            asked_at=asked_at,
        )
        await self._runtime.ask(addresses.github(organization), record)
        return True


def _key(question: Question) -> Key:
    return question.person, question.organization or "", question.repository or ""
